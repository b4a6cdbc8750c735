"""What every backend promises of rankings in which many rows have one score, as equal texts have."""

from __future__ import annotations

import numpy as np
import pytest
from store_examples import DIM, make_id, make_payload, make_point, make_vector

from rise_store.store import Collection, PerChannel, Point, RowNorm, Scaling, SearchRequest

QUERY = make_vector(1_000)


@pytest.mark.parametrize("scaling", [None, RowNorm(1.0, 2.0), PerChannel()])
@pytest.mark.parametrize("limit", [1, 7, 50])
def test_pages_join_to_one_ranking(collection: Collection, scaling: Scaling | None, limit: int) -> None:
    vectors = [make_vector(number % 3) for number in range(120)]  # three texts, forty times each
    collection.upsert([Point(make_id(n), vectors[n], make_payload(n)) for n in range(120)])
    (whole,) = collection.search([SearchRequest(QUERY, 120, scaling=scaling)])
    ranked = [(-hit.score, hit.id) for hit in whole]
    assert ranked == sorted(ranked)
    requests = [SearchRequest(QUERY, limit, offset=at, scaling=scaling) for at in range(0, 120, limit)]
    pages = collection.search(requests)
    assert [hit for page in pages for hit in page] == whole


def test_a_query_of_zeros_ranks_by_id(collection: Collection) -> None:
    collection.upsert([make_point(number) for number in range(50)])
    zeros = np.zeros(DIM, np.float32)
    (hits,) = collection.search([SearchRequest(zeros, 10, offset=5, fields=("tokens",))])
    assert [hit.id for hit in hits] == sorted(make_id(number) for number in range(50))[5:15]
    assert all(hit.payload.keys() == {"tokens"} for hit in hits)
