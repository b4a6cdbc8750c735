"""kill -9 at random moments: what was acknowledged is there at the next opening, and all of it is whole."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from store_examples import (
    FINGERPRINT,
    TABLES,
    kill_after,
    make_id,
    make_payload,
    make_point,
    make_space,
    make_vector,
    start_python,
)

from rise_store.store import Collection, SearchRequest, open_store

KILLS = pytest.mark.parametrize("kills", [2, pytest.param(15, marks=pytest.mark.slow)])
SMALL_SEGMENTS = "from rise_store.store.embedded import upkeep; upkeep.SEGMENT_BYTES = 16 * 1024"


def assert_whole(collection: Collection, numbers: set[int], possible: set[int]) -> None:
    """The points of `numbers` are stored, nothing but those of `possible` is, and each can be read and found."""
    points = {point.id: point for point in collection.scroll(with_vectors=True)}
    lost = [number for number in numbers if make_id(number) not in points]
    assert lost == []
    names = {make_id(number): number for number in possible}
    for id, point in points.items():
        np.testing.assert_array_equal(point.vector, make_vector(names[id]))
        assert point.payload == make_payload(names[id])
    hits = collection.search([SearchRequest(make_vector(1), len(points) + 1)])[0] if points else []
    assert {hit.id for hit in hits} == set(points)
    assert collection.count() == len(points)
    assert sum(collection.facet("dataset").values()) == len(points)


@KILLS
def test_no_acknowledged_row_is_lost(root: Path, kills: int) -> None:
    chance = random.Random(time.time_ns())
    with open_store(root, create=True) as store:
        store.create_space(make_space(), TABLES)
    stored = 0
    for _ in range(kills):
        process = start_python(
            f"""
            import sys
            from store_examples import *
            from rise_store.store import open_store
            {SMALL_SEGMENTS}
            collection = open_store(sys.argv[1]).open_collection(FINGERPRINT)
            start = int(sys.argv[2])
            for first in range(start, start + 100_000, 8):
                collection.upsert([make_point(number) for number in range(first, first + 8)])
                print(first + 8)
            """,
            root,
            stored,
        )
        acknowledged = int(kill_after(process, chance.randint(1, 250))[-1])
        with open_store(root) as store:
            collection = store.open_collection(FINGERPRINT)
            assert_whole(collection, set(range(acknowledged)), set(range(acknowledged + 8)))
            stored = collection.count()
        assert stored in range(acknowledged, acknowledged + 9)
        stored = acknowledged


@KILLS
def test_deletes_and_tidying_survive_too(root: Path, kills: int) -> None:
    chance = random.Random(time.time_ns())
    with open_store(root, create=True) as store:
        store.create_space(make_space(), TABLES)
    script = f"""
        import sys
        from store_examples import *
        from rise_store.store import open_store
        {SMALL_SEGMENTS}
        collection = open_store(sys.argv[1]).open_collection(FINGERPRINT)
        collection.upsert([make_point(number) for number in range(400)])
        print("ready")
        for number in range(400):
            collection.delete([make_id(number)])
            print("deleted", number)
            collection.upsert([make_point(number + 400)])
            print("stored", number + 400)
            if number % 10 == 3:
                collection.tidy()
                print("tidied")
    """
    for _ in range(kills):
        process = start_python(script, root)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.5))
        lines = kill_after(process, chance.randint(0, 5))
        present, gone = set(range(400)), set[int]()
        for verb, number in (line.split() for line in lines if line != "tidied"):
            (gone if verb == "deleted" else present).add(int(number))
        in_flight = {max(gone, default=-1) + 1, max(gone, default=-1) + 400, max(gone, default=-1) + 401}
        with open_store(root) as store:
            collection = store.open_collection(FINGERPRINT)
            stored = {int(point.payload["example_id"].removeprefix("row-")) for point in collection.scroll()}
            assert present - gone - in_flight <= stored <= (present - gone) | in_flight
            assert_whole(collection, stored, stored)
            collection.delete([point.id for point in collection.scroll()])


@KILLS
def test_a_space_is_created_whole_or_not_at_all(tmp_path: Path, kills: int) -> None:
    root = tmp_path / "store"  # on a disk, where it takes long enough to be cut short
    chance = random.Random(time.time_ns())
    open_store(root, create=True).close()
    for attempt in range(kills):
        process = start_python(
            """
            import sys
            from store_examples import *
            from rise_store.store import open_store
            store = open_store(sys.argv[1])
            print("open")
            for number in range(1000):
                store.create_space(make_space(f"{sys.argv[2]}{number:04x}"), TABLES)
                print(f"{sys.argv[2]}{number:04x}")
            """,
            root,
            attempt,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(chance.uniform(0, 0.3))
        created = set(kill_after(process, 0))
        with open_store(root) as store:
            names = {space.fingerprint for space in store.spaces()}
            assert created <= names
            for name in sorted(names)[-3:]:
                assert store.open_collection(name).count() == 0
                store.open_collection(name).upsert([make_point(1)])
                np.testing.assert_array_equal(store.tables(name)["hidden_sign"], TABLES["hidden_sign"])
                store.open_collection(name).delete([make_id(1)])
            assert {path.name for path in (root / "spaces").iterdir()} == names


def test_leftovers_of_a_crash_are_removed_at_the_next_opening(root: Path) -> None:
    open_store(root, create=True).close()
    draft = root / "spaces" / ".new-0123"
    draft.mkdir()
    (draft / "space.json").write_text("{")
    with open_store(root) as store:
        assert store.spaces() == []
    assert not draft.exists()


def test_a_failed_creation_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rise_store.store.embedded import backend

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with open_store(root, create=True) as store:
        monkeypatch.setattr(backend, "create_shard", fail)
        with pytest.raises(Exception, match=r"could not create a space: .*Input/output error"):
            store.create_space(make_space(), TABLES)
        monkeypatch.undo()
        assert list((root / "spaces").iterdir()) == []
        store.create_space(make_space(), TABLES)


def test_a_store_whose_creation_was_cut_short_can_be_created_again(root: Path) -> None:
    root.mkdir()
    (root / "lock").touch()
    (root / "store.json.tmp").write_text("{")
    open_store(root, create=True).close()
