"""An index makes filters fast and changes no answer, in growing segments and in sealed ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import qdrant_edge as edge
from brute_force import matches
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_examples import make_point, quick_folder

from rise_store.errors import FilterError
from rise_store.records import Storage
from rise_store.store import Collection, IndexKind
from rise_store.store.embedded.engine import VECTOR, shard_config
from rise_store.store.filters import And, DateRange, Equals, Exists, Filter, In, Not, Or, Prefix, Range
from rise_store.store.translate import to_client, to_edge

FIELD = "metadata.f"
TYPES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "datetime": edge.PayloadSchemaType.Datetime,
}
TEXTS = ["", "ab", "abc", "b", "2026-01-05", "2026-01-05T10:00:00Z", "2026-01-05T10:00:00+05:00"]
INTEGERS = [-2, -1, 0, 1, 2, 3, 2**40]
FLOATS = [-1.5, -1.0, 0.5, 1.0, 1.5, 2.5]
OTHERS = [None, [], True, {}, {"k": 1}]
BOUNDS = st.dictionaries(
    st.sampled_from(["gt", "gte", "lt", "lte"]), st.sampled_from([*INTEGERS, *FLOATS]), min_size=1, max_size=3
)
DAYS = st.dictionaries(
    st.sampled_from(["gt", "gte", "lt", "lte"]),
    st.sampled_from([datetime(2026, 1, 5), datetime(2026, 1, 5, 10), datetime(2026, 1, 5, 5, 0, 0, 1)]),
    min_size=1,
    max_size=2,
)


def filters() -> st.SearchStrategy[Filter]:
    scalars = st.sampled_from([*TEXTS, *INTEGERS, *FLOATS])
    leaf = (
        st.builds(Equals, st.just(FIELD), scalars)
        | st.builds(In, st.just(FIELD), st.lists(scalars, max_size=3).map(tuple))
        | BOUNDS.map(lambda given: Range(FIELD, **given))
        | DAYS.map(lambda given: DateRange(FIELD, **given))
        | st.builds(Prefix, st.just(FIELD), st.sampled_from(["", "a", "ab", "2026-01-05T"]))
        | st.just(Exists(FIELD))
    )
    pair = st.lists(leaf, min_size=2, max_size=2).map(tuple)
    return leaf | leaf.map(Not) | pair.map(And) | pair.map(Or)


@contextmanager
def indexed(kind: IndexKind, payloads: dict[UUID, dict[str, Any]], *, sealed: bool) -> Iterator[edge.EdgeShard]:
    """A shard that holds the payloads, with an index on `FIELD`."""
    with quick_folder() as folder:
        (folder / "points").mkdir()
        shard = edge.EdgeShard.create(str(folder / "points"), shard_config(512, 2**20, Storage(), purge=sealed))
        shard.update(edge.UpdateOperation.create_field_index(FIELD, TYPES[kind]))
        vector = np.ones(512, np.float32)
        points = [edge.Point(id, {VECTOR: vector.data}, payload) for id, payload in payloads.items()]  # type: ignore[dict-item]
        shard.update(edge.UpdateOperation.upsert_points(points))
        if sealed:
            assert shard.optimize()
            shard.flush()
        yield shard
        shard.close()


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_an_index_changes_no_answer(kind: IndexKind, sealed: bool) -> None:
    values: list[Any] = [*TEXTS, *INTEGERS, *OTHERS, ["ab", "x"], [1, 3], ["ab", 2], [None, "b"]]
    if kind != "integer":  # which does not see them, and says so
        values += [*FLOATS, [0.5, 2.5], [2, "abc", 1.5]]
    payloads: dict[UUID, dict[str, Any]] = {
        UUID(int=number): {"metadata": {"f": value}} for number, value in enumerate(values)
    }
    payloads[UUID(int=999)] = {"metadata": {"g": 1}}
    with indexed(kind, payloads, sealed=sealed) as shard:

        @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(where=filters())
        def check(where: Filter) -> None:
            try:
                translated = to_edge(where, {FIELD: kind})
            except FilterError:
                assert kind != "keyword"
                return
            records, _ = shard.scroll(edge.ScrollRequest(limit=100, filter=translated))
            assert {record.id for record in records} == {id for id, p in payloads.items() if matches(where, p)}

        check()


def test_own_fields_keep_to_the_kind_of_their_index(collection: Collection) -> None:
    collection.upsert([make_point(number) for number in range(5)])  # of 10 to 14 tokens
    assert collection.count(Range("tokens", gte=11.5)) == 3
    assert collection.count(Range("tokens", lt=12.5)) == 3
    assert collection.count(Equals("tokens", 12.0)) == 1
    assert collection.count(Range("tokens", gt=10, lte=13)) == 3
    assert collection.count(DateRange("ingested_at", gte=datetime(2026, 1, 1), lt=datetime(2026, 1, 2))) == 5
    assert collection.count(DateRange("ingested_at", gt=datetime(2026, 1, 1))) == 0


@pytest.mark.parametrize("translate", [to_edge, to_client])
@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Range("ingested_at", gt=5), "cannot compare ingested_at with a number: it has an index of type datetime"),
        (Equals("ingested_at", 5), "cannot compare ingested_at with a number: it has an index of type datetime"),
        (DateRange("tokens", gt=datetime(2026, 1, 1)), "cannot compare tokens with a date: it has an index of type"),
    ],
)
def test_what_an_index_would_answer_wrongly_is_refused(translate: Any, where: Filter, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        translate(Not(And((where,))))
