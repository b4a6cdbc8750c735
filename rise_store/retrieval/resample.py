"""Signatures of a query whose positions are drawn anew, with replacement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rise_store.records import EstimatorConfig, Query, QuerySet
from rise_store.retrieval.combine import Chunked, members, unit

BLOCK = 32  # resamples at a time: 3 MB of signatures and 8 MB of work at the published widths

Array = npt.NDArray[np.float32]
Counts = npt.NDArray[np.floating]


class Factors(Protocol):
    """What the positions of a chunk add to its signature, as `PositionFactors` has it."""

    def __len__(self) -> int:
        """Positions."""
        ...

    def channels(self, config: EstimatorConfig, counts: Counts | None = None) -> Array:
        """The signature before it is normalised, (n, dim), for n rows of counts."""
        ...


class PositionEncoder(Protocol):
    """Tells positions apart, as `SignatureEncoder` does."""

    @property
    def config(self) -> EstimatorConfig:
        """The estimator's settings."""
        ...

    def query_chunks(self, queries: Sequence[Query]) -> Sequence[Chunked]:
        """The token ids of queries."""
        ...

    def position_factors(
        self, chunks: Sequence[Sequence[int]], loss_start: Sequence[int] | None = None
    ) -> Sequence[Factors]:
        """What each position of each chunk adds."""
        ...


class Resampler:
    """Draws the positions of a query anew, or of every query of a set."""

    def __init__(self, encoder: PositionEncoder, asked: Query | QuerySet) -> None:
        """Run the model once over the query, and over what it is asked against."""
        self._config = encoder.config
        self._sides = [
            [_factors(encoder, side) for side in (query, query.counterfactual) if side is not None]
            for query in members(asked)
        ]

    @property
    def positions(self) -> int:
        """How many positions are drawn from."""
        return sum(len(chunk) for sides in self._sides for chunks in sides for chunk in chunks)

    def signatures(self, resamples: int, seed: int) -> Iterator[Array]:
        """Signatures to ask with, (n, dim) with n at most `BLOCK`, until there are as many as asked for.

        Each chunk keeps the number of its positions; chunks are averaged as those of an example are, queries combined
        as `query_signatures` has it. A query and what it is asked against are drawn independently.
        """
        draw = np.random.default_rng(seed)
        for start in range(0, resamples, BLOCK):
            count = min(BLOCK, resamples - start)
            total = np.zeros((count, self._config.dim), np.float32)
            for sides in self._sides:
                own, *against = (self._drawn(chunks, draw, count) for chunks in sides)
                total += unit(own - against[0]) if against else own
            yield unit(total)

    def _drawn(self, chunks: Sequence[Factors], draw: np.random.Generator, count: int) -> Array:
        total = np.zeros((count, self._config.dim), np.float32)
        for factors in chunks:
            positions = len(factors)
            counts = draw.multinomial(positions, np.full(positions, 1 / positions), size=count)  # (count, T)
            # Rounded to float16, as chunks are (DESIGN section 2, step 7).
            total += unit(factors.channels(self._config, counts.astype(np.float32))).astype(np.float16)
        return unit(total)


def _factors(encoder: PositionEncoder, query: Query) -> Sequence[Factors]:
    (chunked,) = encoder.query_chunks([query])
    return encoder.position_factors(chunked.chunks, chunked.loss_start)
