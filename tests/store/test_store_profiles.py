"""Storage profiles of the embedded engine: bits a coordinate, coarse copies, graphs, and searches that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from store_examples import TABLES, make_payload, make_point, make_space

from rise_store.errors import ConfigError, SignatureError, StoreFullError
from rise_store.store import Approximation, Collection, PerChannel, Point, RowNorm, SearchRequest, open_store
from rise_store.store.embedded import upkeep
from rise_store.store.embedded.disk import MIB

DIM = 352
ROWS = 1_200
STORAGES: list[dict[str, Any]] = [
    {"vectors": "float16", "quantization": 1, "hnsw": False},
    {"vectors": "float16", "quantization": None, "hnsw": True},
    {"vectors": "float16", "quantization": 4, "hnsw": True},
    {"vectors": "turbo8", "quantization": None, "hnsw": False},
    {"vectors": "turbo8", "quantization": 2, "hnsw": True},
    {"vectors": "turbo4", "quantization": None, "hnsw": False},
    {"vectors": "turbo4", "quantization": 1, "hnsw": False},
]
# The largest error of a dot product of unit vectors, about three times what was measured.
ERRORS = {"float16": 3e-4, "turbo8": 5e-3, "turbo4": 6e-2}


def signatures(seed: int, count: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


SIGNATURES = signatures(0, ROWS)
POINTS = [Point(make_point(n).id, SIGNATURES[n], make_payload(n)) for n in range(ROWS)]
QUERIES = np.ascontiguousarray(0.6 * SIGNATURES[:12] + 0.4 * signatures(1, 12))


def searched(
    collection: Collection, limit: int = 10, approximation: Approximation | None = None
) -> list[dict[UUID, float]]:
    answers = collection.search([SearchRequest(query, limit, fields=()) for query in QUERIES], approximation)
    return [{hit.id: hit.score for hit in hits} for hits in answers]


def indexed(collection: Collection) -> int:
    with collection._engine.using("count") as shard:  # type: ignore[attr-defined]
        return int(shard.info().indexed_vectors_count)


@pytest.fixture
def no_plain_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have graphs and coarse copies made for collections of any size."""
    monkeypatch.setattr("rise_store.store.embedded.engine._BUILD_KILOBYTES", 1)
    monkeypatch.setattr("rise_store.store.embedded.engine._PLAIN_KILOBYTES", 1)


@pytest.mark.usefixtures("no_plain_scan")
@pytest.mark.parametrize("storage", STORAGES, ids=lambda storage: "-".join(map(str, storage.values())))
def test_exact_searches_are_exact_in_every_storage(root: Path, storage: dict[str, Any]) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(dim=DIM, **storage), TABLES)
        collection.upsert(POINTS)
        before = searched(collection, ROWS)
        kept = collection.retrieve([POINTS[5].id], with_vectors=True)[POINTS[5].id].vector
        collection.tidy()
        if storage["quantization"] or storage["hnsw"]:
            assert indexed(collection) >= ROWS
        assert searched(collection, ROWS) == before  # neither a coarse copy nor a graph comes in
        for query, hits in zip(QUERIES, before, strict=True):
            assert len(hits) == ROWS
            true = {point.id: float(point.vector @ query) for point in POINTS}
            assert max(abs(score - true[id]) for id, score in hits.items()) < ERRORS[storage["vectors"]]
            assert collection.score(query, list(hits)[:5]) == dict(list(hits.items())[:5])

        collection.set_payload({POINTS[5].id: make_payload(5, text="new")})
        after = collection.retrieve([POINTS[5].id], with_vectors=True)[POINTS[5].id].vector
        np.testing.assert_array_equal(after, kept)  # moved to the growing segment, and not quantized anew
        assert kept is not None
        assert np.linalg.norm(kept) == pytest.approx(1.0, abs=2e-2)


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
        exact = searched(collection)
        found = searched(collection, 10, approximation)
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
        exact = searched(collection)

        def recall(oversampling: float) -> float:
            found = searched(collection, 10, Approximation("quantized", oversampling))
            shared = [len(best.keys() & hits.keys()) for best, hits in zip(exact, found, strict=True)]
            return float(np.mean(shared)) / 10

        assert recall(1.0) < recall(3.0) < recall(250.0) == 1.0


@pytest.mark.usefixtures("no_plain_scan")
def test_a_narrow_walk_misses_some_so_the_graph_is_in_use(root: Path) -> None:
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(dim=DIM, hnsw=True), TABLES)
        collection.upsert(POINTS)
        collection.tidy()
        exact = searched(collection)
        assert searched(collection, 10, Approximation("hnsw", ef=10)) != exact
        assert searched(collection, 10, Approximation("hnsw", ef=ROWS)) == exact


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
            (graph, Approximation("hnsw", ef=2**64), "ef"),
        ):
            with pytest.raises(ConfigError, match=problem):
                collection.search([SearchRequest(query, 1)], approximation)
        for scaling in (RowNorm(1.0, 1.0), PerChannel()):
            with pytest.raises(ConfigError, match="only dot products"):
                both.search([SearchRequest(query, 1, scaling=scaling)], Approximation("hnsw"))
        with pytest.raises(ConfigError, match=r"cannot pass over 10 rows: .*pages would overlap"):
            both.search([SearchRequest(query, 1), SearchRequest(query, 1, offset=10)], Approximation("hnsw"))


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
                assert float(np.linalg.norm(found)) == pytest.approx(length, rel=2e-2)
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
