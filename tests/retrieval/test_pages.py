"""Pages, least scores, and queries with a filter and a k of their own."""

from __future__ import annotations

from typing import Any

import pytest

from rise_store import ConfigError, FilterError, Query
from rise_store.retrieval.plan import MOST_OFFSET
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SENTENCES, OpenStore

TEXT = SENTENCES[0]


@pytest.mark.parametrize("metric", ["dot", "cosine", "paper"])
def test_pages_put_together_are_the_whole_answer(library: OpenStore, encoder: SignatureEncoder, metric: Any) -> None:
    whole = library.attribute(TEXT, k=30, metric=metric, model=encoder)
    pages = [library.attribute(TEXT, k=7, offset=offset, metric=metric, model=encoder) for offset in range(0, 35, 7)]
    hits = [hit for page in pages for hit in page.results]
    assert [hit.rank for hit in hits] == list(range(1, 31))
    assert [hit.example_id for hit in hits] == [hit.example_id for hit in whole.results]
    assert [page.offset for page in pages] == [0, 7, 14, 21, 28]


@pytest.mark.parametrize("metric", ["dot", "cosine", "paper"])
@pytest.mark.parametrize("offset", [30, MOST_OFFSET])
def test_a_page_behind_the_last_one_is_empty(
    library: OpenStore, encoder: SignatureEncoder, metric: Any, offset: int
) -> None:
    assert library.attribute(TEXT, k=7, offset=offset, metric=metric, model=encoder).results == ()


@pytest.mark.parametrize("metric", ["dot", "cosine", "paper"])
def test_a_least_score_leaves_out_what_scores_less(library: OpenStore, encoder: SignatureEncoder, metric: Any) -> None:
    whole = library.attribute(TEXT, k=30, metric=metric, model=encoder).results
    least = (whole[9].score + whole[10].score) / 2
    found = library.attribute(TEXT, k=30, metric=metric, min_score=least, model=encoder)
    assert [hit.example_id for hit in found.results] == [hit.example_id for hit in whole[:10]]
    assert found.min_score == least
    rest = library.attribute(TEXT, k=30, metric=metric, min_score=least, offset=8, model=encoder)
    assert [hit.rank for hit in rest.results] == [9, 10]


def test_a_query_may_have_a_filter_and_a_k_of_its_own(library: OpenStore, encoder: SignatureEncoder) -> None:
    queries = [
        Query(text=TEXT),
        Query(text=TEXT, where="author.name=Ada"),
        Query(text=TEXT, where={"field": "author.name", "equals": "Grace"}, k=3),
        Query(text=TEXT, k=2),
    ]
    results = library.attribute_all(queries, k=20, where="dataset=stories", model=encoder)
    assert [len(result.results) for result in results] == [20, 12, 3, 2]
    assert [result.candidates for result in results] == [24, 12, 12, 24]
    assert results[1].where == "dataset = stories and author.name = Ada"
    for result, name in ((results[1], "Ada"), (results[2], "Grace")):
        assert {(hit.dataset, hit.metadata["author"]["name"]) for hit in result.results} == {("stories", name)}
    alone = library.attribute_all([queries[2]], where="dataset=stories", model=encoder)[0]
    assert [hit.example_id for hit in alone.results] == [hit.example_id for hit in results[2].results]


def test_a_filter_may_name_a_number_that_no_example_can_have(library: OpenStore, encoder: SignatureEncoder) -> None:
    (result,) = library.attribute_all([Query(text=TEXT, where={"field": "page", "equals": 2**70})], model=encoder)
    assert (result.results, result.candidates) == ((), 0)


def test_what_is_wrong_with_a_query_names_the_query(library: OpenStore) -> None:
    ask = library.attribute_all
    with pytest.raises(FilterError, match=r"^query 2: no stored example has the field '.*pgae'"):
        ask([Query(text=TEXT), Query(text=TEXT, where="pgae=7")])
    with pytest.raises(ConfigError, match=r"^query wide: k is 31, but the store holds 30 examples"):
        ask([Query(text=TEXT), Query(id="wide", text=TEXT, k=31)])
    with pytest.raises(FilterError, match=r"^no stored example has the field"):
        ask([Query(text=TEXT, k=1)], where="pgae=7")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"offset": -1}, "offset is -1; it is a number of examples to pass over"),
        ({"offset": 2**64}, "offset is 18446744073709551616; it is a number of examples to pass over, 0 to 4294967295"),
        ({"min_score": float("nan")}, "min_score is nan; give a finite number"),
        ({"ef": 64}, "oversampling and ef are settings of an approximate search"),
        ({"oversampling": 2.0}, "oversampling and ef are settings of an approximate search"),
        ({"approximate": True}, "this space has no approximate search; ingest into a new store with --quantization"),
        ({"approximate": True, "metric": "cosine"}, "the metric cosine is searched exactly"),
        ({"approximate": True, "metric": "paper"}, "the metric paper is searched exactly"),
        ({"metric": "paper", "weights": "rh=2"}, "the metric paper takes lambdas instead of weights"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_a_model_is_loaded(
    library: OpenStore, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        library.attribute(TEXT, model="no such model", **options)
