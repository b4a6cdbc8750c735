"""Influence by group, against sums over the scores of every row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store import ConfigError, FilterError, Query
from rise_store.records import AttributionGroups
from rise_store.retrieval import Search, attribute, group_field, influence
from rise_store.retrieval.groups import shares, value_at
from rise_store.signature import SignatureEncoder
from rise_store.store import Collection
from tests.ingest.examples import SENTENCES, OpenStore
from tests.retrieval.channel_rows import Channels, collection_of

ROWS = Channels.random(60, seed=3)
QUERY = Query(text="made of channels")
FIELDS = {
    "dataset": lambda row: row.dataset,
    "license": lambda row: row.license,
    "source_uri": lambda row: None,
    "metadata.topic": lambda row: row.metadata.get("topic"),
}


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    with collection_of(ROWS) as collection:
        yield collection


def groups_of(collection: Collection, seed: int, by: str, over: int | None, **options: Any) -> AttributionGroups:
    signature = Channels.random(1, seed).signatures().astype(np.float32)
    (answer,) = influence(Search.plan(collection, [QUERY], **options), signature, group_field(by, collection), over)
    return answer


@given(
    seed=st.integers(0, 10_000),
    by=st.sampled_from(sorted(FIELDS)),
    over=st.none() | st.integers(1, 100),
    metric=st.sampled_from(["dot", "cosine", "paper"]),
)
@settings(max_examples=40, deadline=None)
def test_shares_are_of_the_positive_scores_of_the_best_rows(
    collection: Collection, seed: int, by: str, over: int | None, metric: Any
) -> None:
    answer = groups_of(collection, seed, by, over, metric=metric)
    signature = Channels.random(1, seed).signatures().astype(np.float32)
    (all_,) = attribute(Search.plan(collection, [QUERY], k=60, metric=metric), signature)
    rows = all_.results[:over]
    assert answer.rows == len(rows) == min(over or 60, 60)
    assert sum(group.rows for group in answer.groups) == answer.rows
    positive = sum(max(row.score, 0) for row in rows)
    assert answer.positive == pytest.approx(positive, abs=1e-6)
    assert answer.negative == pytest.approx(sum(min(row.score, 0) for row in rows), abs=1e-6)
    for group in answer.groups:
        own = [row.score for row in rows if FIELDS[by](row) == group.group]
        assert group.rows == len(own)
        assert group.positive == pytest.approx(sum(max(score, 0) for score in own), abs=1e-6)
        assert group.negative == pytest.approx(sum(min(score, 0) for score in own), abs=1e-6)
        assert group.share == pytest.approx(group.positive / positive, abs=1e-6)
    assert sum(group.share or 0 for group in answer.groups) == pytest.approx(1)
    assert all(one.positive >= other.positive for one, other in itertools.pairwise(answer.groups))


def test_rows_without_the_field_are_the_group_null(collection: Collection) -> None:
    answer = groups_of(collection, 1, "metadata.topic", None)
    assert {group.group: group.rows for group in answer.groups}[None] == 15
    assert (answer.by, groups_of(collection, 1, "topic", None)) == ("metadata.topic", answer)
    (all_of_it,) = groups_of(collection, 1, "source_uri", None).groups
    assert (all_of_it.group, all_of_it.rows, all_of_it.share) == (None, 60, 1.0)


def test_a_filter_and_a_least_score_narrow_what_is_considered(collection: Collection) -> None:
    answer = groups_of(collection, 1, "dataset", None, where=["license=MIT"])
    assert (answer.rows, answer.candidates, answer.where) == (30, 30, "license = MIT")
    positive = groups_of(collection, 1, "dataset", None, min_score=0.0)
    assert positive.negative == 0
    assert positive.positive == pytest.approx(groups_of(collection, 1, "dataset", None).positive)
    assert groups_of(collection, 1, "dataset", None, where=["license=GPL"]).groups == ()


def test_values_of_any_type_make_groups() -> None:
    assert value_at({"metadata": {"a": {"b": 1.0}}}, "metadata.a.b") == 1
    assert value_at({"metadata": {"a": ["x", 2]}}, "metadata.a") == '["x",2]'
    assert value_at({"metadata": {"a": []}}, "metadata.a") is None
    assert value_at({"metadata": {"a": 1}}, "metadata.a.b") is None
    found = shares([(1, 2.0), (True, 1.0), ("1", 0.5), (None, -1.0), (1, -3.0)])
    assert [(group.group, group.rows) for group in found] == [(1, 2), (True, 1), ("1", 1), (None, 1)]
    assert type(found[1].group) is bool
    assert [group.share for group in found] == pytest.approx([2 / 3.5, 1 / 3.5, 0.5 / 3.5, 0])


def test_numbers_beyond_64_bits_make_groups_too() -> None:
    values = [value_at({"metadata": {"n": number}}, "metadata.n") for number in (1e20, -1e300, 2.0**53, 2**53, 1e15)]
    assert [type(value) for value in values] == [float, float, float, int, int]
    assert [group.group for group in shares((value, 5.0 - rank) for rank, value in enumerate(values))] == values


def test_there_are_no_shares_of_nothing() -> None:
    assert [group.share for group in shares([("a", -1.0), ("b", 0.0)])] == [None, None]


class TestInTheLibrary:
    def test_many_queries_in_one_pass(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        queries = [Query(text=SENTENCES[0]), Query(text=SENTENCES[1], where="author.name=Ada")]
        both = library.influence_by("dataset", queries, over=None, model=encoder)
        assert [answer.query for answer in both] == queries
        assert [answer.rows for answer in both] == [30, 12]
        assert {group.group for group in both[0].groups} == {"stories", "questions"}
        assert {group.group for group in both[1].groups} == {"stories"}
        by_name = library.influence_by("author.name", queries[:1], over=10, model=encoder)[0]
        assert (by_name.by, by_name.rows) == ("metadata.author.name", 10)

    @pytest.mark.parametrize("field", ["pgae", "metadata.pgae", "metadata", "text", "channel_norms", "\udcff"])
    def test_a_field_that_makes_no_groups_is_refused(self, library: OpenStore, field: str) -> None:
        with pytest.raises(FilterError, match=r"no stored example has the field|cannot group by|not valid Unicode"):
            library.influence_by(field, [Query(text=SENTENCES[0])], model="no such model")

    def test_over_is_at_least_1(self, library: OpenStore) -> None:
        with pytest.raises(ConfigError, match="groups are made over 0 examples"):
            library.influence_by("dataset", [Query(text=SENTENCES[0])], over=0, model="no such model")
