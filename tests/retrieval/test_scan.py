"""Scanning every row gives the scores that a search gives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rise_store.records import Metric
from rise_store.retrieval import Scoring, scan_scores
from rise_store.store import Collection, SearchRequest
from tests.retrieval.channel_rows import ESTIMATOR, Channels, collection_of

ROWS = Channels.random(40, seed=0)


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    with collection_of(ROWS) as collection:
        yield collection


@pytest.mark.parametrize("metric", ["dot", "cosine", "paper"])
def test_as_a_search_of_all_rows(collection: Collection, metric: Metric) -> None:
    scoring = Scoring.plan(ESTIMATOR, metric)
    queries = Channels.random(2, seed=1).signatures().astype(np.float32)
    folded = scoring.fold(scoring.features(queries))
    scanned = {
        point.id: scores
        for page in scan_scores(collection, folded, scoring)
        for point, scores in zip(page.points, page.scores, strict=True)
    }
    assert len(scanned) == 40
    for number, vector in enumerate(folded):
        (hits,) = collection.search([SearchRequest(vector, 40, scaling=scoring.scaling)])
        assert len(hits) == 40
        for hit in hits:
            assert scanned[hit.id][number] == pytest.approx(hit.score, abs=1e-3)
