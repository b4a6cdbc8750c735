"""Setting one field on every row that a filter lets through."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from store_examples import FINGERPRINT, TABLES, make_id, make_payload, make_point, make_space, make_vector

from rise_store.errors import ConfigError, FilterError, InputError
from rise_store.store import And, Collection, Equals, Exists, In, Not, Range, open_store
from rise_store.store.embedded import upkeep


def test_marks_what_the_filter_lets_through_and_nothing_else(collection: Collection) -> None:
    collection.upsert([make_point(number, dataset_version="v1" if number < 5 else "v2") for number in range(8)])
    collection.mark(Equals("dataset_version", "v1"), "vanished_in", "v2")
    assert collection.count(Equals("vanished_in", "v2")) == 5
    assert collection.count(Not(Exists("vanished_in"))) == 3
    assert collection.facet("vanished_in") == {"v2": 5}
    points = collection.retrieve([make_id(0), make_id(7)])
    assert points[make_id(0)].payload == make_payload(0, dataset_version="v1") | {"vanished_in": "v2"}
    assert points[make_id(7)].payload == make_payload(7, dataset_version="v2")


def test_leaves_signatures_floats_and_flags_as_they_are(collection: Collection) -> None:
    fields = {"metadata": {"score": 0.1 + 0.2, "big": 2**63 + 5, "reviewed": True}}
    collection.upsert([make_point(number, **fields) for number in range(3)])
    collection.mark(Equals("metadata.reviewed", True), "vanished_in", "v2")
    for number in range(3):
        point = collection.retrieve([make_id(number)], with_vectors=True)[make_id(number)]
        assert point.payload == make_payload(number, **fields) | {"vanished_in": "v2"}
        np.testing.assert_array_equal(point.vector, make_vector(number))


def test_may_ask_for_the_very_field_that_it_sets(collection: Collection) -> None:
    collection.upsert([make_point(number) for number in range(1_100)])  # more than a page
    collection.mark(Not(Exists("vanished_in")), "vanished_in", "v2")
    assert collection.count(Equals("vanished_in", "v2")) == 1_100


def test_replaces_what_was_set_before(collection: Collection) -> None:
    collection.upsert([make_point(number) for number in range(4)])
    collection.mark(In("example_id", ("row-1", "row-2")), "vanished_in", "v2")
    collection.mark(Range("tokens", gte=12), "vanished_in", "v3")
    assert collection.facet("vanished_in") == {"v3": 2, "v2": 1}


def test_of_nothing_does_nothing(collection: Collection) -> None:
    collection.upsert([make_point(1)])
    collection.mark(Equals("dataset", "unknown"), "vanished_in", "v2")
    assert collection.count(Exists("vanished_in")) == 0


@pytest.mark.parametrize("field", ["example_id", "dataset", "flags", "metadata.a", "text", "unheard_of"])
def test_refuses_other_fields(collection: Collection, field: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be marked in the field .* choose one of dataset_version"):
        collection.mark(Equals("dataset", "books"), field, "x")


@pytest.mark.parametrize("value", ["", "\ud800", 5, None])
def test_refuses_values_that_are_no_texts(collection: Collection, value: str) -> None:
    collection.upsert([make_point(1)])
    with pytest.raises(InputError):
        collection.mark(Equals("dataset", "books"), "vanished_in", value)
    with pytest.raises(FilterError):
        collection.mark(Equals("a..b", "x"), "vanished_in", "v2")
    assert collection.count(Exists("vanished_in")) == 0


def test_rows_of_sealed_segments_keep_their_place_in_searches(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "SEGMENT_BYTES", 8 * 1024)
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(), TABLES)
        collection.upsert([make_point(number) for number in range(400)])
        collection.tidy()
        collection.mark(Range("tokens", lt=210), "vanished_in", "v2")
        collection.compact()
    with open_store(root) as store:
        collection = store.open_collection(FINGERPRINT)
        assert collection.count() == 400
        where = And((Equals("vanished_in", "v2"), Equals("dataset", "books")))
        found = {point.id: point for point in collection.scroll(where, with_vectors=True)}
        assert set(found) == {make_id(number) for number in range(200)}
        for number in range(200):
            np.testing.assert_array_equal(found[make_id(number)].vector, make_vector(number))
            assert found[make_id(number)].payload == make_payload(number) | {"vanished_in": "v2"}


def test_a_space_that_was_made_without_the_index_gets_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rise_store.store.embedded import engine

    old = {field: kind for field, kind in engine.INDEXED_FIELDS.items() if field != "vanished_in"}
    monkeypatch.setattr(engine, "INDEXED_FIELDS", old)
    monkeypatch.setattr("rise_store.store.embedded.collection.INDEXED_FIELDS", old)
    with open_store(root, create=True) as store:
        collection = store.create_space(make_space(), TABLES)
        collection.upsert([make_point(number) for number in range(10)])
        assert "vanished_in" not in collection.indexes()
        assert collection.count(Not(Exists("vanished_in"))) == 10
    monkeypatch.undo()
    header = json.loads((root / "store.json").read_text())
    with open_store(root) as store:
        collection = store.open_collection(FINGERPRINT)
        assert collection.indexes()["vanished_in"] == "keyword"
        assert collection.facet("vanished_in") == {}
        collection.mark(Equals("example_id", "row-3"), "vanished_in", "v2")
        assert collection.facet("vanished_in") == {"v2": 1}
    assert json.loads((root / "store.json").read_text()) == header
