from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from tests.ingest.examples import SMALL, OpenStore, quick_folder
from tests.lifecycle.material import NOTES, TALES


@pytest.fixture(scope="session")
def encoder(tiny_model: Path) -> SignatureEncoder:
    """The tiny model, loaded."""
    return SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder."""
    with quick_folder() as quick:
        yield quick


@pytest.fixture
def store(folder: Path, encoder: SignatureEncoder) -> Iterator[OpenStore]:
    """An open store in `folder`/store: 8 tales and 4 notes, among them one id that both have."""
    with open_store(folder / "store", create=True) as backend:
        opened = OpenStore(backend)
        opened.ingest(TALES, dataset="tales", model=encoder)
        opened.ingest(NOTES, dataset="notes", model=encoder)
        yield opened


@pytest.fixture
def empty(folder: Path) -> Iterator[OpenStore]:
    """An open store without spaces, in `folder`/empty."""
    with open_store(folder / "empty", create=True) as backend:
        yield OpenStore(backend)
