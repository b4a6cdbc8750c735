"""Filters of both engines against what they mean, evaluated value by value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from brute_force import matches
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import QdrantClient, models
from store_examples import make_id, make_payload, make_point, make_vector

from rise_store.errors import FilterError
from rise_store.records import ChannelNorms
from rise_store.store import Collection, Payload, Point, SearchRequest
from rise_store.store.filters import And, DateRange, Equals, Exists, Filter, In, Not, Or, Prefix, Range
from rise_store.store.paths import join_path
from rise_store.store.translate import to_client, to_edge

KEYS = st.sampled_from(["a", "b", "é", "a.b", "k[0]", "[]", "sp ace", "", "-", "\n", 'q"uote', "back\\slash"])
TEXTS = st.sampled_from(["", "a", "true", "1", "é\x00", "ab", "A", "ab\nc", "éa"])
DATES = st.sampled_from(
    [
        "2026-01-05",
        "2026-01-05T00:00:00",
        "2026-01-05T10:00:00Z",
        "2026-01-05T10:00:00+05:00",
        "2026-01-04T23:30:00-00:30",
        "2026-01-05T10:00:00.123456Z",
        "1999-12-31T23:59:59.999999Z",
        "2026-02-30",
        "5 January 2026",
    ]
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = (
    st.integers(-3, 3)
    | st.integers(-(10**12), 10**12)
    | st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, -1.5, 2.0, 25.891675029296334, 8.504738262592549e-10, 1e300])
    | FLOATS
)
SCALARS = st.booleans() | NUMBERS | TEXTS | DATES
VALUES = st.recursive(
    st.none() | SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)
MOMENTS = st.builds(
    datetime,
    st.just(2026),
    st.just(1),
    st.sampled_from([4, 5]),
    st.sampled_from([0, 5, 10, 23]),
    st.sampled_from([0, 30]),
    microsecond=st.sampled_from([0, 123456]),
    tzinfo=st.sampled_from([None, timezone.utc, timezone(timedelta(hours=5))]),
)


def values_below(value: Any, keys: tuple[str, ...] = ("metadata",)) -> Iterator[tuple[str, Any]]:
    """Every path into a payload's metadata, with the scalars there, or None where there are none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from values_below(inner, (*keys, key))
    for item in value if isinstance(value, list) and value else [value]:
        yield join_path(keys), item if isinstance(item, (str, int, float)) else None


def bounds(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the four bounds."""
    return st.dictionaries(st.sampled_from(["gt", "gte", "lt", "lte"]), values, max_size=3)


def filters_for(metadata: Sequence[dict[str, Any]]) -> st.SearchStrategy[Filter]:
    """Filter trees most of whose leaves speak of fields and values that the metadata have."""
    present = [found for fields in metadata for found in values_below(fields)]
    fields = st.sampled_from([field for field, _ in present]) | st.just("metadata.absent")
    stored = [value for _, value in present if value is not None]
    values = SCALARS | st.sampled_from(stored) if stored else SCALARS
    numbers = values.filter(lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)) | NUMBERS
    texts = values.filter(lambda value: isinstance(value, str)) | TEXTS
    leaf = (
        st.builds(Equals, fields, values)
        | st.builds(In, fields, st.lists(values, max_size=4).map(tuple))
        | st.builds(lambda field, given: Range(field, **given), fields, bounds(numbers))
        | st.builds(lambda field, given: DateRange(field, **given), fields, bounds(MOMENTS))
        | st.builds(Prefix, fields, texts | texts.map(lambda text: text[:1]))
        | st.builds(Exists, fields)
    )
    if stored:
        leaf |= st.sampled_from([Equals(field, value) for field, value in present if value is not None])
    return st.recursive(
        leaf,
        lambda inner: (
            st.builds(And, st.lists(inner, max_size=3).map(tuple))
            | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
            | st.builds(Not, inner)
        ),
        max_leaves=5,
    )


@pytest.fixture(scope="module")
def client() -> Iterator[QdrantClient]:
    """The client's local mode, which means by filters what a server does."""
    client = QdrantClient(":memory:")
    client.create_collection("points", vectors_config=models.VectorParams(size=1, distance=models.Distance.DOT))
    yield client
    client.close()


def passing(client: QdrantClient, payloads: dict[UUID, Payload], filters: Sequence[Filter]) -> list[set[UUID]]:
    """Which of the payloads pass each filter, as the client has it."""
    client.delete("points", models.Filter())
    client.upsert("points", [models.PointStruct(id=str(id), vector=[1.0], payload=p) for id, p in payloads.items()])
    found = [client.scroll("points", to_client(where), limit=len(payloads) + 1)[0] for where in filters]
    return [{UUID(str(record.id)) for record in records} for records in found]


def expressible(where: Filter) -> bool:
    try:
        to_edge(where)
    except FilterError:
        return False
    return True


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), metadata=st.lists(METADATA, min_size=1, max_size=6))
def test_filters_mean_what_they_say(
    shared_collection: Collection, client: QdrantClient, data: st.DataObject, metadata: list[dict[str, Any]]
) -> None:
    collection = shared_collection
    collection.delete([point.id for point in collection.scroll()])
    payloads = {make_id(number): make_payload(number, metadata=fields) for number, fields in enumerate(metadata)}
    collection.upsert([Point(id, make_vector(1), payload) for id, payload in payloads.items()])
    drawn = data.draw(st.lists(filters_for(metadata), min_size=1, max_size=5))
    assert all(expressible(where) or "uote" in repr(where) or "slash" in repr(where) for where in drawn)
    filters = [where for where in drawn if expressible(where)]

    expected = [{id for id, payload in payloads.items() if matches(where, payload)} for where in filters]
    assert passing(client, payloads, filters) == expected
    for where, ids in zip(filters, expected, strict=True):
        assert {point.id for point in collection.scroll(where)} == ids, where
        assert collection.count(where) == len(ids)
        assert {hit.id for hit in collection.search([SearchRequest(make_vector(1), 10, where)])[0]} == ids


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("example_id", "row-3"),
        ("dataset", "films"),
        ("ingested_at", "2026-01-03T00:00:00Z"),
        ("tokens", 13),
        ("tokens", 13.0),
        ("channel_norms.rh", 0.3),
        ("license", "MIT"),
        ("text", "text of row 3"),
    ],
)
def test_own_fields_can_be_filtered(collection: Collection, field: str, value: str | float) -> None:
    special = make_point(
        3, ingested_at="2026-01-03T00:00:00Z", channel_norms=ChannelNorms(rh=0.1 + 0.2, gh=0.9), license="MIT"
    )
    collection.upsert([make_point(1), Point(special.id, special.vector, {**special.payload, "dataset": "films"})])
    assert [point.id for point in collection.scroll(Equals(field, value))] == [special.id]


def test_large_integers_are_told_apart_as_far_as_the_engine_can(collection: Collection) -> None:
    integers = [2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63 + 2**20, 2**64 - 1]
    collection.upsert([make_point(number, metadata={"n": integer}) for number, integer in enumerate(integers)])
    for number, integer in enumerate(integers):
        assert [point.id for point in collection.scroll(Equals("metadata.n", integer))] == [make_id(number)]
    assert collection.count(Equals("metadata.n", 2**64)) == 0
    assert collection.count(Equals("metadata.n", 10**400)) == 0


def test_a_list_of_objects_is_not_reached_into(collection: Collection) -> None:
    collection.upsert([make_point(1, metadata={"turns": [{"role": "user", "ok": True}]})])
    assert collection.count(Equals("metadata.turns.role", "user")) == 0
    assert collection.count(Equals("metadata.turns.ok", True)) == 0


def test_lists_mix_kinds(collection: Collection) -> None:
    values: list[Any] = ["MIT", 1, 1.0, True, "1", None, ["x", 2.5], "true"]
    collection.upsert([make_point(number, metadata={"v": value}) for number, value in enumerate(values)])

    def found(*values: str | float) -> list[int]:
        ids = {point.id for point in collection.scroll(In("metadata.v", values))}
        return [number for number in range(8) if make_id(number) in ids]

    assert found("MIT", 1) == [0, 1, 2]
    assert found(True) == [3]
    assert found("1", "x", False) == [4, 6]
    assert found(2.5, "true") == [6, 7]
    assert found() == []


def test_what_exists(collection: Collection) -> None:
    values: list[Any] = [None, [], [None], False, 0, "", {}, [[]]]
    collection.upsert([make_point(number, metadata={"v": value}) for number, value in enumerate(values)])
    collection.upsert([make_point(8)])
    absent = {point.id for point in collection.scroll(Not(Exists("metadata.v")))}
    assert absent == {make_id(0), make_id(1), make_id(8)}


def test_a_bound_that_is_a_float_includes_what_was_stored_as_that_float(collection: Collection) -> None:
    rounded_by_the_engine = 25.891675029296334
    collection.upsert([make_point(1, metadata={"v": rounded_by_the_engine})])
    assert collection.count(Range("metadata.v", gte=rounded_by_the_engine)) == 1
    assert collection.count(Range("metadata.v", lte=rounded_by_the_engine)) == 1
    assert collection.count(Range("metadata.v", gt=rounded_by_the_engine)) == 0
    assert collection.count(Range("metadata.v", lt=rounded_by_the_engine)) == 0


EAST = timezone(timedelta(hours=5))


@pytest.mark.parametrize("translate", [to_edge, to_client])
@pytest.mark.parametrize(
    ("where", "message"),
    [
        (Equals("a", math.nan), "a cannot equal nan: compare with a string, a boolean or a finite number"),
        (In("a", ("x", math.inf)), "a cannot equal inf"),
        (Equals("a", "\ud800"), r"a cannot equal '\\ud800': it is not valid Unicode"),
        (In("a", ("\ud800",)), r"a cannot equal '\\ud800': it is not valid Unicode"),
        (Prefix("a", "\ud800"), r"a cannot start with '\\ud800': it is not valid Unicode"),
        (Range("a", gt=math.inf), "a cannot be compared with inf: use a finite number"),
        (Range("a", lte=10**400), "a cannot be compared with 1000.*: use a finite number"),
        (Range("a", lte=True), "a cannot be compared with True: use a finite number"),
        (DateRange("a", gt=datetime(1, 1, 1, tzinfo=EAST)), "a cannot be compared with 0001-.*outside the years 1 to"),
        (Prefix("a..b", "x"), "'a..b' is not a field"),
        (Exists('"a\\"b"'), "holds a quote or a backslash"),
        (Or((None,)), "None is not a filter"),  # type: ignore[arg-type]
    ],
)
def test_filters_that_cannot_be_expressed_are_refused(translate: Any, where: Filter, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        translate(And((Not(where),)))


def test_no_filter_is_none() -> None:
    assert to_edge(None) is None
    assert to_client(None) is None
