"""Any sequence of operations agrees with a dictionary and numpy."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from brute_force import elements_at, matches
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from store_examples import DIM, make_id, make_payload, make_vector

from rise_store.records import ChannelNorms
from rise_store.store import (
    And,
    Collection,
    DateRange,
    Equals,
    Exists,
    Filter,
    In,
    Not,
    Or,
    PerChannel,
    Point,
    Prefix,
    Range,
    RowNorm,
    SearchRequest,
)

DIM_RH = DIM - 1  # of `make_space`
NUMBERS = st.integers(0, 30)
NORMS = st.sampled_from([0.0, 0.001, 0.25, 0.6, 0.8, 1.0])
FIELDS = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["books", "films"]),
        "license": st.sampled_from([None, "MIT", "CC0-1.0", "CC-BY-4.0"]),
        "channel_norms": st.builds(ChannelNorms, rh=NORMS, gh=NORMS),
        "ingested_at": st.sampled_from(["2026-01-01T00:00:00Z", "2026-03-04T05:06:07Z"]),
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "bad": st.booleans(),
                "size": st.integers(0, 2),
                "score": st.sampled_from([0.5, 1.0]),
                "tags": st.lists(st.sampled_from(["x", "y", 1, 0.5]), max_size=2),
            },
        ),
    }
)
FILTERS = st.recursive(
    st.sampled_from(
        [
            Equals("dataset", "books"),
            Equals("metadata.bad", True),
            Equals("metadata.bad", False),
            Equals("metadata.size", 1),
            Equals("metadata.score", 1.0),
            Equals("metadata.tags", "x"),
            In("license", ("MIT", "CC-BY-4.0")),
            In("metadata.tags", ("y", 1)),
            In("metadata.size", ()),
            Range("metadata.size", gte=1),
            Range("metadata.score", gt=0.5),
            Range("tokens", gt=12, lte=30),
            DateRange("ingested_at", lt=datetime(2026, 2, 1, tzinfo=timezone.utc)),
            Prefix("license", "CC"),
            Exists("license"),
            Exists("vanished_in"),
            Exists("metadata.tags"),
        ]
    ),
    lambda inner: st.one_of(
        inner.map(Not), st.lists(inner, max_size=2).map(tuple).map(And), st.lists(inner, max_size=2).map(tuple).map(Or)
    ),
    max_leaves=3,
)


@st.composite
def requests(draw: st.DrawFn) -> SearchRequest:
    """A query with channel weights folded in, and whatever else a request may ask."""
    weights = draw(st.sampled_from([(1.0, 1.0), (0.0, 1.0), (2.0, 0.5), (1.0, 0.0)]))
    scaling = draw(st.sampled_from([None, RowNorm(1.0, 0.5), RowNorm(0.0, 3.0), PerChannel()]))
    least = draw(st.sampled_from([None, None, 0.0, 0.5, -1.015625]))  # multiples of 1/256, as dot products are
    if least is not None and scaling is not None:
        least += 1e-3  # which no score comes as near to as rounding could carry it
    return SearchRequest(
        (make_vector(draw(st.integers(0, 1000))) * np.repeat(weights, (DIM_RH, DIM - DIM_RH))).astype(np.float32),
        limit=draw(st.sampled_from([1, 3, 10, 40])),
        where=draw(st.none() | FILTERS),
        offset=draw(st.sampled_from([0, 0, 1, 5])),
        min_score=least,
        scaling=scaling,
    )


def score(request: SearchRequest, vector: np.ndarray, payload: dict[str, Any]) -> float:
    """The score of a row, by the definition."""
    products = vector.astype(float) * request.vector.astype(float)
    norms, scaling = payload["channel_norms"], request.scaling
    if isinstance(scaling, PerChannel):
        parts = ((products[:DIM_RH].sum(), norms["rh"]), (products[DIM_RH:].sum(), norms["gh"]))
        return float(sum(part / norm for part, norm in parts if norm))
    if isinstance(scaling, RowNorm):
        length = np.hypot(scaling.rh * norms["rh"], scaling.gh * norms["gh"])
        return float(products.sum() / length) if length else 0.0
    return float(products.sum())


class StoreMachine(RuleBasedStateMachine):
    """One collection for all runs, emptied at the start of each."""

    collection: Collection

    @initialize(fields=st.lists(FIELDS, min_size=1, max_size=5))
    def begin(self, fields: list[dict[str, Any]]) -> None:
        self.collection.delete([point.id for point in self.collection.scroll()])
        self.rows: dict[UUID, tuple[np.ndarray, dict[str, Any]]] = {}
        self.upsert([(number, number, fields[number % len(fields)]) for number in range(20)])

    def passing(self, where: Filter | None) -> set[UUID]:
        return {id for id, (_, payload) in self.rows.items() if where is None or matches(where, payload)}

    @rule(rows=st.lists(st.tuples(NUMBERS, st.integers(0, 1000), FIELDS), max_size=8))
    def upsert(self, rows: list[tuple[int, int, dict[str, Any]]]) -> None:
        points = [
            Point(make_id(n), make_vector(seed), {**make_payload(n, **fields), "text": str(seed)})
            for n, seed, fields in rows
        ]
        self.collection.upsert(points)
        self.rows.update((point.id, (point.vector, point.payload)) for point in points)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), fields=FIELDS)
    def set_payload(self, data: st.DataObject, fields: dict[str, Any]) -> None:
        ids = data.draw(st.sets(st.sampled_from(sorted(self.rows)), min_size=1))
        payload = make_payload(99, **fields)
        self.collection.set_payload(dict.fromkeys(ids, payload))
        self.rows.update((id, (self.rows[id][0], payload)) for id in ids)

    @rule(numbers=st.sets(NUMBERS, max_size=4))
    def delete(self, numbers: set[int]) -> None:
        self.collection.delete({make_id(number) for number in numbers})
        for number in numbers:
            self.rows.pop(make_id(number), None)

    @rule(where=FILTERS)
    def delete_where(self, where: Filter) -> None:
        gone = self.passing(where)
        self.collection.delete_where(where)
        self.rows = {id: row for id, row in self.rows.items() if id not in gone}

    @rule(where=FILTERS, version=st.sampled_from(["v2", "v3"]))
    def mark(self, where: Filter, version: str) -> None:
        marked = self.passing(where)
        self.collection.mark(where, "vanished_in", version)
        self.rows |= {id: (self.rows[id][0], {**self.rows[id][1], "vanished_in": version}) for id in marked}

    @rule(requests=st.lists(requests(), min_size=1, max_size=4))
    def search(self, requests: list[SearchRequest]) -> None:
        for request, found in zip(requests, self.collection.search(requests), strict=True):
            least = -np.inf if request.min_score is None else request.min_score
            scores = {id: score(request, *self.rows[id]) for id in self.passing(request.where)}
            ranked = sorted((s for s in scores.values() if s >= least), reverse=True)
            # Weights and vectors are such that float32 holds dot products exactly; divisions round.
            near = {"rel": 0, "abs": 0} if request.scaling is None else {"rel": 1e-6, "abs": 1e-9}
            page = ranked[request.offset : request.offset + request.limit]
            assert [hit.score for hit in found] == pytest.approx(page, **near)
            for hit in found:
                assert hit.score == pytest.approx(scores[hit.id], **near)
                assert hit.payload == self.rows[hit.id][1]
            assert len({hit.id for hit in found}) == len(found)

    @rule(seed=st.integers(0, 1000), numbers=st.lists(NUMBERS, max_size=10))
    def score(self, seed: int, numbers: list[int]) -> None:
        query = make_vector(seed)
        ids = [make_id(number) for number in numbers]
        expected = {id: float(self.rows[id][0] @ query) for id in ids if id in self.rows}
        assert self.collection.score(query, ids) == expected

    @rule(where=FILTERS, number=NUMBERS)
    def filter(self, where: Filter, number: int) -> None:
        expected = self.passing(where)
        assert self.collection.count(where) == len(expected)
        assert {point.id for point in self.collection.scroll(where)} == expected
        after = [point.id for point in self.collection.scroll(where, after=make_id(number), fields=())]
        assert after == sorted(id for id in expected if id > make_id(number))

    @rule(field=st.sampled_from(["dataset", "license", "flags", "vanished_in"]), where=st.none() | FILTERS)
    def facet(self, field: str, where: Filter | None) -> None:
        values = [elements_at(self.rows[id][1], field) for id in self.passing(where)]
        counts = Counter(value for held in values for value in held if value is not None)
        assert self.collection.facet(field, where=where) == counts

    @rule(field=st.sampled_from(["license", "flags", "metadata.tags"]))
    def has_field(self, field: str) -> None:
        assert self.collection.has_field(field) == bool(self.passing(Exists(field)))

    @rule(size=st.integers(1, 40))
    def sample(self, size: int) -> None:
        drawn = {point.id: point.payload for point in self.collection.sample(size)}
        assert len(drawn) == min(size, len(self.rows))
        assert all(self.rows[id][1] == payload for id, payload in drawn.items())

    @invariant()
    def holds_the_same_rows(self) -> None:
        if not hasattr(self, "rows"):
            return
        assert self.collection.count() == len(self.rows)
        points = list(self.collection.scroll(with_vectors=True))
        assert [point.id for point in points] == sorted(self.rows)
        for point in points:
            vector, payload = self.rows[point.id]
            np.testing.assert_array_equal(point.vector, vector)
            assert point.payload == payload


def test_any_sequence_of_operations_agrees(shared_collection: Collection) -> None:
    class Machine(StoreMachine):
        collection = shared_collection

    run_state_machine_as_test(Machine, settings=settings(max_examples=40, stateful_step_count=20, deadline=None))
