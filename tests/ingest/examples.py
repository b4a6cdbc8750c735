"""Rows, files, folders and views of a store that tests of ingestion, retrieval and commands share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from torch.nn.modules.module import register_module_forward_pre_hook

from rise_store import AttributionStore, EstimatorConfig
from rise_store.signature import SignatureEncoder
from rise_store.store import Backend, Equals, StoredPoint, open_store

SMALL = EstimatorConfig(kr=16, kh=8, kg=28)  # 352 coordinates, the small sketch of the published code

SENTENCES = (
    "Once upon a time there was a little girl named Lily.",
    "She loved to play outside in the park with her dog.",
    "One day the dog found a shiny key under a big tree.",
    "Lily asked her mother what the key could open.",
    "Her mother did not know, but the old man next door did.",
    "It opened a small box that he had lost as a boy.",
    "In the box there was a map of the park, drawn by hand.",
    "The map showed a second tree that nobody had ever seen.",
)

Row = dict[str, Any]


def story_rows(count: int, start: int = 0) -> list[Row]:
    """Rows of distinct ids and texts: `row-0` onwards, of 15 to 40 tokens."""
    return [
        {"id": f"row-{number}", "text": f"{SENTENCES[number % len(SENTENCES)]} This is page {number} of the story."}
        for number in range(start, start + count)
    ]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """A JSON Lines file; bytes stand for themselves, so that a line can be anything."""
    path.write_bytes(b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows))
    return path


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A temporary folder, in memory where there is room: a new space waits for the disk some 200 times."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
    with tempfile.TemporaryDirectory(dir=memory if roomy else None, prefix="rise-store-test-") as folder:
        yield Path(folder)


@contextmanager
def forward_passes() -> Iterator[list[str]]:
    """Names of the torch modules that run meanwhile, of whatever model: empty when nothing was computed."""
    ran: list[str] = []
    handle = register_module_forward_pre_hook(lambda module, _: ran.append(type(module).__name__))
    try:
        yield ran
    finally:
        handle.remove()


class OpenStore(AttributionStore):
    """A store whose points a test can look at while it is open."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.backend = backend

    @property
    def points(self) -> dict[tuple[str, str], StoredPoint]:
        """What the only space holds: (dataset, example id) -> point with its vector."""
        return {(point.payload["dataset"], point.payload["example_id"]): point for point in self._scroll(None)}

    def dataset(self, name: str) -> dict[str, StoredPoint]:
        """What the only space holds of a dataset: example id -> point with its vector."""
        return {point.payload["example_id"]: point for point in self._scroll(Equals("dataset", name))}

    def _scroll(self, where: Equals | None) -> Iterable[StoredPoint]:
        (space,) = self.backend.spaces()
        return self.backend.open_collection(space.fingerprint).scroll(where, with_vectors=True)


@contextmanager
def open_points(folder: Path) -> Iterator[OpenStore]:
    """The store in a folder, for reading its points."""
    with open_store(folder) as backend:
        yield OpenStore(backend)


def what_stays(point: StoredPoint) -> Row:
    """The payload without the fields that name the run that wrote it."""
    return {name: value for name, value in point.payload.items() if name not in ("run_id", "ingested_at")}


def encode_rows(encoder: SignatureEncoder, rows: Sequence[Row]) -> Any:
    """Signatures [n, dim] of the texts of rows, in their order."""
    return encoder.encode([row["text"] for row in rows]).signatures


def cosine(one: Any, other: Any) -> float:
    """Cosine of two vectors: storing them as float16 moves their lengths by some 1e-4."""
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
