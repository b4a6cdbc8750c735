"""A score is the sum of its pairs of positions: against signatures that are computed whole, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store import EstimatorConfig, Weights
from rise_store.records import Lambdas
from rise_store.retrieval import Preconditioner, Scoring, explain, score_rows
from rise_store.retrieval.explain import Decomposition, decompose
from rise_store.retrieval.text_positions import Positions, contrast_positions, example_positions
from rise_store.signature.positions import PositionFactors

CONFIG = EstimatorConfig(kr=5, kh=4, kg=3, lambda_rh=0.8, lambda_gh=0.3)
HALF = CONFIG.dim_rh
STRIDE = 6  # tokens from one chunk's first to the next's
SCORINGS = (
    Scoring.plan(CONFIG, "dot"),
    Scoring.plan(CONFIG, "dot", Weights(rh=-0.5, gh=2)),
    Scoring.plan(CONFIG, "cosine", Weights(rh=1, gh=0.25)),
    Scoring.plan(CONFIG, "paper", lambdas=Lambdas(rh=0.3, gh=1)),
    Scoring.plan(CONFIG, "paper", lambdas=Lambdas(rh=0, gh=1)),
)


@dataclass(frozen=True)
class Text:
    """Chunks of 9 tokens, of which each position predicts one but the first; windows overlap by three tokens."""

    chunks: list[PositionFactors]

    @classmethod
    def random(cls, chunks: int, seed: int, first: int = 1) -> Text:
        draw = np.random.default_rng(seed)

        def rows(count: int, width: int) -> np.ndarray:
            return draw.normal(size=(count, width)).astype(np.float32)

        count = 9 - first
        predicted = np.arange(first, 9)
        return cls(
            [
                PositionFactors(predicted, rows(count, CONFIG.kh), rows(count, CONFIG.kr), rows(count, CONFIG.kg))
                for _ in range(chunks)
            ]
        )

    @property
    def positions(self) -> Positions:
        firsts = [STRIDE * number for number in range(len(self.chunks))]
        return example_positions(self.chunks, firsts, firsts[-1] + 9, CONFIG)

    @property
    def signature(self) -> np.ndarray:
        """As the estimator has it, in float64 and without rounding chunks."""
        return unit(sum(unit(self.outer_products(chunk).sum(axis=0)) for chunk in self.chunks))

    @staticmethod
    def outer_products(chunk: PositionFactors) -> np.ndarray:
        """What each position adds, (T, dim)."""
        hidden, residual, error = (part.astype(np.float64) for part in (chunk.hidden, chunk.residual, chunk.error))
        rh = CONFIG.lambda_rh * np.einsum("tr,th->trh", residual, hidden).reshape(len(chunk), -1)
        gh = CONFIG.lambda_gh * np.einsum("tg,th->tgh", error, hidden).reshape(len(chunk), -1)
        return np.concatenate([rh, gh], axis=1)


def unit(x: Any) -> Any:
    return x / np.linalg.norm(x)


def by_definition(q: np.ndarray, x: np.ndarray, scoring: Scoring, precondition: Preconditioner | None) -> np.ndarray:
    """What RH and GH add to the score of x for q, in float64."""
    if scoring.metric == "cosine":
        features = [np.concatenate([unit(s[:HALF]), unit(s[HALF:])]) for s in (q, x)]
        factors = (scoring.weights.rh, scoring.weights.gh)
    elif scoring.metric == "paper":
        assert scoring.lambdas is not None
        under = np.repeat(
            [scoring.lambdas.rh / CONFIG.lambda_rh, scoring.lambdas.gh / CONFIG.lambda_gh], [HALF, CONFIG.dim_gh]
        )
        features, factors = [unit(under * q), unit(under * x)], (1, 1)
    else:
        features, factors = [q, x], (scoring.weights.rh, scoring.weights.gh)
    asked, row = features
    if precondition is not None:
        rows = precondition.rows.astype(np.float64)
        asked = asked - rows.T @ (precondition.inverse @ (rows @ asked))
    return np.array([factors[0] * asked[:HALF] @ row[:HALF], factors[1] * asked[HALF:] @ row[HALF:]])


def sampled(scoring: Scoring, alpha: float) -> Preconditioner:
    rows = np.random.default_rng(7).normal(size=(12, CONFIG.dim)).astype(np.float32) + 1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Preconditioner.from_rows(scoring.features(rows), alpha)


def whole(parts: Decomposition) -> np.ndarray:
    return np.array(parts.channels)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    chunks=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    scoring=st.sampled_from(SCORINGS),
    alpha=st.none() | st.floats(1e-3, 10),
    contrast=st.booleans(),
)
def test_all_pairs_add_up_to_the_score(
    seed: int, chunks: tuple[int, int], scoring: Scoring, alpha: float | None, contrast: bool
) -> None:
    query, example, other = (
        Text.random(chunks[0], seed, first=3),
        Text.random(chunks[1], seed + 1),
        Text.random(1, seed + 2),
    )
    positions, signature = query.positions, query.signature
    if contrast:
        positions = contrast_positions(positions, other.positions)
        signature = unit(signature - other.signature)
    precondition = None if alpha is None else sampled(scoring, alpha)
    parts = decompose(positions, example.positions, scoring, precondition, top_pairs=10_000, partners=10_000)

    expected = by_definition(signature, example.signature, scoring, precondition)
    np.testing.assert_allclose(whole(parts), expected, atol=1e-5)
    np.testing.assert_allclose(parts.query.sum(axis=0), whole(parts), atol=1e-9)
    np.testing.assert_allclose(parts.example.sum(axis=0), whole(parts), atol=1e-9)
    pairs = np.concatenate([parts.positive.channels, parts.negative.channels])
    np.testing.assert_allclose(pairs.sum(axis=0), whole(parts), atol=1e-9)
    of_tokens = np.stack([pairs.channels.sum(axis=0) for pairs in parts.partners])
    np.testing.assert_allclose(of_tokens, parts.example, atol=1e-9)

    features = scoring.features(signature[None].astype(np.float32))
    folded = scoring.fold(features if precondition is None else precondition(features))
    searched = score_rows(example.signature[None].astype(np.float32), folded, scoring)[0, 0]
    np.testing.assert_allclose(parts.score, searched, atol=1e-4)


@given(seed=st.integers(0, 10_000), alpha=st.none() | st.floats(1e-2, 10), scoring=st.sampled_from(SCORINGS))
def test_a_pair_is_the_score_of_its_two_positions(seed: int, alpha: float | None, scoring: Scoring) -> None:
    query, example = Text.random(1, seed), Text.random(1, seed + 1)
    precondition = None if alpha is None else sampled(scoring, alpha)
    parts = decompose(query.positions, example.positions, scoring, precondition, top_pairs=1)
    t, s = parts.positive.query[0], parts.positive.example[0]
    rows, columns = Text.outer_products(query.chunks[0]), Text.outer_products(example.chunks[0])

    def of(i: int, j: int) -> float:
        """The pair's part, as what the score loses without it, which is bilinear in the two signatures."""
        q, x = rows / np.linalg.norm(rows.sum(axis=0)), columns / np.linalg.norm(columns.sum(axis=0))
        scales = scoring.scales(norms(q.sum(axis=0)), norms(x.sum(axis=0)))
        sizes = [HALF, CONFIG.dim_gh]
        phi, psi = np.repeat(scales[0], sizes) * q[i], np.repeat(scales[1], sizes) * x[j]
        if precondition is not None:
            sample = precondition.rows.astype(np.float64)
            phi = phi - sample.T @ (precondition.inverse @ (sample @ phi))
        return float(phi @ psi)

    assert parts.positive.scores[0] == pytest.approx(of(t - 1, s - 1), abs=1e-5)
    assert max(of(i, j) for i in range(8) for j in range(8)) == pytest.approx(parts.positive.scores[0], abs=1e-5)


def norms(signature: np.ndarray) -> tuple[float, float]:
    return float(np.linalg.norm(signature[:HALF])), float(np.linalg.norm(signature[HALF:]))


def test_a_token_of_two_windows_has_the_sum_of_both() -> None:
    query, example = Text.random(1, 0), Text.random(2, 1)
    both = decompose(query.positions, example.positions, SCORINGS[0]).example
    first, second = example.positions, example.positions
    length = len(example.chunks[0])
    first = keep(first, slice(None, length))
    second = keep(second, slice(length, None))
    apart = [decompose(query.positions, part, SCORINGS[0]).example for part in (first, second)]
    assert apart[0][8].any()
    assert apart[1][8].any()  # token 8 is the last of the first window and the third of the second
    np.testing.assert_allclose(apart[0] + apart[1], both, atol=1e-12)


def keep(positions: Positions, which: slice) -> Positions:
    rh, gh = positions.errors
    return Positions(
        positions.hidden[which], (rh[which], gh[which]), positions.factors[which], positions.tokens[which],
        positions.token_count,
    )  # fmt: skip


def test_tokens_that_are_not_predicted_add_nothing() -> None:
    query = Text.random(1, 0, first=4)
    parts = decompose(query.positions, Text.random(1, 1).positions, SCORINGS[0])
    assert not parts.query[:4].any()
    assert parts.query[4:].all()
    assert not parts.example[0].any()


@pytest.mark.parametrize("alpha", [None, 0.1])
def test_blocks_of_any_size_give_the_same(alpha: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    query, example = Text.random(2, 0), Text.random(3, 1)
    precondition = None if alpha is None else sampled(SCORINGS[0], alpha)
    once = decompose(query.positions, example.positions, SCORINGS[0], precondition, top_pairs=7)
    monkeypatch.setattr(explain, "TOKENS", 4)
    monkeypatch.setattr(explain, "BLOCK", 3)
    again = decompose(query.positions, example.positions, SCORINGS[0], precondition, top_pairs=7)
    np.testing.assert_allclose(again.query, once.query, atol=1e-6)
    np.testing.assert_allclose(again.example, once.example, atol=1e-6)
    for one, other in ((once.positive, again.positive), (once.negative, again.negative)):
        assert len(one.query) == 7
        np.testing.assert_array_equal(one.query, other.query)
        np.testing.assert_array_equal(one.example, other.example)
    assert (once.positive.scores > 0).all()
    assert (np.diff(once.positive.scores) <= 0).all()
    assert (once.negative.scores < 0).all()
    assert (np.diff(once.negative.scores) >= 0).all()
