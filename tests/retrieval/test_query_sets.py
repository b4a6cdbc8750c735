"""Many queries answered as one: by their mean signature, or by reciprocal-rank fusion of their rankings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rise_store import ConfigError, InputError, Query, QuerySet
from rise_store.retrieval import fusion
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SENTENCES, OpenStore

QUERIES = [
    Query(id="start", text=SENTENCES[0]),
    Query(prompt="What did the dog find?", completion=" A shiny key."),
    Query(text=SENTENCES[3], against=SENTENCES[5]),
]
METRICS: list[dict[str, Any]] = [
    {},
    {"metric": "cosine", "weights": "rh=1,gh=0.5"},
    {"metric": "paper", "lambdas": "rh=1,gh=1", "precondition": 0.1},
]


def test_the_mean_is_one_search(library: OpenStore, encoder: SignatureEncoder) -> None:
    result = library.attribute_set(QUERIES, id="mine", k=30, model=encoder)
    assert result.query == QuerySet(id="mine", queries=tuple(QUERIES), fusion="mean")
    each = library.attribute_all(QUERIES, k=30, model=encoder)
    scores = [{hit.example_id: hit.score for hit in one.results} for one in each]
    sums = {name: sum(one[name] for one in scores) for name in scores[0]}
    ratio = {hit.example_id: hit.score / sums[hit.example_id] for hit in result.results if abs(hit.score) > 0.05}
    assert len(ratio) > 5
    # The mean signature has unit length: scores are the mean of the scores, times a factor common to all rows.
    assert list(ratio.values()) == pytest.approx([next(iter(ratio.values()))] * len(ratio), rel=5e-2)


def test_a_set_of_one_is_that_query(library: OpenStore, encoder: SignatureEncoder) -> None:
    alone = library.attribute(SENTENCES[0], k=5, model=encoder)
    result = library.attribute_set([Query(text=SENTENCES[0])], k=5, model=encoder)
    assert [hit.example_id for hit in result.results] == [hit.example_id for hit in alone.results]
    assert [hit.score for hit in result.results] == pytest.approx([hit.score for hit in alone.results], abs=1e-3)


@pytest.mark.parametrize("options", METRICS)
@pytest.mark.parametrize("depth", [30, 7])
def test_fused_scores_add_up_reciprocal_ranks(
    library: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], depth: int
) -> None:
    monkeypatch.setattr(fusion, "DEPTH", depth)
    each = library.attribute_all(QUERIES, k=depth, model=encoder, **options)
    expected: dict[str, float] = {}
    for one in each:
        for hit in one.results:
            expected[hit.example_id] = expected.get(hit.example_id, 0) + 1 / (60 + hit.rank)
    result = library.attribute_set(QUERIES, "rrf", k=7, model=encoder, **options)
    assert [hit.score for hit in result.results] == pytest.approx(sorted(expected.values(), reverse=True)[:7])
    ranks = [{hit.example_id: hit for hit in one.results} for one in each]
    for position, hit in enumerate(result.results, 1):
        assert (hit.rank, hit.score) == (position, pytest.approx(expected[hit.example_id]))
        own = [one.get(hit.example_id) for one in ranks]
        assert hit.ranks == tuple(None if one is None else one.rank for one in own)
        rh = sum(
            abs(one.channels.rh) / (abs(one.channels.rh) + abs(one.channels.gh)) / (60 + one.rank)
            for one in own
            if one is not None
        )
        assert hit.channels.rh == pytest.approx(rh, abs=2e-4)
        assert hit.channels.rh + hit.channels.gh == pytest.approx(hit.score)
        assert hit.text
    assert result.metric == options.get("metric", "dot")
    assert isinstance(result.query, QuerySet)


@pytest.mark.parametrize("kind", ["mean", "rrf"])
def test_pages_put_together_are_the_whole_answer(library: OpenStore, encoder: SignatureEncoder, kind: Any) -> None:
    whole = library.attribute_set(QUERIES, kind, k=30, model=encoder).results
    pages = [library.attribute_set(QUERIES, kind, k=8, offset=offset, model=encoder) for offset in (0, 8, 16, 24, 32)]
    hits = [hit for page in pages for hit in page.results]
    assert [hit.example_id for hit in hits] == [hit.example_id for hit in whole]
    assert [hit.rank for hit in hits] == list(range(1, 31))


@pytest.mark.parametrize("kind", ["mean", "rrf"])
def test_filters_and_least_scores(library: OpenStore, encoder: SignatureEncoder, kind: Any) -> None:
    whole = library.attribute_set(QUERIES, kind, k=30, where="dataset=stories", model=encoder)
    assert (len(whole.results), whole.candidates) == (24, 24)
    assert {hit.dataset for hit in whole.results} == {"stories"}
    least = (whole.results[4].score + whole.results[5].score) / 2
    some = library.attribute_set(QUERIES, kind, k=30, where="dataset=stories", min_score=least, model=encoder)
    assert [(hit.example_id, hit.rank, hit.score) for hit in some.results] == [
        (hit.example_id, hit.rank, hit.score) for hit in whole.results[:5]
    ]
    assert some.min_score == least
    none = library.attribute_set(QUERIES, kind, where="dataset=none", model=encoder)
    assert (none.results, none.candidates) == ((), 0)


def test_ties_are_ranked_by_id(library: OpenStore, encoder: SignatureEncoder) -> None:
    one = library.attribute_set([QUERIES[0], QUERIES[1]], "rrf", k=30, model=encoder).results
    other = library.attribute_set([QUERIES[1], QUERIES[0]], "rrf", k=30, model=encoder).results
    assert [hit.example_id for hit in one] == [hit.example_id for hit in other]
    assert [hit.ranks for hit in one] == [tuple(reversed(hit.ranks or ())) for hit in other]


@pytest.mark.parametrize(
    ("queries", "options", "error", "message"),
    [
        ([], {}, InputError, "a set of no queries asks nothing"),
        (
            [Query(id="a", text="A key.", k=3)],
            {},
            InputError,
            "query a has a filter or a k of its own, but a set has one",
        ),
        ([QUERIES[0], Query(text="A key.", where="x=1")], {}, InputError, "query 2 has a filter or a k of its own"),
        (QUERIES, {"fusion": "sum"}, ConfigError, "query set fusion: Input should be 'mean' or 'rrf'"),
        (QUERIES, {"fusion": "rrf", "offset": 995, "k": 6}, ConfigError, "offset 995 and k 6 reach beyond rank 1000"),
        (QUERIES, {"fusion": "rrf", "bootstrap": 5}, ConfigError, "bootstrap goes with fusion mean"),
    ],
)
def test_what_makes_no_set_is_refused_before_a_model_is_loaded(
    library: OpenStore, queries: list[Query], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        library.attribute_set(queries, model="no such model", **options)


def test_what_the_store_says_of_a_rank_is_exact(library: OpenStore, encoder: SignatureEncoder) -> None:
    (hit, *_) = library.attribute_set([QUERIES[0]], "rrf", k=3, model=encoder).results
    assert (hit.ranks, hit.score) == ((1,), pytest.approx(1 / 61))
    assert np.isfinite([hit.channels.rh, hit.channels.gh]).all()
