"""Migration: everything arrives, what is there is skipped, a kill costs nothing, and the copy is checked."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_store import AttributionStore, SpaceMismatchError, StoreError, StoreInUseError
from rise_store.lifecycle import migrate_spaces, pages
from rise_store.signature import EstimatorConfig, SignatureEncoder
from rise_store.store import Point, open_store, tables_sha256
from tests.ingest.examples import OpenStore
from tests.lifecycle.material import NOTES, TALES, contents, synthetic_collection, vector_of


def test_everything_arrives(store: OpenStore, folder: Path, encoder: SignatureEncoder) -> None:
    report = store.migrate_to(folder / "copy")
    (space,) = report.spaces
    assert (space.examples, space.copied, space.unchanged, space.only_in_target) == (12, 12, 0, 0)
    assert (space.checked, space.largest_error) == (12, 0)
    assert (report.source, report.target) == (str(folder / "store"), str(folder / "copy"))
    with open_store(folder / "copy") as backend:
        assert contents(backend) == contents(store)
        assert backend.spaces() == store.backend.spaces()
        assert tables_sha256(backend.tables(space.space)) == tables_sha256(store.backend.tables(space.space))
        assert OpenStore(backend).ingest(TALES, dataset="tales", model=encoder).unchanged == 8


def test_repeating_copies_only_what_is_new_or_differs(store: OpenStore, folder: Path) -> None:
    store.migrate_to(folder / "copy")
    store.annotate("dataset=notes", set={"license": "ODbL-1.0"})
    store.delete(["row-0"], yes=True)
    (space,) = store.migrate_to(folder / "copy").spaces
    assert (space.examples, space.copied, space.unchanged, space.only_in_target) == (11, 4, 7, 1)


def test_all_spaces_or_one(store: OpenStore, folder: Path, tiny_model: Path) -> None:
    other = SignatureEncoder.from_pretrained(tiny_model, EstimatorConfig(kr=4, kh=4, kg=4), device="cpu")
    store.ingest(NOTES, dataset="notes", model=other, new_space=True)
    for name, space in (("first", store.backend.spaces()[0].fingerprint), ("second", other.fingerprint)):
        store.save_settings(name, precondition=0.1, space=space)
    assert [space.examples for space in store.migrate_to(folder / "one", space=other.fingerprint).spaces] == [4]
    assert [space.examples for space in store.migrate_to(folder / "all").spaces] == [12, 4]
    for copy, names in (("one", ["second"]), ("all", ["first", "second"])):
        with AttributionStore.open(folder / copy) as target:
            assert [preset.name for preset in target.presets()] == names


def test_a_space_beside_others_of_the_target_is_asked_for(store: OpenStore, folder: Path, tiny_model: Path) -> None:
    other = SignatureEncoder.from_pretrained(tiny_model, EstimatorConfig(kr=4, kh=4, kg=4), device="cpu")
    with AttributionStore.open(folder / "to") as target:
        target.ingest(NOTES, dataset="notes", model=other)
    with pytest.raises(SpaceMismatchError, match=r"holds other spaces: .* with --new-space"):
        store.migrate_to(folder / "to")
    assert [space.copied for space in store.migrate_to(folder / "to", new_space=True).spaces] == [12]
    assert [space.unchanged for space in store.migrate_to(folder / "to").spaces] == [12]  # to go on needs no leave


def test_storage_and_indexes_are_copied(folder: Path) -> None:
    with open_store(folder / "from", create=True) as source:
        collection = synthetic_collection(source, 40, 256, "turbo8")
        collection.create_index("metadata.page", "integer")
        (space,) = AttributionStore(source).migrate_to(folder / "to").spaces
        assert 0 <= space.largest_error < 0.02
        with open_store(folder / "to") as target:
            copy = target.open_collection(space.space)
            assert copy.space.storage.vectors == "turbo8"
            assert copy.indexes() == collection.indexes()


def test_an_empty_store_and_itself_are_refused(empty: OpenStore, store: OpenStore, folder: Path) -> None:
    with pytest.raises(StoreError, match="is empty"):
        empty.migrate_to(folder / "copy")
    assert not (folder / "copy").exists()
    with pytest.raises(StoreInUseError):
        store.migrate_to(folder / "store")


def test_signatures_that_differ_are_copied_again(store: OpenStore, folder: Path) -> None:
    store.migrate_to(folder / "copy")
    with open_store(folder / "copy") as backend:
        (space,) = backend.spaces()
        collection = backend.open_collection(space.fingerprint)
        points = list(collection.scroll(with_vectors=True))
        collection.upsert([Point(point.id, np.roll(vector_of(point), 1), point.payload) for point in points])
    (space,) = store.migrate_to(folder / "copy").spaces
    assert (space.copied, space.unchanged, space.largest_error) == (12, 0, 0)
    with open_store(folder / "copy") as backend:
        assert contents(backend) == contents(store)


@pytest.mark.parametrize(("vectors", "off"), [("float16", 0.01), ("turbo8", 0.02), ("turbo4", 0.15)])
def test_a_copy_that_another_process_spoils_is_noticed(folder: Path, vectors: str, off: float) -> None:
    with open_store(folder / "from", create=True) as source, open_store(folder / "to", create=True) as target:
        collection = synthetic_collection(source, 30, 2_048, vectors)
        aside = np.full(2_048, off / np.sqrt(2_048), np.float32)

        def spoil(done: int, total: int) -> None:
            points = list(collection.scroll(with_vectors=True))
            moved = [Point(point.id, vector_of(point) + aside, point.payload) for point in points]
            target.open_collection(collection.space.fingerprint).upsert(moved)

        with pytest.raises(StoreError, match=r"the signature of example 'row-\d+' is off by"):
            migrate_spaces(source, target, source.spaces(), progress=spoil)
        (space,) = migrate_spaces(source, target, source.spaces()).spaces
        assert space.copied == 30
        assert migrate_spaces(source, target, source.spaces()).spaces[0].unchanged == 30


def migrate(source: Path, target: Path, told: Connection) -> None:
    """What the killed process does, 32 points a page; tells how many it has copied."""
    pages._PAGE_BYTES = 2**18
    with open_store(source) as here, open_store(target, create=True) as there:
        migrate_spaces(here, there, here.spaces(), progress=lambda done, total: told.send(done))


@pytest.fixture
def large(folder: Path) -> Path:
    """A store of 700 points."""
    with open_store(folder / "large", create=True) as backend:
        synthetic_collection(backend, 700, 2_048)
    return folder / "large"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_migration_goes_on_where_it_was(large: Path, folder: Path) -> None:
    context: Any = multiprocessing.get_context("forkserver")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=migrate, args=(large, folder / "copy", there))
    process.start()
    there.close()
    copied = [here.recv(), here.recv()][-1]
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert copied == 64
    with AttributionStore.open(large) as source:
        (space,) = source.migrate_to(folder / "copy").spaces
    assert space.examples == 700
    assert space.unchanged >= copied
    assert space.copied == 700 - space.unchanged > 0
    assert (space.checked, space.largest_error) == (200, 0)
    with open_store(large) as one, open_store(folder / "copy") as other:
        assert contents(other) == contents(one)
