"""Approximate searches: which one a space's storage offers, and what answers say of it."""

from __future__ import annotations

import numpy as np
import pytest

from rise_store import ConfigError, Query
from rise_store.records import ApproximateSearch, Storage
from rise_store.retrieval import Search, attribute, influence
from rise_store.retrieval.approximate import approximations, choose_approximation
from tests.retrieval.channel_rows import Channels, collection_of

COARSE, GRAPH, BOTH = Storage(quantization=4), Storage(hnsw=True), Storage(quantization=2, hnsw=True)
QUERY = Query(text="made of channels")


@pytest.mark.parametrize(
    ("storage", "oversampling", "ef", "chosen"),
    [
        (COARSE, None, None, ApproximateSearch(method="quantized", oversampling=4)),
        (COARSE, 8.0, None, ApproximateSearch(method="quantized", oversampling=8)),
        (GRAPH, None, None, ApproximateSearch(method="hnsw")),
        (GRAPH, None, 99, ApproximateSearch(method="hnsw", ef=99)),
        (BOTH, None, None, ApproximateSearch(method="hnsw")),
        (BOTH, 2.0, 99, ApproximateSearch(method="hnsw", oversampling=2, ef=99)),
    ],
)
def test_the_storage_decides(
    storage: Storage, oversampling: float | None, ef: int | None, chosen: ApproximateSearch
) -> None:
    assert choose_approximation(storage, oversampling, ef) == chosen


@pytest.mark.parametrize(
    ("storage", "oversampling", "ef", "message"),
    [
        (Storage(), None, None, "no approximate search; ingest into a new store with --quantization or --hnsw"),
        (COARSE, None, 64, "ef is 64, but this space has no graph"),
        (GRAPH, 2.0, None, "oversampling is 2, but this space has no coarse copy"),
        (COARSE, 0.5, None, "approximate search: oversampling: Input should be greater than or equal to 1"),
        (COARSE, float("nan"), None, "approximate search: oversampling"),
        (GRAPH, None, 0, "approximate search: ef: Input should be greater than or equal to 1"),
    ],
)
def test_what_a_space_has_not_is_refused(
    storage: Storage, oversampling: float | None, ef: int | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        choose_approximation(storage, oversampling, ef)


def test_what_an_audit_tries() -> None:
    assert approximations(Storage()) == []
    assert [one.oversampling for one in approximations(COARSE)] == [1, 2, 4, 8]
    assert [one.ef for one in approximations(GRAPH)] == [one.ef for one in approximations(BOTH)] == [64, 128, 256]


@pytest.mark.parametrize("storage", [COARSE, BOTH], ids=["coarse copy", "both"])
def test_answers_are_found_by_it_scored_exactly_and_say_so(storage: Storage) -> None:
    rows = Channels.random(200, seed=4)
    signatures = Channels.random(3, seed=1).signatures()
    with collection_of(rows, storage=storage) as collection:
        search = Search.plan(collection, [QUERY] * 3, k=20, approximate=True, weights="rh=1,gh=2", oversampling=8)
        results = attribute(search, signatures.astype(np.float32))
        groups = influence(search, signatures.astype(np.float32), "dataset", 50)
        with pytest.raises(ConfigError, match="an approximate search does not reach all examples"):
            influence(search, signatures.astype(np.float32), "dataset", None)
    stored, half = rows.signatures(), search.collection.space.estimator.dim_rh
    for signature, result in zip(signatures, results, strict=True):
        assert result.approximate == search.approximate
        assert result.approximate is not None
        exact = stored[:, :half] @ signature[:half] + 2 * stored[:, half:] @ signature[half:]
        best = {f"row-{row}" for row in np.argsort(-exact)[:20]}
        assert len(best & {hit.example_id for hit in result.results}) >= 18
        for hit in result.results:
            row = int(hit.example_id.removeprefix("row-"))
            assert hit.score == pytest.approx(exact[row], abs=5e-3)
            assert hit.channels.rh == pytest.approx(stored[row, :half] @ signature[:half], abs=5e-3)
    assert [(answer.rows, answer.approximate) for answer in groups] == [(50, search.approximate)] * 3
