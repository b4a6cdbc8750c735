"""Segments, and what `compact` leaves behind: nothing of what was deleted or replaced."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_examples import FINGERPRINT, TABLES, make_id, make_payload, make_point, make_space, make_vector

from rise_store.errors import StoreError
from rise_store.store import Collection, Point, SearchRequest, open_store
from rise_store.store.embedded import upkeep


def segments(collection: Collection) -> int:
    with collection._engine.using("count segments") as shard:  # type: ignore[attr-defined]
        return int(shard.info().segments_count)


def found_in_files(root: Path, patterns: dict[str, bytes]) -> set[str]:
    """The names of those patterns that occur in any file below `root`."""
    found = set[str]()
    for path in root.rglob("*"):
        if path.is_file():
            data = path.read_bytes().rstrip(b"\0")  # the engine makes files of 32 MiB that are mostly empty
            found |= {name for name, pattern in patterns.items() if pattern.rstrip(b"\0") in data}
    return found


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "SEGMENT_BYTES", 100 * 1024)
    monkeypatch.setattr(upkeep, "_GRAPH_SEGMENT_BYTES", 100 * 1024)


@pytest.mark.usefixtures("small_segments")
class TestSegments:
    def test_are_sealed_as_rows_come_in_so_that_searches_use_all_cores(self, root: Path) -> None:
        dim = 352
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(dim=dim), TABLES)
            collection.upsert([make_point(number, dim) for number in range(3_000)])
            assert segments(collection) == 3  # 2 sealed at 1,000 rows of 704 bytes, and the growing one
            query = make_vector(10_000, dim)
            expected = sorted((float(make_vector(n, dim) @ query) for n in range(3_000)), reverse=True)[:5]
            assert [hit.score for hit in collection.search([SearchRequest(query, 5)])[0]] == expected

    def test_that_are_small_are_merged_by_tidy(self, root: Path) -> None:
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            for first in range(0, 300, 100):
                collection.upsert([make_point(number) for number in range(first, first + 100)])
                collection.delete([make_id(first)])
                collection.tidy()
                assert segments(collection) <= 3
            assert collection.count() == 297

    def test_grow_with_the_collection(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upkeep, "_MOST_SEGMENTS", 1)
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(dim=352), TABLES)
            collection.upsert([make_point(number, 352) for number in range(4_200)])
            assert segments(collection) == 5
            collection.tidy()
            assert segments(collection) == 2


@pytest.mark.usefixtures("small_segments")
class TestErasure:
    @pytest.mark.parametrize("storage", [{}, {"quantization": 4}, {"quantization": 1, "hnsw": True}])
    def test_compact_leaves_no_byte_of_what_was_deleted_or_replaced(self, root: Path, storage: dict[str, Any]) -> None:
        # Row n < 1,024 is in a sealed segment, a later one in the growing segment.
        deleted, replaced, rewritten, kept = (7, 1_100), (11, 1_101), (13, 1_102), (17, 1_103)

        def secret(number: int) -> str:  # nothing that the compression of payloads could break up
            return hashlib.sha256(str(number).encode()).hexdigest()

        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(dim=352, **storage), TABLES)
            collection.upsert([make_point(number, 352, text=secret(number)) for number in range(1_200)])
            assert segments(collection) == 2
            patterns = {f"text {n}": secret(n).encode() for n in (*deleted, *replaced, *rewritten, *kept)}
            patterns |= {
                f"vector {n}": make_vector(n, 352).astype(np.float16).tobytes() for n in (*deleted, *replaced, *kept)
            }
            patterns |= {f"id {n}": make_id(n).bytes for n in (*deleted, *kept)}
            assert found_in_files(root, patterns) == patterns.keys()

            collection.delete([make_id(number) for number in deleted])
            collection.upsert([Point(make_id(n), make_vector(5_000, 352), make_payload(n)) for n in replaced])
            collection.set_payload({make_id(number): make_payload(number) for number in rewritten})
            remains = {f"{kind} {number}" for kind in ("text", "vector", "id") for number in kept}
            assert found_in_files(root, patterns) > remains

            collection.tidy()  # merges the small segment with the growing one, but leaves the log and the large one
            assert found_in_files(root, patterns) > remains
            collection.compact()
            assert found_in_files(root, patterns) == remains
            assert collection.count() == 1_198

            # The log was emptied, but writes after that count all the same.
            collection.set_payload({make_id(8): make_payload(8)})
            assert collection.retrieve([make_id(8)])[make_id(8)].payload == make_payload(8)

    def test_is_remembered_across_processes(self, root: Path) -> None:
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            collection.upsert([make_point(1, text="secret text"), make_point(2)])
            collection.delete([make_id(1)])
        with open_store(root) as store:
            store.open_collection(FINGERPRINT).compact()
        assert found_in_files(root, {"text": b"secret text"}) == set()

    def test_costs_nothing_when_nothing_was_deleted(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_: object) -> None:
            raise AssertionError("the log was drained")

        monkeypatch.setattr(upkeep, "drain_log", refuse)
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            collection.upsert([make_point(1)])
            collection.delete([make_id(2)])
            collection.compact()
            collection.upsert([make_point(1)])
            collection.tidy()
            with pytest.raises(Exception, match="the log was drained"):
                collection.compact()


def state(root: Path) -> Any:
    return json.loads((root / "spaces" / FINGERPRINT / "state.json").read_text())


def test_the_state_file_says_what_was_closed_and_what_is_untidy(root: Path) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(), TABLES)
        assert state(root) == {"points": 0, "untidy": False, "merged": False}
        collection.upsert([make_point(1), make_point(2)])
        assert state(root) == {"points": None, "untidy": False, "merged": False}
        collection.delete([make_id(1)])
        assert state(root) == {"points": None, "untidy": True, "merged": False}
    assert state(root) == {"points": 1, "untidy": True, "merged": False}
    with open_store(root) as store:
        collection = store.open_collection(FINGERPRINT)
        collection.count()
        assert state(root) == {"points": 1, "untidy": True, "merged": False}
        collection.tidy()
        assert state(root) == {"points": None, "untidy": True, "merged": True}
        collection.compact()
    assert state(root) == {"points": 1, "untidy": False, "merged": False}


def test_a_collection_that_could_not_be_loaded_again_is_opened_anew(root: Path) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(), TABLES)
        collection.upsert([make_point(number) for number in range(11)])
        collection.delete([make_id(0)])
        log = root / "spaces" / FINGERPRINT / "points" / "wal"
        parts = list(log.glob("open-*"))
        for part in parts:
            part.rename(root.parent / part.name)
        with pytest.raises(StoreError, match="files are missing"):
            collection.compact()
        with pytest.raises(StoreError, match="files are missing"):
            store.open_collection(FINGERPRINT)
        for part in parts:
            (root.parent / part.name).rename(part)
        with pytest.raises(StoreError, match="is closed"):
            collection.count()
        again = store.open_collection(FINGERPRINT)
        assert again.count() == 10
        again.upsert([make_point(11)])
        assert store.open_collection(FINGERPRINT) is again
    with open_store(root) as store:
        assert store.open_collection(FINGERPRINT).count() == 11


def test_tidying_again_does_nothing_until_something_is_written(root: Path) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(), TABLES)
        collection.upsert([make_point(1), make_point(2)])
        assert not state(root)["merged"]
        collection.tidy()
        assert state(root)["merged"]
    with open_store(root) as store:  # and remembers it
        assert state(root)["merged"]
        collection = store.open_collection(FINGERPRINT)
        collection.delete([make_id(1)])
        assert not state(root)["merged"]
