"""What every backend promises of deletion by filter, of indexes, and of counts by value."""

from __future__ import annotations

import pytest
from store_examples import TABLES, make_id, make_point, make_space

from rise_store.errors import FilterError
from rise_store.store import And, Backend, Collection, Equals, Or
from rise_store.store.payload import INDEXED_FIELDS


class TestDeleteWhere:
    def test_removes_what_the_filter_lets_through(self, collection: Collection) -> None:
        collection.upsert([make_point(number, metadata={"third": number % 3 == 0}) for number in range(2_400)])
        collection.delete_where(Equals("metadata.third", True))
        assert collection.count() == 1_600
        assert collection.count(Equals("metadata.third", True)) == 0
        collection.delete_where(Equals("metadata.third", True))
        assert collection.count() == 1_600

    def test_of_everything_or_nothing(self, collection: Collection) -> None:
        collection.upsert([make_point(number) for number in range(10)])
        collection.delete_where(Or(()))
        assert collection.count() == 10
        collection.delete_where(And(()))
        assert collection.count() == 0

    def test_refuses_what_is_no_filter(self, collection: Collection) -> None:
        collection.upsert([make_point(1)])
        with pytest.raises(FilterError):
            collection.delete_where(Equals("a..b", 1))
        assert collection.count() == 1


class TestIndexes:
    def test_are_there_for_our_own_fields(self, collection: Collection) -> None:
        assert collection.indexes().items() >= INDEXED_FIELDS.items()

    def test_can_be_made_for_fields_of_any_name(self, backend: Backend) -> None:
        collection = backend.create_space(make_space(), TABLES)
        collection.upsert([make_point(n, metadata={"a": {"b": n}, "c.d": "x", "é x": 0.5}) for n in range(20)])
        made = {"metadata.a.b": "integer", 'metadata."c.d"': "keyword", 'metadata."é x"': "float"}
        for field, kind in made.items():
            collection.create_index(field, kind)  # type: ignore[arg-type]
        assert collection.indexes() == {**INDEXED_FIELDS, **made}
        assert collection.count(Equals("metadata.a.b", 3)) == 1
        assert collection.count(Equals('metadata."c.d"', "x")) == 20
        assert collection.facet('metadata."c.d"') == {"x": 20}

    def test_are_made_once(self, backend: Backend) -> None:
        collection = backend.create_space(make_space(), TABLES)
        collection.create_index("metadata.when", "datetime")
        collection.create_index('metadata."when"', "datetime")
        assert collection.indexes() == {**INDEXED_FIELDS, "metadata.when": "datetime"}
        with pytest.raises(FilterError, match=r"metadata\.when has a datetime index.*no keyword index"):
            collection.create_index("metadata.when", "keyword")
        with pytest.raises(FilterError, match="dataset has a keyword index"):
            collection.create_index("dataset", "integer")

    def test_must_name_a_path(self, collection: Collection) -> None:
        with pytest.raises(FilterError, match="is not a field"):
            collection.create_index("a..b", "keyword")


class TestFacet:
    def test_counts_within_a_filter(self, collection: Collection) -> None:
        collection.upsert(
            [
                make_point(n, dataset=("books", "films")[n % 2], license=("MIT", "CC0-1.0", None)[n % 3])
                for n in range(30)
            ]
        )
        assert collection.facet("license", where=Equals("dataset", "books")) == {"MIT": 5, "CC0-1.0": 5}
        assert collection.facet("dataset", where=Equals("license", "MIT")) == {"books": 5, "films": 5}
        assert collection.facet("dataset", where=Equals("license", "none")) == {}

    def test_counts_any_field_with_a_keyword_index(self, backend: Backend) -> None:
        collection = backend.create_space(make_space(), TABLES)
        collection.upsert([make_point(n, metadata={"topic": ["x", "y"] if n else "x"}) for n in range(4)])
        with pytest.raises(FilterError, match=r"cannot count by 'metadata\.topic'"):
            collection.facet("metadata.topic")
        collection.create_index("metadata.topic", "keyword")
        assert collection.facet("metadata.topic") == {"x": 4, "y": 3}
        collection.delete([make_id(1)])
        assert collection.facet("metadata.topic", where=Equals("metadata.topic", "y")) == {"x": 2, "y": 2}
