"""Stability: what becomes of an answer when the positions of its query are drawn anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rise_store import AttributionResult, ConfigError, Query
from rise_store.records import Attribution, Metric, QuerySet
from rise_store.retrieval import Search, attribute, query_signatures
from rise_store.retrieval.resample import BLOCK, Resampler
from rise_store.signature import SignatureEncoder
from rise_store.store import SearchRequest, open_store
from tests.ingest.examples import SENTENCES, SMALL, OpenStore, quick_folder, story_rows

TEXT = Query(text=f"{SENTENCES[0]} {SENTENCES[2]}")
PAIR = Query(prompt="What did the dog find?", completion=" A shiny key under a big tree.")
CONTRAST = PAIR.model_copy(update={"against": " A map of the park."})
LONG = Query(text=" ".join(SENTENCES * 4))
SET = QuerySet(queries=(TEXT, CONTRAST), fusion="mean")


class TestResampling:
    def test_each_position_counts_as_often_as_it_is_drawn(self, encoder: SignatureEncoder) -> None:
        (asked,) = encoder.query_chunks([PAIR])
        (factors,) = encoder.position_factors(asked.chunks, asked.loss_start)
        positions = len(factors)
        (drawn,) = Resampler(encoder, PAIR).signatures(5, seed=3)
        counts = np.random.default_rng(3).multinomial(positions, [1 / positions] * positions, size=5)
        for signature, count in zip(drawn, counts, strict=True):
            assert count.sum() == positions
            times = np.repeat(np.arange(positions), count)
            rh = sum(np.outer(factors.residual[t], factors.hidden[t]) for t in times)
            gh = sum(np.outer(factors.error[t], factors.hidden[t]) for t in times)
            whole = np.concatenate([SMALL.lambda_rh * np.ravel(rh), SMALL.lambda_gh * np.ravel(gh)])
            np.testing.assert_allclose(signature, whole / np.linalg.norm(whole), atol=1e-3)

    @pytest.mark.parametrize("asked", [TEXT, PAIR, CONTRAST, LONG, SET])
    def test_the_draws_lie_around_the_query(self, encoder: SignatureEncoder, asked: Query | QuerySet) -> None:
        (own,) = query_signatures(encoder, [asked])
        resampler = Resampler(encoder, asked)
        blocks = list(resampler.signatures(40, seed=0))
        assert [len(block) for block in blocks] == [BLOCK, 40 - BLOCK]
        drawn = np.concatenate(blocks)
        np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
        cosines = drawn @ own
        mean = drawn.mean(axis=0)
        assert mean @ own / np.linalg.norm(mean) > cosines.mean() > 0.5
        assert cosines.std() > 1e-3
        assert resampler.positions > 5

    def test_a_query_of_one_position_leaves_nothing_to_draw(self, encoder: SignatureEncoder) -> None:
        single = Query(prompt="", completion="a")
        resampler = Resampler(encoder, single)
        assert resampler.positions == 1
        for block in resampler.signatures(3, seed=0):
            np.testing.assert_allclose(block, query_signatures(encoder, [single] * 3), atol=1e-3)

    def test_the_seed_decides_on_the_draws(self, encoder: SignatureEncoder) -> None:
        resampler = Resampler(encoder, TEXT)
        one, again, other = (next(resampler.signatures(3, seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, again)
        assert not np.allclose(one, other)


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        (TEXT, {}),
        (CONTRAST, {"metric": "cosine", "where": "dataset=stories"}),
        (LONG, {"metric": "paper", "lambdas": "gh=1", "precondition": 0.1}),
    ],
)
def test_ranks_and_scores_are_those_of_each_draw(
    library: OpenStore, encoder: SignatureEncoder, asked: Query, options: dict[str, Any]
) -> None:
    result = library.attribute_all([asked], k=5, model=encoder, bootstrap=40, seed=7, **options)[0]
    plain = library.attribute_all([asked], k=5, model=encoder, **options)[0]
    assert without_stability(result) == plain
    shares = []
    for hit, own in zip(result.results, in_each_draw(library, encoder, asked, result, **options), strict=True):
        ranks, scores = sorted(h.rank for h in own), sorted(h.score for h in own)
        assert hit.stability is not None
        assert hit.stability.in_top == pytest.approx(np.mean([rank <= 5 for rank in ranks]))
        assert (hit.stability.rank_low, hit.stability.rank_high) == (ranks[1], ranks[37])
        assert hit.stability.score_low == pytest.approx(scores[1], abs=2e-3)
        assert hit.stability.score_high == pytest.approx(scores[37], abs=2e-3)
        shares.append(hit.stability.in_top)
    assert result.stability is not None
    assert result.stability.overlap == pytest.approx(np.mean(shares))
    assert (result.stability.resamples, result.stability.seed, result.stability.k) == (40, 7, 5)
    assert result.stability.depth == result.candidates


def in_each_draw(
    library: OpenStore, encoder: SignatureEncoder, asked: Query, result: AttributionResult, **options: Any
) -> list[list[Attribution]]:
    """For each hit of an answer to a query, what it is in the full ranking of each of its draws."""
    assert result.stability is not None
    (space,) = library.backend.spaces()
    resamples, seed = result.stability.resamples, result.stability.seed
    search = Search.plan(library.backend.open_collection(space.fingerprint), [asked] * resamples, k=30, **options)
    draws = attribute(search, np.concatenate(list(Resampler(encoder, asked).signatures(resamples, seed))))
    named = [{(hit.dataset, hit.example_id): hit for hit in draw.results} for draw in draws]
    return [[draw[hit.dataset, hit.example_id] for draw in named] for hit in result.results]


def without_stability(result: AttributionResult) -> AttributionResult:
    hits = tuple(hit.model_copy(update={"stability": None}) for hit in result.results)
    return result.model_copy(update={"results": hits, "stability": None})


def test_ranks_beyond_the_depth_are_not_told_apart(
    library: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rise_store.retrieval.stability._LEAST_DEPTH", 1)
    result = library.attribute_all([PAIR], k=2, model=encoder, bootstrap=40)[0]
    assert result.stability is not None
    assert result.stability.depth == 4
    told: list[int | None] = []
    for hit, own in zip(result.results, in_each_draw(library, encoder, PAIR, result), strict=True):
        ranks = sorted(h.rank for h in own)
        assert hit.stability is not None
        low, high = (rank if rank <= 4 else None for rank in (ranks[1], ranks[37]))
        assert (hit.stability.rank_low, hit.stability.rank_high) == (low, high)
        told += [low, high]
    assert None in told
    assert told != [None] * 4


@pytest.mark.parametrize("metric", ["dot", "cosine"])
def test_long_answers_are_looked_at_in_pages(
    library: OpenStore, encoder: SignatureEncoder, monkeypatch: pytest.MonkeyPatch, metric: Metric
) -> None:
    whole = library.attribute_all([LONG], k=20, model=encoder, bootstrap=35, metric=metric)[0]
    retrieved: list[int] = []
    asked: list[list[SearchRequest]] = []
    (space,) = library.backend.spaces()
    collection = type(library.backend.open_collection(space.fingerprint))
    retrieve, search = collection.retrieve, collection.search
    monkeypatch.setattr(collection, "retrieve", lambda *a, **k: (retrieved.append(len(a[1])), retrieve(*a, **k))[1])
    monkeypatch.setattr(collection, "search", lambda *a, **k: (asked.append(a[1]), search(*a, **k))[1])
    monkeypatch.setattr("rise_store.retrieval.stability.PAGE", 7)
    monkeypatch.setattr("rise_store.retrieval.stability.MOST_HITS", 100)
    paged = library.attribute_all([LONG], k=20, model=encoder, bootstrap=35, metric=metric)[0]
    assert max(retrieved) == 7
    assert max(sum(request.limit for request in requests) for requests in asked) <= 100
    assert [without_stability(one) for one in (paged, whole)] == [without_stability(whole)] * 2
    for one, other in zip(paged.results, whole.results, strict=True):
        assert one.stability is not None
        assert other.stability is not None
        assert one.stability.model_dump() == pytest.approx(other.stability.model_dump(), abs=1e-6)


def test_a_set_and_each_of_many_queries_have_their_own(library: OpenStore, encoder: SignatureEncoder) -> None:
    told: list[tuple[int, int]] = []
    results = library.attribute_all(
        [TEXT, PAIR], k=4, model=encoder, bootstrap=35, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(32, 70), (35, 70), (67, 70), (70, 70)]
    alone = library.attribute_all([PAIR], k=4, model=encoder, bootstrap=35)[0]
    assert alone.stability == results[1].stability
    fused = library.attribute_set([TEXT, PAIR], k=4, model=encoder, bootstrap=35)
    assert fused.stability is not None
    assert fused.stability.positions == sum(one.stability.positions for one in results if one.stability)
    assert library.attribute_set([TEXT, PAIR], k=4, model=encoder, bootstrap=35) == fused


def test_no_hits_have_no_stability(library: OpenStore, encoder: SignatureEncoder) -> None:
    result = library.attribute(SENTENCES[0], model=encoder, where="dataset=none", bootstrap=5)
    assert result.results == ()
    assert result.stability is not None
    assert (result.stability.overlap, result.stability.k) == (None, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bootstrap": 0}, "bootstrap is 0; draw positions anew at least once, or leave it out"),
        ({"bootstrap": 5, "seed": -1}, "the seed of the bootstrap is -1; give an integer from 0 on"),
        (
            {"bootstrap": 4_000_000, "k": 3},
            "4000000 of answers of 3 examples gives 12,000,000 ranks, and at most 10",
        ),
        ({"bootstrap": 5, "offset": 3}, "leave out the approximate search and the offset"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_model_is_loaded(
    library: OpenStore, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        library.attribute(SENTENCES[0], model="no such model", **options)


@pytest.fixture(scope="module")
def seeds(encoder: SignatureEncoder) -> Iterator[OpenStore]:
    """12 stories in a space of seed 42, and 10 of them in one of seed 43; a third space has another temperature."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        store = OpenStore(backend)
        store.ingest(story_rows(12), dataset="stories", model=encoder)
        for setting in ({"seed": 43}, {"tau": 1.0}):
            other = SignatureEncoder.from_pretrained(
                encoder.reference.name, SMALL.model_copy(update=setting), device="cpu"
            )
            store.ingest(story_rows(10), dataset="stories", model=other, new_space=True)
        assert len(backend.spaces()) == 3
        yield store


class TestSeeds:
    def test_a_space_of_another_seed_is_asked_too(self, seeds: OpenStore, encoder: SignatureEncoder) -> None:
        own = {"space": encoder.fingerprint, "model": encoder}
        (other,) = (space for space in seeds.backend.spaces() if space.estimator.seed == 43)
        for options in ({"k": 4}, {"k": 11, "where": "dataset=stories", "precondition": 0.1, "metric": "cosine"}):
            result = seeds.attribute(SENTENCES[1], bootstrap=3, **own, **options)  # type: ignore[arg-type]
            assert result.stability is not None
            (agreement,) = result.stability.seeds
            k = {"k": min(options["k"], 10)}  # type: ignore[call-overload]
            there = seeds.attribute(SENTENCES[1], space=other.fingerprint, **options | k)  # type: ignore[arg-type]
            names = {hit.example_id for hit in result.results}
            shared = names & {hit.example_id for hit in there.results}
            assert agreement.overlap == pytest.approx(len(shared) / len(names))
            assert (agreement.space, agreement.seed, agreement.candidates) == (other.fingerprint, 43, 10)
        assert seeds.attribute(SENTENCES[1], k=2, **own).stability is None  # type: ignore[arg-type]

    def test_a_space_that_lacks_the_fields_of_the_filter_is_left_out(
        self, seeds: OpenStore, encoder: SignatureEncoder
    ) -> None:
        more = [row | {"id": f"more-{number}", "topic": "chess"} for number, row in enumerate(story_rows(2, start=20))]
        seeds.ingest(more, dataset="more", model=encoder, space=encoder.fingerprint)
        result = seeds.attribute(
            SENTENCES[1], where="topic=chess", k=2, bootstrap=3, space=encoder.fingerprint, model=encoder
        )
        assert result.stability is not None
        assert (len(result.results), result.stability.seeds) == (2, ())
