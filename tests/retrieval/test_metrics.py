"""Each metric agrees with its definition, recomputed in float64 from unnormalised channels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store import AttributionResult, ConfigError, Query, Weights
from rise_store.records import Lambdas
from rise_store.retrieval import Scoring, Search, attribute
from rise_store.store import Collection, PerChannel, RowNorm
from tests.retrieval.channel_rows import ESTIMATOR, Array, Channels, collection_of

ROUNDING = 3e-3  # the engine keeps signatures and queries as float16

lambdas = st.builds(Lambdas, rh=st.floats(0.01, 100), gh=st.floats(0.01, 100)) | st.sampled_from(
    [Lambdas(rh=1, gh=0), Lambdas(rh=0, gh=1)]
)
weights = st.builds(Weights, rh=st.floats(-3, 3), gh=st.floats(-3, 3).filter(lambda weight: abs(weight) > 1e-3))


def with_empty_channels(channels: Channels) -> Channels:
    """The same, but row 0 has no RH and row 1 no GH."""
    rh, gh = channels.rh.copy(), channels.gh.copy()
    rh[0], gh[1] = 0, 0
    return Channels(rh, gh)


ROWS = with_empty_channels(Channels.random(60, seed=0))


def expected(queries: Channels, scoring: Scoring) -> tuple[Array, Array]:
    """What RH and GH add to the scores of all rows by definition, (queries, rows) each."""
    if scoring.metric == "cosine":
        rh, gh = queries.cosines(ROWS)
        return scoring.weights.rh * rh, scoring.weights.gh * gh
    under = scoring.lambdas or Lambdas(rh=ESTIMATOR.lambda_rh, gh=ESTIMATOR.lambda_gh)
    asked, stored = queries.signatures(under.rh, under.gh), ROWS.signatures(under.rh, under.gh)
    half = ESTIMATOR.dim_rh
    rh, gh = asked[:, :half] @ stored[:, :half].T, asked[:, half:] @ stored[:, half:].T
    return scoring.weights.rh * rh, scoring.weights.gh * gh


def scores(queries: Channels, scoring: Scoring) -> Array:
    """What a search with this folded query and scaling gives by the contract of the store, (queries, rows)."""
    stored, half = ROWS.signatures(), ESTIMATOR.dim_rh
    folded = scoring.fold(scoring.features(queries.signatures().astype(np.float32))).astype(np.float64)
    parts = np.stack([folded[:, :half] @ stored[:, :half].T, folded[:, half:] @ stored[:, half:].T])
    norms = np.stack([np.linalg.norm(stored[:, :half], axis=1), np.linalg.norm(stored[:, half:], axis=1)])
    if isinstance(scoring.scaling, PerChannel):
        divisors = norms[:, None, :]
    elif isinstance(scoring.scaling, RowNorm):
        divisors = np.hypot(scoring.scaling.rh * norms[0], scoring.scaling.gh * norms[1])[None, None, :]
    else:
        divisors = np.ones((1, 1, 1))
    divisors = np.broadcast_to(divisors, parts.shape)
    return np.divide(parts, divisors, out=np.zeros_like(parts), where=divisors > 0).sum(axis=0)


class TestAgainstTheDefinition:
    @given(seed=st.integers(0, 10_000), under=lambdas)
    def test_paper_is_the_dot_product_of_signatures_under_other_lambdas(self, seed: int, under: Lambdas) -> None:
        queries = with_empty_channels(Channels.random(3, seed))
        scoring = Scoring.plan(ESTIMATOR, "paper", lambdas=under)
        np.testing.assert_allclose(scores(queries, scoring), sum(expected(queries, scoring)), atol=2e-6)

    @given(seed=st.integers(0, 10_000), weights=weights)
    def test_cosine_is_the_weighted_sum_of_each_channels_cosine(self, seed: int, weights: Weights) -> None:
        queries = with_empty_channels(Channels.random(3, seed))
        scoring = Scoring.plan(ESTIMATOR, "cosine", weights)
        np.testing.assert_allclose(scores(queries, scoring), sum(expected(queries, scoring)), atol=1e-5)

    @given(seed=st.integers(0, 10_000), weights=weights)
    def test_dot_is_the_weighted_sum_of_each_channels_dot_product(self, seed: int, weights: Weights) -> None:
        queries = with_empty_channels(Channels.random(3, seed))
        scoring = Scoring.plan(ESTIMATOR, "dot", weights)
        np.testing.assert_allclose(scores(queries, scoring), sum(expected(queries, scoring)), atol=1e-5)

    @given(seed=st.integers(0, 10_000))
    def test_paper_under_the_lambdas_of_the_space_is_dot(self, seed: int) -> None:
        queries = Channels.random(3, seed)
        paper, dot = Scoring.plan(ESTIMATOR, "paper"), Scoring.plan(ESTIMATOR)
        assert paper.lambdas == Lambdas(rh=0.8, gh=0.3)
        np.testing.assert_allclose(scores(queries, paper), scores(queries, dot), atol=1e-6)

    @given(under=lambdas, factor=st.floats(1e-3, 1e3))
    def test_a_common_factor_of_the_lambdas_changes_nothing(self, under: Lambdas, factor: float) -> None:
        queries = Channels.random(2, seed=1)
        scaled = Lambdas(rh=under.rh * factor, gh=under.gh * factor)
        one, other = (Scoring.plan(ESTIMATOR, "paper", lambdas=each) for each in (under, scaled))
        np.testing.assert_allclose(scores(queries, one), scores(queries, other), atol=1e-6)

    def test_an_example_scores_1_against_itself_under_paper_and_2_under_cosine(self) -> None:
        paper = scores(ROWS, Scoring.plan(ESTIMATOR, "paper", lambdas="rh=1,gh=5"))
        cosine = scores(ROWS, Scoring.plan(ESTIMATOR, "cosine"))
        assert np.diagonal(paper) == pytest.approx(1, abs=1e-6)
        assert np.diagonal(cosine)[:2] == pytest.approx(1, abs=1e-6)  # one channel of theirs is empty
        assert np.diagonal(cosine)[2:] == pytest.approx(2, abs=1e-6)


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    with collection_of(ROWS) as collection:
        yield collection


def ask(collection: Collection, queries: Channels, **options: object) -> tuple[list[AttributionResult], Scoring]:
    asked = [Query(id=str(number), text="made of channels") for number in range(len(queries.rh))]
    search = Search.plan(collection, asked, k=len(ROWS.rh), **options)  # type: ignore[arg-type]
    return attribute(search, queries.signatures().astype(np.float32)), search.scoring


def assert_answers(results: list[AttributionResult], parts: tuple[Array, Array], tolerance: float) -> None:
    for number, result in enumerate(results):
        assert len(result.results) == len(ROWS.rh)
        for hit in result.results:
            row = int(hit.example_id.removeprefix("row-"))
            rh, gh = parts[0][number, row], parts[1][number, row]
            assert hit.score == pytest.approx(rh + gh, abs=tolerance)
            assert (hit.channels.rh, hit.channels.gh) == pytest.approx((rh, gh), abs=tolerance)
            assert hit.channels.rh + hit.channels.gh == pytest.approx(hit.score, abs=1e-6)
        ranked = [hit.score for hit in result.results]
        assert ranked == sorted(ranked, reverse=True)


class TestInTheStore:
    @given(seed=st.integers(0, 10_000), under=lambdas)
    @settings(max_examples=25, deadline=None)
    def test_paper(self, collection: Collection, seed: int, under: Lambdas) -> None:
        queries = with_empty_channels(Channels.random(3, seed))
        results, scoring = ask(collection, queries, metric="paper", lambdas=under)
        assert_answers(results, expected(queries, scoring), ROUNDING * 3)
        assert (results[0].metric, results[0].lambdas, results[0].weights) == ("paper", under, Weights())

    @given(seed=st.integers(0, 10_000), weights=weights)
    @settings(max_examples=25, deadline=None)
    def test_cosine(self, collection: Collection, seed: int, weights: Weights) -> None:
        queries = with_empty_channels(Channels.random(3, seed))
        results, scoring = ask(collection, queries, metric="cosine", weights=weights)
        assert_answers(results, expected(queries, scoring), ROUNDING * (abs(weights.rh) + abs(weights.gh)))
        assert (results[0].metric, results[0].lambdas, results[0].weights) == ("cosine", None, weights)

    @given(seed=st.integers(0, 10_000), weights=weights)
    @settings(max_examples=10, deadline=None)
    def test_dot(self, collection: Collection, seed: int, weights: Weights) -> None:
        queries = Channels.random(3, seed)
        results, scoring = ask(collection, queries, weights=weights)
        assert_answers(results, expected(queries, scoring), ROUNDING * (abs(weights.rh) + abs(weights.gh)))
        assert results[0].metric == "dot"


class TestSettings:
    def test_a_lambda_that_is_left_out_is_that_of_the_space(self) -> None:
        assert Scoring.plan(ESTIMATOR, "paper", lambdas="gh=1").lambdas == Lambdas(rh=0.8, gh=1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"metric": "euclid"}, "unknown metric 'euclid'; choose one of dot, cosine, paper"),
            ({"lambdas": "rh=1"}, "lambdas belong to the metric paper, not to dot, which takes weights"),
            ({"metric": "cosine", "lambdas": "rh=1"}, "lambdas belong to the metric paper, not to cosine"),
            ({"metric": "paper", "weights": "rh=2"}, "the metric paper takes lambdas instead of weights"),
            ({"metric": "paper", "lambdas": "rx=2"}, "unknown lambda 'rx' in 'rx=2'; the channels are rh and gh"),
            ({"metric": "paper", "lambdas": "rh=x"}, "lambda 'rh=x' has no number; write rh=1,gh=0.3"),
            ({"metric": "paper", "lambdas": "rh=-1"}, "lambdas 'rh=-1' rh: Input should be greater than or equal to 0"),
            ({"metric": "paper", "lambdas": "rh=0,gh=0"}, "both lambdas are 0"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, options: dict[str, str], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            Scoring.plan(ESTIMATOR, **options)  # type: ignore[arg-type]

    def test_a_channel_that_is_not_stored_cannot_be_brought_back(self) -> None:
        only_rh = ESTIMATOR.model_copy(update={"lambda_gh": 0.0})
        with pytest.raises(ConfigError, match=r"lambda gh is 1, but this space does not store the channel"):
            Scoring.plan(only_rh, "paper", lambdas="gh=1")
        assert Scoring.plan(only_rh, "paper", lambdas="rh=3").scaling == RowNorm(1.0, 0.0)
