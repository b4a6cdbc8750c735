"""Filters of the engine against what they mean, evaluated value by value."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_examples import make_id, make_payload, make_point, make_vector

from rise_store.errors import FilterError
from rise_store.records import ChannelNorms
from rise_store.store import And, Collection, Equals, Filter, Or, Payload, Point, SearchRequest
from rise_store.store.paths import join_path, parse_path


def matches(where: Filter, payload: Payload) -> bool:
    """The meaning of a filter; see `rise_store.store.embedded.filters`."""
    match where:
        case Equals(field, value):
            return any(equal(stored, value) for stored in values_at(payload, parse_path(field)))
        case And(parts):
            return all(matches(part, payload) for part in parts)
        case Or(parts):
            return any(matches(part, payload) for part in parts)


def values_at(value: Any, keys: tuple[str, ...]) -> list[Any]:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return []
        value = value[key]
    return value if isinstance(value, list) else [value]


def equal(stored: Any, value: Any) -> bool:
    if isinstance(stored, bool) or isinstance(value, (bool, str)):
        return type(stored) is type(value) and stored == value
    if not isinstance(stored, (int, float)):
        return False
    if isinstance(value, float):
        return abs(float(stored) - value) <= 2 * math.ulp(value)
    return stored == value


KEYS = st.sampled_from(["a", "b", "é", "a.b", "k[0]", "[]", "sp ace", "", "-", "\n", 'q"uote', "back\\slash"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(10**12), 10**12)
    | st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 25.891675029296334, 8.504738262592549e-10, 1e300])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "a", "true", "1", "é\x00"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)


def equalities(value: Any, keys: tuple[str, ...] = ("metadata",)) -> list[Equals]:
    """Every `Equals` that the value satisfies."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in equalities(inner, (*keys, key))]
    scalars = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, (str, int, float))]
    return [Equals(join_path(keys), scalar) for scalar in scalars]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), metadata=st.lists(METADATA, min_size=1, max_size=6))
def test_filters_mean_what_they_say(
    shared_collection: Collection, data: st.DataObject, metadata: list[dict[str, Any]]
) -> None:
    collection = shared_collection
    collection.delete([point.id for point in collection.scroll()])
    payloads = {make_id(number): make_payload(number, metadata=fields) for number, fields in enumerate(metadata)}
    collection.upsert([Point(id, make_vector(1), payload) for id, payload in payloads.items()])

    present = [found for fields in metadata for found in equalities(fields)]
    fields = st.sampled_from([found.field for found in present] or ["metadata.a"])
    scalars = SCALARS.filter(lambda value: value is not None)
    leaf = st.builds(Equals, fields, scalars)
    if present:
        leaf |= st.sampled_from(present)
    filters = st.recursive(
        leaf,
        lambda inner: (
            st.builds(And, st.lists(inner, max_size=3).map(tuple))
            | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
        ),
        max_leaves=5,
    )
    for where in data.draw(st.lists(filters, min_size=1, max_size=5)):
        try:
            found = {point.id for point in collection.scroll(where)}
        except FilterError:
            assert "uote" in repr(where) or "slash" in repr(where)
            continue
        assert found == {id for id, payload in payloads.items() if matches(where, payload)}, where
        assert collection.count(where) == len(found)
        assert {hit.id for hit in collection.search([SearchRequest(make_vector(1), 10, where)])[0]} == found


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
