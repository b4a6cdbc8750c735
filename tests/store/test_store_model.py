"""Any sequence of operations agrees with a dictionary and numpy."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import numpy as np
from engines import open_engine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_examples import DIM, FINGERPRINT, TABLES, make_id, make_payload, make_space, make_vector

from rise_store.store import And, Collection, Equals, Or, Point, SearchRequest

NUMBERS = st.integers(0, 30)
FIELDS = st.fixed_dictionaries(
    {
        "dataset": st.sampled_from(["books", "films"]),
        "license": st.sampled_from([None, "MIT", "CC0-1.0"]),
        "metadata": st.fixed_dictionaries(
            {}, optional={"bad": st.booleans(), "size": st.integers(0, 2), "score": st.sampled_from([0.5, 1.0])}
        ),
    }
)
FILTERS = st.recursive(
    st.sampled_from(
        [
            Equals("dataset", "books"),
            Equals("license", "MIT"),
            Equals("metadata.bad", True),
            Equals("metadata.bad", False),
            Equals("metadata.size", 1),
            Equals("metadata.score", 1.0),
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=2).map(tuple).flatmap(lambda parts: st.sampled_from([And(parts), Or(parts)]))
    ),
    max_leaves=3,
)


def matches(where: Any, payload: dict[str, Any]) -> bool:
    if isinstance(where, Equals):
        value: Any = payload
        for key in where.field.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value == where.value and isinstance(value, bool) == isinstance(where.value, bool)
    return (all if isinstance(where, And) else any)(matches(part, payload) for part in where.parts)


class StoreMachine(RuleBasedStateMachine):
    """One collection for all runs, emptied at the start of each."""

    collection: Collection

    @initialize()
    def empty(self) -> None:
        self.collection.delete([point.id for point in self.collection.scroll()])
        self.rows: dict[UUID, tuple[np.ndarray, dict[str, Any]]] = {}

    @rule(rows=st.lists(st.tuples(NUMBERS, st.integers(0, 1000), FIELDS), max_size=5))
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

    @rule(numbers=st.sets(NUMBERS, max_size=10))
    def delete(self, numbers: set[int]) -> None:
        self.collection.delete({make_id(number) for number in numbers})
        for number in numbers:
            self.rows.pop(make_id(number), None)

    @rule(seed=st.integers(0, 1000), limit=st.integers(1, 40), where=st.none() | FILTERS)
    def search(self, seed: int, limit: int, where: Any) -> None:
        query = make_vector(seed)
        found = self.collection.search([SearchRequest(query, limit, where)])[0]
        scores = {
            id: float(vector @ query)
            for id, (vector, payload) in self.rows.items()
            if where is None or matches(where, payload)
        }
        assert [hit.score for hit in found] == sorted(scores.values(), reverse=True)[:limit]
        assert all(hit.score == scores[hit.id] and hit.payload == self.rows[hit.id][1] for hit in found)
        assert len({hit.id for hit in found}) == len(found)

    @rule(seed=st.integers(0, 1000), numbers=st.lists(NUMBERS, max_size=10))
    def score(self, seed: int, numbers: list[int]) -> None:
        query = make_vector(seed)
        ids = [make_id(number) for number in numbers]
        expected = {id: float(self.rows[id][0] @ query) for id in ids if id in self.rows}
        assert self.collection.score(query, ids) == expected

    @rule(where=FILTERS)
    def filter(self, where: Any) -> None:
        expected = {id for id, (_, payload) in self.rows.items() if matches(where, payload)}
        assert self.collection.count(where) == len(expected)
        assert {point.id for point in self.collection.scroll(where)} == expected

    @rule(field=st.sampled_from(["dataset", "license", "flags"]))
    def facet(self, field: str) -> None:
        values = [payload.get(field, []) for _, payload in self.rows.values()]
        counts = Counter(value for held in values for value in (held if isinstance(held, list) else [held]))
        assert self.collection.facet(field) == counts
        assert self.collection.has_field(field) == bool(counts)

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


def machine(engine: str, examples: int) -> type:
    """The test case of one engine; hypothesis makes one of a class alone, so that fixtures cannot choose it."""

    class Machine(StoreMachine):
        resources = ExitStack()

    class Case(Machine.TestCase):  # type: ignore[misc, name-defined]
        settings = settings(max_examples=examples, stateful_step_count=15, deadline=None)

        @classmethod
        def setUpClass(cls) -> None:
            store = Machine.resources.enter_context(open_engine(engine))
            Machine.collection = store.create_space(make_space(FINGERPRINT, DIM), TABLES)

        @classmethod
        def tearDownClass(cls) -> None:
            Machine.resources.close()

    return Case


TestEmbedded = machine("embedded", examples=40)
TestLocal = machine("local", examples=20)
TestWire = machine("wire", examples=10)
