"""Hugging Face datasets: folders that `save_to_disk` wrote, and names on the hub (extra `datasets`)."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from rise_store.corpus.arrow_rows import ROWS_A_BATCH, batch_rows, require_distinct
from rise_store.corpus.extras import require_extra
from rise_store.corpus.sealed_files import SealedFiles
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.records import SourceManifest

HUB_PREFIX = "hf-dataset:"

_HUB_NAME = re.compile(r"(?P<name>[^/@#]+(/[^/@#]+)?)(/(?P<config>[^/@#]+))?(@(?P<revision>[^#]+))?(#(?P<split>.+))?")


def is_saved_dataset(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is one that `save_to_disk` wrote; `#SPLIT` may stand behind it."""
    folder = _folder(os.fspath(path))[0]
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


class HfDataset:
    """The rows of one split of a Hugging Face dataset. A `Source` and a `TableSource`.

    A folder that `save_to_disk` wrote, with `#SPLIT` behind it where it has several, or
    `hf-dataset:NAME[/CONFIG][@REVISION][#SPLIT]` on the hub, which is streamed. No code of a dataset is run, and
    images and sounds are not decoded.
    """

    def __init__(self, name: str | os.PathLike[str], split: str | None = None) -> None:
        """Raises `InputError` for a dataset or split that there is not, and where the package is missing."""
        self.name = os.fspath(name)
        self._datasets = require_extra("datasets", "datasets", self.name)
        self._sealed: SealedFiles | None = None
        self.total_bytes: int | None = None
        self.name, data = self._on_hub(split) if self.name.startswith(HUB_PREFIX) else self._in_folder(split)
        self._data: Any = data.with_format("arrow")
        names = data.column_names
        self.columns: tuple[str, ...] | None = None if names is None else require_distinct(tuple(names), self.name)
        self._rows: int | None = getattr(data, "num_rows", None)
        self._rows_read = 0

    @property
    def bytes_read(self) -> int:
        """The share of the folder that the rows read so far are."""
        return (self.total_bytes or 0) * self._rows_read // max(self._rows or 0, 1)

    def manifest(self) -> SourceManifest:
        """What the folder is at this moment; of the hub the name alone."""
        if self._sealed is None:
            return SourceManifest(uri=self.name, format="hf-dataset")
        digest, size = self._sealed.seal(), self._sealed.size()
        return SourceManifest(uri=self.name, format="hf-dataset", files=self._files, bytes=size, sha256=digest)

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        self._rows_read = 0
        with _explained(self.name):
            for batch in self._data.iter(batch_size=ROWS_A_BATCH):
                first = self._rows_read + 1
                self._rows_read += batch.num_rows
                yield from batch_rows(batch, first, self.name)
        if self._sealed:
            self._sealed.check()

    def _in_folder(self, split: str | None) -> tuple[str, Any]:
        folder, named = _folder(self.name)
        name, split = str(folder), split or named
        if not is_saved_dataset(folder):
            raise InputError(
                f"{name}: is no dataset that save_to_disk wrote; name the files in it, or a dataset of the hub with "
                f"{HUB_PREFIX}NAME"
            )
        with _explained(name), self._quiet():
            if (folder / "dataset_dict.json").is_file():
                known = orjson.loads((folder / "dataset_dict.json").read_bytes())["splits"]
                split = self._chosen(known, split)
                folder, name = folder / split, f"{name}#{split}"
            elif split is not None:
                raise InputError(f"{name}: is one split alone; leave out #SPLIT and --split")
            if not orjson.loads((folder / "state.json").read_bytes())["_data_files"]:  # which the package stumbles over
                raise InputError(f"{name}: the dataset holds no rows")
            data = self._datasets.load_from_disk(str(folder))
        paths = sorted(filter(Path.is_file, folder.rglob("*")))
        self._sealed, self._files = SealedFiles(name, paths, folder), len(paths)
        self.total_bytes = self._sealed.size()
        return name, data

    def _on_hub(self, split: str | None) -> tuple[str, Any]:
        parts = _HUB_NAME.fullmatch(self.name.removeprefix(HUB_PREFIX))
        if parts is None:
            raise InputError(f"{self.name}: expected {HUB_PREFIX}NAME[/CONFIG][@REVISION][#SPLIT]")
        old = int(self._datasets.__version__.partition(".")[0]) < 4  # later ones have no code to run
        options = {"trust_remote_code": False} if old else {}
        with _explained(self.name, "; check the name and the connection"), self._quiet():
            found = self._datasets.load_dataset(
                parts["name"], parts["config"], revision=parts["revision"], streaming=True, **options
            )
            split = self._chosen(list(found), split or parts["split"])
        return f"{self.name.partition('#')[0]}#{split}", found[split]

    def _chosen(self, known: list[str], split: str | None) -> str:
        if split is None and len(known) == 1:
            return known[0]
        if split is None or split not in known:
            why = f"there is no split {split!r}; it has" if split else "choose a split with #SPLIT or --split:"
            raise InputError(f"{self.name}: {why} {', '.join(known)}")
        return split

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """No bars, and no word about each attempt to reach a hub that is out of reach."""
        shown = not self._datasets.are_progress_bars_disabled()
        client = logging.getLogger("huggingface_hub")
        level = client.level
        self._datasets.disable_progress_bars()
        client.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            client.setLevel(level)
            if shown:
                self._datasets.enable_progress_bars()


def _folder(name: str) -> tuple[Path, str | None]:
    """The folder, and the split that is named behind it."""
    folder, mark, split = name.rpartition("#")
    return (Path(folder), split or None) if mark and not Path(name).exists() else (Path(name), None)


@contextmanager
def _explained(name: str, advice: str = "") -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the package, the hub's client and Arrow have no common base
        reason = (str(error).strip().partition("\n")[0] or type(error).__name__)[:300].rstrip(".")
        raise InputError(f"{name}: cannot be read as a dataset: {reason}{advice}") from None
