from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from tests.ingest.examples import SMALL, OpenStore, quick_folder


@pytest.fixture(scope="session")
def encoder(tiny_model: Path) -> SignatureEncoder:
    """The tiny model, loaded, with batches of 64 tokens: a block is then about 2,000 characters, 25 rows."""
    return SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu", batch_tokens=64)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 8 batches, so that few rows are several blocks."""
    monkeypatch.setattr("rise_store.ingest.schedule.BLOCK_BATCHES", 8)


@pytest.fixture
def store() -> Iterator[OpenStore]:
    """An open store without spaces."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        yield OpenStore(backend)
