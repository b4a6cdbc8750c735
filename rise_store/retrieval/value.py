"""What candidates are worth: how much they would help with a set of targets, without labels.

With the score `s(t, x)` that a search for target t gives candidate x:

| by | value of x |
|---|---|
| mean | mean over targets of `s(t, x)`: one dot product with the mean of the folded targets |
| max | largest `s(t, x)` over targets |
| rrf | sum over targets of `1 / (60 + rank of x for t)`, ranks beyond a depth adding nothing |

Candidates come in blocks and none is held, but for rrf, whose ranks are known at the end: there, the best of each
target.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError
from rise_store.records import ValueBy
from rise_store.retrieval.fusion import CONSTANT, DEPTH
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.scan import scan_scores, score_rows
from rise_store.store import Collection, Filter

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that is to be valued: stored, or on its way through."""

    number: int  # place in the order in which candidates come: of equal values, the earlier one is better
    fields: dict[str, Any]  # as the payload of a stored example names them
    record: Mapping[str, Any] | None = None  # the row as it was read; None of a stored example


@dataclass(frozen=True)
class CandidateBlock:
    """Some candidates with their signatures."""

    candidates: list[Candidate]
    signatures: Array  # (n, dim), rows of unit length


@dataclass(frozen=True)
class ValuedBlock:
    """Some candidates with what they are worth."""

    candidates: list[Candidate]
    signatures: Array  # (n, dim)
    values: Array  # (n,); of rrf, which is not known yet, those of the mean
    rh: Array  # (n,) what RH adds to the values; GH adds the rest
    scores: Array | None  # (n, targets), where they were asked for or are needed


class Targets:
    """Targets as they are searched with, and how candidates are scored against them."""

    def __init__(self, folded: Array, scoring: Scoring, by: ValueBy = "mean", *, each: bool = False) -> None:
        """Of m targets as `Search.fold` gives them, (m, dim); `each`: the scores of every target are wanted.

        Raises:
            ConfigError: an unknown `by`.
        """
        if by not in ("mean", "max", "rrf"):
            raise ConfigError(f"unknown value {by!r}; choose one of mean, max, rrf")
        self.by = by
        self._folded = folded
        self._scoring = scoring
        self._each = each or by != "mean"
        mean = folded.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        # Two products a row, however many targets there are, unless their scores are needed one by one.
        self._queries = np.concatenate([*([folded] if self._each else []), mean, scoring.only_rh(mean)])

    def __len__(self) -> int:
        return len(self._folded)

    def stored(
        self, collection: Collection, where: Filter | None, fields: tuple[str, ...] | None
    ) -> Iterator[ValuedBlock]:
        """Value the stored rows that a filter lets through, in the order of ids, with these fields of their payload."""
        number = 0
        for page in scan_scores(collection, self._queries, self._scoring, where=where, fields=fields):
            rows = [Candidate(number + i, point.payload) for i, point in enumerate(page.points)]
            number += len(rows)
            yield self._valued(CandidateBlock(rows, page.signatures), page.scores)

    def blocks(self, blocks: Iterable[CandidateBlock]) -> Iterator[ValuedBlock]:
        """Value candidates that come with their signatures."""
        for block in blocks:
            yield self._valued(block, score_rows(block.signatures, self._queries, self._scoring))

    def _valued(self, block: CandidateBlock, scores: Array) -> ValuedBlock:
        values, rh = scores[:, -2], scores[:, -1]
        each = scores[:, :-2] if self._each else None
        if self.by == "max":
            assert each is not None
            best = each.argmax(axis=1)  # (n,)
            values = each[np.arange(len(best)), best]
            dim_rh = self._scoring.config.dim_rh
            products = np.einsum("nd,nd->n", block.signatures[:, :dim_rh], self._folded[best, :dim_rh])
            rh = products / self._scoring.divisors(block.signatures)[0]
        return ValuedBlock(block.candidates, block.signatures, values, rh, each)


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate that is among the best of some target."""

    candidate: Candidate
    value: float
    scores: Array | None


class RankFusion:
    """Reciprocal-rank fusion of a stream: of each target, the `depth` candidates of largest score are held.

    The sums are exact where `depth` is no less than the number of candidates. Otherwise ranks beyond it add nothing,
    which makes a value too small by less than `targets / (60 + depth)`.
    """

    def __init__(self, targets: int, depth: int = DEPTH, *, keep_scores: bool = False) -> None:
        """`keep_scores`: results have the scores of each target.

        Raises:
            ConfigError: a depth below 1.
        """
        if depth < 1:
            raise ConfigError(f"depth is {depth}; let at least 1 rank of each target count")
        self._depth = depth
        self._keep_scores = keep_scores
        self._best: list[list[tuple[float, int, Candidate, Array | None]]] = [[] for _ in range(targets)]

    @property
    def held(self) -> int:
        """Entries that are held: at most targets times depth."""
        return sum(map(len, self._best))

    def add(self, block: ValuedBlock) -> None:
        """Take a block of candidates into account."""
        assert block.scores is not None
        for best, column in zip(self._best, block.scores.T, strict=True):
            least = best[0][0] if len(best) == self._depth else -np.inf
            for i in np.nonzero(column > least)[0]:  # of equals, the earlier candidate stays
                scores = block.scores[i].copy() if self._keep_scores else None
                entry = (float(column[i]), -block.candidates[i].number, block.candidates[i], scores)
                if len(best) < self._depth:
                    heapq.heappush(best, entry)
                elif entry[:2] > best[0][:2]:
                    heapq.heapreplace(best, entry)

    def ranked(self) -> list[Fused]:
        """The candidates that are held, best first."""
        values: dict[int, float] = {}
        found: dict[int, tuple[Candidate, Array | None]] = {}
        for best in self._best:
            for rank, (_, _, candidate, scores) in enumerate(sorted(best, key=lambda e: e[:2], reverse=True), 1):
                values[candidate.number] = values.get(candidate.number, 0.0) + 1 / (CONSTANT + rank)
                found[candidate.number] = (candidate, scores)
        order = sorted(values, key=lambda number: (-values[number], number))
        return [Fused(found[number][0], values[number], found[number][1]) for number in order]
