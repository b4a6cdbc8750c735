"""Indexes of metadata fields."""

from __future__ import annotations

from typing import Any

import pytest

from rise_store import ConfigError, FilterError
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, story_rows


def test_a_field_can_be_indexed_before_any_example_has_it(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(2), dataset="stories", model=encoder)
    made = store.index("topic", "keyword")
    assert (made.field, made.kind, made.own, made.new) == ("metadata.topic", "keyword", False, True)
    rows = [row | {"topic": ("dogs", "keys")[number % 2]} for number, row in enumerate(story_rows(6, start=2))]
    store.ingest(rows, dataset="stories", model=encoder)
    found = store.attribute("A key.", k=8, where="topic=keys", model=encoder)
    assert {hit.metadata["topic"] for hit in found.results} == {"keys"}
    assert found.candidates == 3


def test_making_an_index_again_changes_nothing(store: OpenStore, encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(2), dataset="stories", model=encoder)
    assert store.index("metadata.page.number", "integer").new
    assert not store.index("page.number", "integer").new
    with pytest.raises(FilterError, match=r"metadata\.page\.number has an index of type integer already"):
        store.index("page.number", "float")
    mine = [index for index in store.indexes() if not index.own]
    assert [(index.field, index.kind) for index in mine] == [("metadata.page.number", "integer")]


def test_the_stores_own_fields_are_indexed_already(library: OpenStore) -> None:
    indexes = {index.field: index for index in library.indexes()}
    assert {"dataset", "license", "source_uri", "tokens", "ingested_at"} <= set(indexes)
    assert all(index.own for index in indexes.values())
    made = library.index("license", "keyword")
    assert (made.own, made.new) == (True, False)


@pytest.mark.parametrize("field", ["text", "metadata", "channel_norms", "", "a..b"])
def test_what_is_no_field_to_filter_by_is_refused(library: OpenStore, field: str) -> None:
    with pytest.raises(FilterError, match=r"cannot index|is not a field"):
        library.index(field, "keyword")


def test_an_unknown_kind_is_refused(library: OpenStore) -> None:
    unknown: Any = "bool"
    with pytest.raises(ConfigError, match="unknown kind of index 'bool'; choose one of keyword, integer"):
        library.index("topic", unknown)
