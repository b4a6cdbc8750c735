"""Why a stored example has its score: the score as a sum over pairs of token positions and channels.

The signature of a chunk is `L_c sum_t e_t^c (x) h_t` in channel c (e being the residual sketch in RH and the
projected-error sketch in GH), scaled to unit length; an example averages its chunks, scales again, and a metric scales
each channel. All of that is a factor `a_t` a position and one a channel, so with `phi(q) = sum_t a_t phi_t` and
`psi(x) = sum_s b_s psi_s` (what a metric compares, weights and divisors included)

    score = <P phi(q), psi(x)> = sum over t, s, c of a_t b_s (<e_t^c, e_s^c> <h_t, h_s> - (X phi_t)^T M (X psi_s^c)).

The last term is preconditioning, `P = 1 - X^T M X`, which mixes channels: a pair's part belongs to the channel of the
example, as the channels of a search do. `X phi_t` is one row of n numbers a position, so no outer products are kept.

What is lost is only what a store rounds: signatures of chunks and of examples, to float16 or fewer bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import Preconditioner
from rise_store.retrieval.text_positions import Array, Indices, Positions

BLOCK = 64  # positions whose outer products are in memory at a time
TOKENS = 256  # tokens of an example whose pairs are in memory at a time


@dataclass(frozen=True)
class Pairs:
    """What pairs of a token of the query and one of the example add to a score, one row a pair."""

    query: Indices  # (n,) index of the token
    example: Indices  # (n,)
    channels: Array  # (n, 2) RH, GH

    @property
    def scores(self) -> Array:
        """Both channels together, (n,)."""
        scores: Array = self.channels.sum(axis=1)
        return scores


@dataclass(frozen=True)
class Decomposition:
    """A score as sums over tokens; each table adds up to the score, and each of its columns to the channel's part."""

    query: Array  # (tokens of the query, 2): RH, GH
    example: Array  # (tokens of the example, 2)
    positive: Pairs  # those that add most, the largest first
    negative: Pairs  # those that take most away, the largest first
    partners: list[Pairs]  # of each token of the example, its strongest pairs of either sign, the strongest first

    @property
    def channels(self) -> tuple[float, float]:
        """What RH and GH add to the score."""
        rh, gh = self.example.sum(axis=0)
        return float(rh), float(gh)

    @property
    def score(self) -> float:
        """Everything together."""
        return float(self.example.sum())


def decompose(
    query: Positions,
    example: Positions,
    scoring: Scoring,
    preconditioner: Preconditioner | None = None,
    *,
    top_pairs: int = 20,
    partners: int = 5,
) -> Decomposition:
    """Split the score of an example for a query; exact but for rounding in float64 (float32 with preconditioning).

    A token that several positions predict, as in the overlap of two windows, has the sum of them.

    Args:
        query: of the query, maybe with what it is asked against.
        example: of the stored example.
        scoring: the metric.
        preconditioner: of the search, for the features of this metric.
        top_pairs: how many pairs of either sign to give.
        partners: how many pairs of each token of the example to give.
    """
    query_scales, example_scales = scoring.scales(query.norms(), example.norms())
    by_query, by_example = np.zeros((query.token_count, 2)), np.zeros((example.token_count, 2))
    best, worst = _Strongest(top_pairs), _Strongest(top_pairs)
    of_tokens: list[Pairs] = [_no_pairs()] * example.token_count
    shared = None
    if preconditioner is not None:
        shared = _shared(query, query_scales, preconditioner).sum(axis=0) @ preconditioner.inverse  # (N, n)
    for tokens, block in _token_blocks(example):
        columns = np.zeros((len(block), len(tokens)))
        columns[np.arange(len(block)), np.searchsorted(tokens, block.tokens)] = block.factors
        weakened = None
        if preconditioner is not None and shared is not None:
            weakened = _shared(block, example_scales, preconditioner)  # (2, block, n)
        near = query.hidden @ block.hidden.T  # (N, block) <h_t, h_s>
        table = np.zeros((query.token_count, len(tokens), 2))
        for channel, (scale, other) in enumerate(zip(query_scales, example_scales, strict=True)):
            pairs = scale * other * near * (query.errors[channel] @ block.errors[channel].T)
            if weakened is not None and shared is not None:
                pairs -= shared @ weakened[channel].T
            np.add.at(table[:, :, channel], query.tokens, query.factors[:, None] * (pairs @ columns))
        by_query += table.sum(axis=1)
        by_example[tokens] = table.sum(axis=0)
        scores = table.sum(axis=2)
        best.add(scores, tokens, table)
        worst.add(-scores, tokens, table)
        for column, token in enumerate(tokens):
            order = _largest(np.abs(scores[:, column]), partners)
            order = order[scores[order, column] != 0]  # a prompt's tokens are no partners
            of_tokens[token] = Pairs(order, np.full(len(order), token), table[order, column])
    return Decomposition(by_query, by_example, best.pairs(), worst.pairs(), of_tokens)


def _token_blocks(positions: Positions) -> Iterator[tuple[Indices, Positions]]:
    """Tokens that are predicted, some at a time and in order, with all positions that predict them."""
    order = np.argsort(positions.tokens, kind="stable")
    tokens = np.unique(positions.tokens)
    for start in range(0, len(tokens), TOKENS):
        some = tokens[start : start + TOKENS]
        first, last = np.searchsorted(positions.tokens[order], [some[0], some[-1] + 1])
        chosen = order[first:last]
        rh, gh = positions.errors
        yield (
            some,
            Positions(
                positions.hidden[chosen],
                (rh[chosen], gh[chosen]),
                positions.factors[chosen],
                positions.tokens[chosen],
                positions.token_count,
            ),
        )


def _shared(positions: Positions, scales: tuple[float, float], preconditioner: Preconditioner) -> Array:
    """`X phi_s^c`: what each position has in common with the n sampled rows in each channel, (2, N, n)."""
    rows = preconditioner.rows
    found = np.empty((2, len(positions), len(rows)))
    begin = 0
    for channel, (errors, scale) in enumerate(zip(positions.errors, scales, strict=True)):
        end = begin + errors.shape[1] * positions.hidden.shape[1]
        part = rows[:, begin:end]  # (n, dim of the channel)
        for start in range(0, len(positions), BLOCK):
            some = slice(start, start + BLOCK)
            outer = errors[some, :, None] * positions.hidden[some, None, :]
            flat = (scale * outer).reshape(len(outer), -1).astype(np.float32)
            found[channel, some] = flat @ part.T
        begin = end
    return found


class _Strongest:
    """The largest of many pairs, which come block by block."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._keys = np.empty(0)
        self._pairs = _no_pairs()

    def add(self, keys: Array, tokens: Indices, table: Array) -> None:
        """Pairs (query tokens, block tokens) by their keys; those that are not above 0 do not count."""
        flat = _largest(keys.ravel(), self._count)
        flat = flat[keys.ravel()[flat] > 0]
        query, column = np.unravel_index(flat, keys.shape)
        all_keys = np.concatenate([self._keys, keys[query, column]])
        order = _largest(all_keys, self._count)
        self._keys = all_keys[order]
        self._pairs = Pairs(
            np.concatenate([self._pairs.query, query])[order],
            np.concatenate([self._pairs.example, tokens[column]])[order],
            np.concatenate([self._pairs.channels, table[query, column]])[order],
        )

    def pairs(self) -> Pairs:
        """The largest, in order."""
        return self._pairs


def _no_pairs() -> Pairs:
    return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2)))


def _largest(values: Array, count: int) -> Indices:
    """Where the largest values stand, the largest first."""
    if count < len(values):
        some = np.argpartition(-values, count)[:count]
        return some[np.argsort(-values[some], kind="stable")]
    return np.argsort(-values, kind="stable")
