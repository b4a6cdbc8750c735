from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The helpers beside this file are imported by name, whatever import mode pytest runs in.
sys.path.insert(0, str(Path(__file__).parent))

from engines import ENGINES, open_engine
from store_examples import FINGERPRINT, TABLES, make_space, quick_folder

from rise_store.store import Backend, Collection


@pytest.fixture(params=ENGINES)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """An open store without spaces. A further engine joins the contract suite as a further name in ENGINES."""
    with open_engine(request.param) as store:
        yield store


@pytest.fixture(params=ENGINES, scope="module")
def shared_collection(request: pytest.FixtureRequest) -> Iterator[Collection]:
    """The collection of a space of 24 coordinates, with whatever earlier tests left in it."""
    with open_engine(request.param) as store:
        yield store.create_space(make_space(FINGERPRINT), TABLES)


@pytest.fixture
def collection(shared_collection: Collection) -> Collection:
    """The same, emptied: making a space takes longer than most tests."""
    shared_collection.delete([point.id for point in shared_collection.scroll()])
    return shared_collection


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder for an embedded store, not there yet."""
    with quick_folder() as folder:
        yield folder / "store"
