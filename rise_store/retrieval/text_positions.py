"""The positions of a text, and with what factor each enters the text's signature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rise_store.records import EstimatorConfig

if TYPE_CHECKING:
    from rise_store.signature.positions import PositionFactors

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
EPSILON = 1e-8  # least length that a vector is divided by, as in the estimator


@dataclass(frozen=True)
class Positions:
    """The N positions of a text that count, and with what factor each enters the signature of the text."""

    hidden: Array  # (N, kh)
    errors: tuple[Array, Array]  # (N, kr) of channel RH, (N, kg) of GH, times the channel's lambda
    factors: Array  # (N,) `a_t`
    tokens: Indices  # (N,) index in the text of the token that each position predicts
    token_count: int

    def __len__(self) -> int:
        return len(self.factors)

    def signature(self) -> tuple[Array, Array]:
        """Its parts in channels RH and GH, (kr * kh,) and (kg * kh,)."""
        rh, gh = ((error.T @ (self.factors[:, None] * self.hidden)).ravel() for error in self.errors)
        return rh, gh

    def norms(self) -> tuple[float, float]:
        """Lengths of the two."""
        rh, gh = (float(np.linalg.norm(part)) for part in self.signature())
        return rh, gh

    def scaled(self) -> Positions:
        """The same with a signature of unit length."""
        length = math.hypot(*self.norms())
        return replace(self, factors=self.factors / max(length, EPSILON))


def example_positions(
    chunks: Sequence[PositionFactors], first_tokens: Sequence[int], token_count: int, config: EstimatorConfig
) -> Positions:
    """The positions of a text from those of its chunks, as the estimator averages them (DESIGN section 2, step 7).

    Args:
        chunks: of each chunk, its positions.
        first_tokens: of each chunk, the index in the text of its first token.
        token_count: tokens of the text.
        config: the space's settings.
    """
    parts = [
        Positions(
            chunk.hidden.astype(np.float64),
            (
                config.lambda_rh * chunk.residual.astype(np.float64),
                config.lambda_gh * chunk.error.astype(np.float64),
            ),
            np.ones(len(chunk)),
            chunk.predicted + first,
            token_count,
        ).scaled()
        for chunk, first in zip(chunks, first_tokens, strict=True)
    ]
    return _joined(parts, token_count).scaled()


def contrast_positions(query: Positions, against: Positions) -> Positions:
    """The positions of a query and of what it is asked against, which count negatively; their tokens come behind.

    The signature is the difference of the two, scaled to unit length.
    """
    moved = replace(against, factors=-against.factors, tokens=against.tokens + query.token_count)
    return _joined([query, moved], query.token_count + against.token_count).scaled()


def _joined(parts: Sequence[Positions], token_count: int) -> Positions:
    return Positions(
        np.concatenate([part.hidden for part in parts]),
        (np.concatenate([part.errors[0] for part in parts]), np.concatenate([part.errors[1] for part in parts])),
        np.concatenate([part.factors for part in parts]),
        np.concatenate([part.tokens for part in parts]),
        token_count,
    )
