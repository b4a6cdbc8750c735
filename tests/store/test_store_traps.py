"""What the embedded engine does by itself, one test each: the reasons for what the store does about it.

All pinned with qdrant-edge-py 0.9.0. When one fails after an upgrade, the guard it names may no longer be needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import qdrant_edge as edge
from store_examples import DIM, quick_folder

from rise_store.records import Storage
from rise_store.store.embedded.engine import VECTOR, shard_config
from rise_store.store.json_values import MAX_DEPTH


@pytest.fixture
def shard() -> Iterator[edge.EdgeShard]:
    """A bare shard of the engine, without any of our guards."""
    with quick_folder() as folder:
        (folder / "points").mkdir()
        shard = edge.EdgeShard.create(str(folder / "points"), shard_config(DIM, 2**20, Storage()))
        yield shard
        shard.close()


def put(shard: edge.EdgeShard, number: int, payload: dict[str, object], value: float = 1.0) -> None:
    vector = np.full(DIM, value, np.float32)
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(UUID(int=number), {VECTOR: vector.data}, payload)]))  # type: ignore[dict-item]


def count(shard: edge.EdgeShard, *must: object) -> int:
    return shard.count(edge.CountRequest(exact=True, filter=edge.Filter(must=list(must))))  # type: ignore[arg-type]


def best(shard: edge.EdgeShard, query: object) -> list[edge.ScoredPoint]:
    nearest = edge.Query.Nearest(query, using=VECTOR)  # type: ignore[arg-type, call-arg]
    return shard.query(edge.QueryRequest(10, query=nearest, params=edge.SearchParams(exact=True)))


def test_booleans_match_nothing(shard: edge.EdgeShard) -> None:
    """Guard: `flags`, and `Equals(field, True)` as a match on them."""
    put(shard, 1, {"x": True})
    assert count(shard, edge.FieldCondition(key="x", match=edge.MatchValue(True))) == 0


def test_an_infinite_row_tops_every_query(shard: edge.EdgeShard) -> None:
    """Guard: `check_signatures`."""
    put(shard, 1, {}, value=1.0)
    put(shard, 2, {}, value=math.inf)
    assert best(shard, np.ones(DIM, np.float32).data)[0].id == UUID(int=2)


def test_a_number_beyond_float16_becomes_infinite(shard: edge.EdgeShard) -> None:
    """Guard: `check_signatures`."""
    put(shard, 1, {}, value=70_000.0)
    assert best(shard, np.ones(DIM, np.float32).data)[0].score == math.inf


def test_queries_are_rounded_to_float16(shard: edge.EdgeShard) -> None:
    """Guard: `scaled_queries`."""
    put(shard, 1, {}, value=1.0)
    assert best(shard, np.full(DIM, 1e-8, np.float32).data)[0].score == 0.0


def test_a_wrong_dimension_in_a_batch_is_an_error_after_the_log_has_it(shard: edge.EdgeShard) -> None:
    """Guard: `check_signatures` looks at the whole batch before any write."""
    points = [edge.Point(UUID(int=n), {VECTOR: np.ones(DIM - (n == 5), np.float32).data}) for n in range(1, 9)]  # type: ignore[dict-item]
    with pytest.raises(Exception, match="expected dim: 24, got 23"):
        shard.update(edge.UpdateOperation.upsert_points(points))


def test_payloads_beyond_125_levels_can_be_written_but_not_read(shard: edge.EdgeShard) -> None:
    """Guard: `MAX_DEPTH`."""
    payload: dict[str, object] = {}
    for _ in range(130):
        payload = {"a": payload}
    put(shard, 1, payload)
    with pytest.raises(Exception, match="recursion limit exceeded"):
        shard.retrieve([UUID(int=1)], True, False)
    assert MAX_DEPTH < 125


def test_integers_beyond_64_bits_become_floats(shard: edge.EdgeShard) -> None:
    """Guard: `check_value`."""
    put(shard, 1, {"n": 2**64 + 1})
    assert shard.retrieve([UUID(int=1)], True, False)[0].payload == {"n": float(2**64)}


def test_some_floats_are_rounded(shard: edge.EdgeShard) -> None:
    """Guard: the exact copies of `encode`, and the tolerance of `Equals`."""
    put(shard, 1, {"x": 25.891675029296334})
    assert shard.retrieve([UUID(int=1)], True, False)[0].payload == {"x": 25.891675029296337}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_payloads_hold_no_nan_or_inf(shard: edge.EdgeShard, value: float) -> None:
    """Guard: `check_value`, which names the example."""
    with pytest.raises(ValueError, match="failed to convert"):
        put(shard, 1, {"x": value})


def test_an_empty_should_matches_everything(shard: edge.EdgeShard) -> None:
    """Guard: `Or(())` becomes a filter that nothing passes."""
    put(shard, 1, {})
    assert count(shard, edge.Filter(should=[])) == 1


def test_keys_with_quotes_or_backslashes_have_no_path(shard: edge.EdgeShard) -> None:
    """Guard: `engine_path`."""
    for path in ('x."q\\"uote"', 'x."back\\slash"', 'x.q"uote'):
        with pytest.raises(ValueError, match="invalid JSON path"):
            count(shard, edge.FieldCondition(key=path, match=edge.MatchValue(1)))


def test_facets_list_deleted_values(shard: edge.EdgeShard) -> None:
    """Guard: `facet` leaves out counts of 0."""
    shard.update(edge.UpdateOperation.create_field_index("dataset", edge.PayloadSchemaType.Keyword))
    put(shard, 1, {"dataset": "books"})
    shard.update(edge.UpdateOperation.delete_points([UUID(int=1)]))
    hits = shard.facet(edge.FacetRequest("dataset", exact=True)).hits
    assert [(hit.value, hit.count) for hit in hits] == [("books", 0)]


def test_payloads_of_unknown_points_are_an_error_after_others_were_set(shard: edge.EdgeShard) -> None:
    """Guard: `set_payload` looks for all ids before any write."""
    put(shard, 1, {"a": 1})
    with pytest.raises(Exception, match="No point with id"):
        shard.update(edge.UpdateOperation.overwrite_payload([UUID(int=1), UUID(int=2)], {"a": 2}))
    assert shard.retrieve([UUID(int=1)], True, False)[0].payload == {"a": 2}


def test_a_second_opening_is_refused_with_a_message_that_helps_nobody(tmp_path: Path) -> None:
    """Guard: `StoreLock`, and the translation of WouldBlock."""
    (tmp_path / "points").mkdir()
    shard = edge.EdgeShard.create(str(tmp_path / "points"), shard_config(DIM, 2**20, Storage()))
    with pytest.raises(Exception, match="WouldBlock"):
        edge.EdgeShard.load(str(tmp_path / "points"))
    shard.close()
