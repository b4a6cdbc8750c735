"""The folder of an embedded store.

store.json                    format version, created_at, created_with
lock                          held by the process that has the store open; holds its process id
spaces/<fingerprint>/
    space.json                the Space record
    tables.npz                its sketch tables
    state.json                what the engine does not know about itself, see SpaceState
    checksums.json            size, time of change and digest of each file at the last clean close; while the space is
                              open, and after a process that died, it is called checksums.stale.json
    points/                   the shard of the embedded engine
catalogue/                    made when it is first asked for
    documents.sqlite          what the store knows beside its points, and while it is open documents.sqlite-wal, its log
    checksums.json            as that of a space
spaces/.new-*                 a space that was being created when its process died; removed at the next opening
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import orjson
from pydantic import ValidationError

from rise_store.errors import StoreError
from rise_store.records import Space
from rise_store.store.embedded.disk import sync, sync_tree, write_atomically
from rise_store.version import __version__

# Since 2, space.json may say how vectors are kept; without it they are float16. Since 3 there may be tombstones in a
# catalogue, which older releases would not honour.
FORMAT_VERSION = 3
_OLDER_FORMATS = (1, 2)
_DRAFT_PREFIX = ".new-"
_FINGERPRINT = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")


@dataclass(frozen=True, slots=True)
class SpaceState:
    """What the store remembers of a collection beside the engine.

    `points` is the number of points at the last clean close, None while it may have changed since. `untidy` says that
    points were deleted or replaced, so that their bytes may still lie in the engine's files; `merged`, that nothing was
    written since segments were last merged.
    """

    points: int | None = None
    untidy: bool = True
    merged: bool = False

    @staticmethod
    def read(folder: Path) -> SpaceState:
        """The state of the space in `folder`; nothing is known when the file is missing or damaged."""
        try:
            fields = orjson.loads((folder / "state.json").read_bytes())
            return SpaceState(fields["points"], fields["untidy"], fields.get("merged", False))
        except (OSError, ValueError, TypeError, KeyError):
            return SpaceState()

    def write(self, folder: Path) -> None:
        """Replace the state of the space in `folder`."""
        write_atomically(folder / "state.json", orjson.dumps(asdict(self)))


class StoreFolder:
    """The files of one store; the caller holds its lock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._spaces = root / "spaces"
        self.catalogue = root / "catalogue"

    @property
    def exists(self) -> bool:
        """Whether the folder is a store already."""
        return (self.root / "store.json").exists()

    def remove_if_empty(self) -> None:
        """Remove the store's files, and its folder where nothing else is in it, unless it has a space."""
        if not self._spaces.is_dir() or any(self._spaces.iterdir()):
            return
        self._spaces.rmdir()
        shutil.rmtree(self.catalogue, ignore_errors=True)
        for name in ("store.json", "lock"):
            (self.root / name).unlink(missing_ok=True)
        if not any(self.root.iterdir()):
            self.root.rmdir()

    def prepare(self, *, create: bool) -> None:
        """Check that the folder is a store of this format, or make it one; `StoreError` when it cannot be used.

        A store of an older format becomes one of this format.
        """
        check_location(self.root, create=create)
        marker = self.root / "store.json"
        if not marker.exists():
            header = {
                "format": FORMAT_VERSION,
                "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "created_with": __version__,
            }
            write_atomically(marker, orjson.dumps(header, option=orjson.OPT_INDENT_2))
        else:
            header = orjson.loads(marker.read_bytes())
            if header["format"] in _OLDER_FORMATS:
                # An older release must not open what this one may write.
                header["format"] = FORMAT_VERSION
                write_atomically(marker, orjson.dumps(header, option=orjson.OPT_INDENT_2))
        self._spaces.mkdir(exist_ok=True)
        for draft in self._spaces.glob(f"{_DRAFT_PREFIX}*"):
            shutil.rmtree(draft)

    def spaces(self) -> list[Space]:
        """The spaces, oldest first; `StoreError` when the record of one is damaged."""
        folders = [folder for folder in self._spaces.iterdir() if not folder.name.startswith(".")]
        found = [self._read_space(folder) for folder in folders]
        return sorted(found, key=lambda space: (space.created_at, space.fingerprint))

    def space(self, fingerprint: str) -> Space:
        """The space of this fingerprint; `StoreError` when there is none."""
        folder = self.space_folder(fingerprint)
        if not folder.is_dir():
            known = ", ".join(space.fingerprint for space in self.spaces()) or "none"
            raise StoreError(f"the store at {self.root} has no space {fingerprint!r}. Its spaces: {known}")
        return self._read_space(folder)

    def space_folder(self, fingerprint: str) -> Path:
        """Where the files of a space lie, whether or not it exists."""
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise StoreError(f"{fingerprint!r} is not the fingerprint of a space: use letters and digits")
        return self._spaces / fingerprint

    @contextmanager
    def new_space(self, space: Space) -> Iterator[Path]:
        """A folder to build a space in. It becomes the space when the block ends, and vanishes when it raises."""
        target = self.space_folder(space.fingerprint)
        if target.exists():
            raise StoreError(f"the store at {self.root} already has the space {space.fingerprint}. Open it instead")
        draft = self._spaces / f"{_DRAFT_PREFIX}{uuid4().hex}"
        draft.mkdir()
        try:
            (draft / "space.json").write_text(space.model_dump_json(indent=2), encoding="utf-8")
            yield draft
            sync_tree(draft)
            os.rename(draft, target)
            sync(self._spaces)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _read_space(self, folder: Path) -> Space:
        path = folder / "space.json"
        try:
            space = Space.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise StoreError(f"{path} is damaged or missing: {error}. Restore it from a copy of the store") from error
        if space.fingerprint != folder.name:
            raise StoreError(f"{path} belongs to the space {space.fingerprint}. Restore it from a copy of the store")
        return space


def check_location(root: Path, *, create: bool) -> None:
    """`StoreError` unless `root` holds a store of this format or, with `create`, can become one. Writes nothing."""
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is a file, not a rise_store store. Name a folder")
    marker = root / "store.json"
    if marker.exists():
        _check_format(marker)
        return
    # A process that died while it created the store leaves these behind, and nothing else.
    names = {path.name for path in root.iterdir()} - {"lock", "store.json.tmp"} if root.exists() else set()
    if names:
        raise StoreError(
            f"{root} is not a rise_store store: it has files ({sorted(names)[0]}, ...) but no store.json. "
            "Name the folder of a store, or a new or empty one"
        )
    if not create:
        raise StoreError(f"there is no rise_store store at {root}. Check the path; ingesting creates a store")


def _check_format(marker: Path) -> None:
    try:
        header = orjson.loads(marker.read_bytes())
        version = header["format"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{marker} is damaged: {error}. Restore it from a copy of the store") from error
    if version not in (*_OLDER_FORMATS, FORMAT_VERSION):
        raise StoreError(
            f"the store at {marker.parent} has format {version!r}; this rise_store ({__version__}) reads format "
            f"{FORMAT_VERSION}. Use the release that wrote it: {header.get('created_with', 'unknown')}"
        )
