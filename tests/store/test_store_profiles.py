"""Storage profiles of the embedded engine: bits a coordinate, coarse copies, graphs, and searches that use them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_examples import TABLES, make_payload, make_point, make_space

from rise_store.errors import ConfigError, SignatureError, StoreFullError
from rise_store.records import Storage
from rise_store.store import Approximation, Collection, PerChannel, Point, RowNorm, SearchRequest, open_store
from rise_store.store.embedded import upkeep
from rise_store.store.embedded.disk import MIB

DIM = 352
ROWS = 2_600
STORAGES = [
    Storage.model_validate({"vectors": vectors, "quantization": bits, "hnsw": hnsw})
    for vectors, bits, hnsw in product(("float16", "turbo8", "turbo4"), (None, 4, 1), (False, True))
]
# The largest error of a dot product of unit vectors, about three times what was measured.
ERRORS = {"float16": 3e-4, "turbo8": 5e-3, "turbo4": 6e-2}


def signatures(seed: int, count: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


SIGNATURES = signatures(0, ROWS)
POINTS = [Point(make_point(n).id, SIGNATURES[n], make_payload(n)) for n in range(ROWS)]
QUERIES = np.ascontiguousarray(0.6 * SIGNATURES[:20] + 0.4 * signatures(1, 20))


def searched(collection: Collection, limit: int = 10, approximation: Approximation | None = None) -> list[Any]:
    return collection.search([SearchRequest(query, limit) for query in QUERIES], approximation)


def indexed(collection: Collection) -> int:
    with collection._engine.using("count") as shard:  # type: ignore[attr-defined]
        return int(shard.info().indexed_vectors_count)


@pytest.fixture
def no_plain_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have graphs and coarse copies made for collections of any size."""
    monkeypatch.setattr("rise_store.store.embedded.engine._BUILD_KILOBYTES", 1)
    monkeypatch.setattr("rise_store.store.embedded.engine._PLAIN_KILOBYTES", 1)


@pytest.mark.usefixtures("no_plain_scan")
@pytest.mark.parametrize(
    "storage", STORAGES, ids=lambda storage: f"{storage.vectors}-{storage.quantization}-{storage.hnsw}"
)
def test_exact_searches_are_exact_in_every_storage(root: Path, storage: Storage) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(dim=DIM, **storage.model_dump()), TABLES)
        collection.upsert(POINTS)
        before = searched(collection, ROWS)
        kept = collection.retrieve([POINTS[5].id], with_vectors=True)[POINTS[5].id].vector
        collection.tidy()
        assert indexed(collection) >= ROWS
        assert searched(collection, ROWS) == before  # neither a coarse copy nor a graph comes in
        for query, hits in zip(QUERIES, before, strict=True):
            true = {point.id: float(point.vector @ query) for point in POINTS}
            assert max(abs(hit.score - true[hit.id]) for hit in hits) < ERRORS[storage.vectors]
            found = collection.score(query, [hit.id for hit in hits[:5]])
            assert found == {hit.id: hit.score for hit in hits[:5]}

        collection.set_payload({POINTS[5].id: make_payload(5, text="new")})
        after = collection.retrieve([POINTS[5].id], with_vectors=True)[POINTS[5].id].vector
        np.testing.assert_array_equal(after, kept)  # moved to the growing segment, and not quantized anew
        assert kept is not None
        assert np.linalg.norm(kept) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.usefixtures("no_plain_scan")
@pytest.mark.parametrize(
    ("storage", "approximation"),
    [
        ({"quantization": 4}, Approximation("quantized")),
        ({"quantization": 1}, Approximation("quantized", oversampling=30.0)),
        ({"vectors": "turbo8", "quantization": 2}, Approximation("quantized", oversampling=8.0)),
        ({"hnsw": True}, Approximation("hnsw", ef=512)),
        ({"hnsw": True, "quantization": 4}, Approximation("hnsw", ef=512)),
    ],
)
def test_approximate_searches_find_most_and_score_exactly(
    root: Path, storage: dict[str, Any], approximation: Approximation
) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(dim=DIM, **storage), TABLES)
        collection.upsert(POINTS)
        collection.tidy()
        exact = [{hit.id: hit.score for hit in hits} for hits in searched(collection)]
        found = [{hit.id: hit.score for hit in hits} for hits in searched(collection, 10, approximation)]
        recall = np.mean([len(a.keys() & b.keys()) / 10 for a, b in zip(exact, found, strict=True)])
        assert recall > 0.8
        for a, b in zip(exact, found, strict=True):
            assert all(a[id] == b[id] for id in a.keys() & b.keys())


@pytest.mark.usefixtures("no_plain_scan")
def test_less_oversampling_finds_less_so_the_coarse_copy_is_in_use(root: Path) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(dim=DIM, quantization=1), TABLES)
        collection.upsert(POINTS)
        collection.tidy()
        exact = [{hit.id for hit in hits} for hits in searched(collection)]

        def recall(oversampling: float) -> float:
            found = searched(collection, 10, Approximation("quantized", oversampling))
            shared = [len(ids & {hit.id for hit in hits}) for ids, hits in zip(exact, found, strict=True)]
            return float(np.mean(shared)) / 10

        assert recall(1.0) < recall(3.0) < recall(250.0) == 1.0


def test_what_the_storage_has_not_is_refused(root: Path) -> None:
    with open_store(root, create=True) as store:
        coarse = store.create_space(make_space("aa", quantization=4), TABLES)
        graph = store.create_space(make_space("bb", hnsw=True), TABLES)
        both = store.create_space(make_space("cc", hnsw=True, quantization=4), TABLES)
        query = np.ones(24, np.float32)
        for collection, approximation, problem in (
            (coarse, Approximation("hnsw"), "has no graph"),
            (graph, Approximation("quantized"), "has no coarse copy"),
            (both, Approximation("quantized"), "serves only walks of the graph"),
            (coarse, Approximation("quantized", oversampling=0.5), "oversampling"),
            (graph, Approximation("hnsw", ef=0), "ef"),
        ):
            with pytest.raises(ConfigError, match=problem):
                collection.search([SearchRequest(query, 1)], approximation)
        for scaling in (RowNorm(1.0, 1.0), PerChannel()):
            with pytest.raises(ConfigError, match="only dot products"):
                both.search([SearchRequest(query, 1, scaling=scaling)], Approximation("hnsw"))


@pytest.mark.parametrize("vectors", ["turbo8", "turbo4"])
class TestTurbo:
    def test_takes_vectors_of_any_length(self, root: Path, vectors: str) -> None:
        lengths = {0: 0.0, 1: 1e-6, 2: 1.0, 3: 60_000.0}
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(dim=DIM, vectors=vectors), TABLES)
            points = [Point(make_point(n).id, SIGNATURES[n] * f, make_payload(n)) for n, f in lengths.items()]
            collection.upsert([Point(p.id, p.vector.astype(np.float32), p.payload) for p in points])
            stored = collection.retrieve([point.id for point in points], with_vectors=True)
            for point, length in zip(points, lengths.values(), strict=True):
                found = stored[point.id].vector
                assert found is not None
                assert np.abs(found - point.vector).max() <= 0.1 * length
                assert float(np.linalg.norm(found)) == pytest.approx(length, rel=5e-3, abs=1e-12)
                for query in QUERIES[:3] * np.float32(2.0**-70), QUERIES[:3]:
                    scores = [collection.score(row, [point.id])[point.id] for row in query]
                    np.testing.assert_allclose(scores, query @ point.vector, atol=0.06 * length * np.abs(query).max())

    def test_refuses_what_is_not_finite_or_too_large(self, root: Path, vectors: str) -> None:
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(dim=DIM, vectors=vectors), TABLES)
            for value in (np.nan, np.inf, 7e4):
                with pytest.raises(SignatureError):
                    collection.upsert([Point(make_point(1).id, np.full(DIM, value, np.float32), make_payload(1))])
            assert collection.count() == 0

    def test_takes_less_room(self, root: Path, vectors: str) -> None:
        sizes = {}
        with open_store(root, create=True) as store:
            for number, name in enumerate(("float16", vectors)):
                collection = store.create_space(make_space(f"a{number}", dim=DIM, vectors=name), TABLES)
                empty = (root / "spaces").stat().st_size
                assert empty
                collection.upsert(POINTS)
                collection.compact()
                segments = root / "spaces" / f"a{number}" / "points" / "segments"
                sizes[name] = sum(path.stat().st_size for path in segments.rglob("*vector*/**/*") if path.is_file())
        assert sizes[vectors] < sizes["float16"]


def test_free_space_is_reckoned_by_profile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = 24_576

    def needed(space_name: str, **storage: Any) -> float:
        collection = store.create_space(make_space(space_name, dim=wide, **storage), TABLES)
        monkeypatch.setattr("rise_store.store.embedded.disk.free_bytes", lambda _: 0)
        with pytest.raises(StoreFullError) as refusal:
            collection.upsert([make_point(1, wide)])
        monkeypatch.undo()
        return float(str(refusal.value).split("store rows: ")[1].split(" MiB")[0].replace(",", ""))

    with open_store(root, create=True) as store:
        float16 = needed("aa")
        assert needed("bb", vectors="turbo8") == pytest.approx(float16 - 2_000 * wide / MIB, abs=2)
        assert needed("cc", quantization=4) == pytest.approx(float16 + 2_000 * wide / 2 / MIB, abs=2)
        assert needed("dd", hnsw=True) > float16


def test_a_collection_is_tidied_without_room_for_segments_that_it_cannot_fill(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(hnsw=True), TABLES)
        collection.upsert([make_point(number) for number in range(10)])
        monkeypatch.setattr("rise_store.store.embedded.disk.free_bytes", lambda _: 400 * MIB)
        assert upkeep._GRAPH_SEGMENT_BYTES > 400 * MIB
        collection.tidy()
