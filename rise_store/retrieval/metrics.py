"""Metrics: what the score of a stored signature is.

Every metric is a dot product with a query that was folded beforehand, divided by what the row's channel norms give:
`sum_c <f_c, x_c> / d_c(x)`, c being RH and GH, x = `[x_rh, x_gh]` the stored signature and q the query's. So a search
under any of them is one pass, and what a channel adds is known.

A metric compares features of the query with those of rows, `phi(q)` and `phi(x)`: the signature itself (dot), each
channel of unit length (cosine), the signature under other lambdas (paper). Preconditioning works on features, between
`Scoring.features` and `Scoring.fold`.

| metric | f_c | d_c(x) |
|---|---|---|
| dot | w_c q_c | 1 |
| cosine | w_c q_c / abs(q_c) | abs(x_c) |
| paper | a_c^2 q_c / abs(a q) | abs(a x) |

`a_c = l_c / L_c`: stored signatures are `normalised [L_rh RH, L_gh GH]` with the space's lambdas L, and under lambdas l
they would be `normalised [l_rh RH, l_gh GH]`, which is `a x / abs(a x)`. A quotient by a norm of 0 is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError
from rise_store.records import EstimatorConfig, Lambdas, Metric, Weights, validated
from rise_store.retrieval.weights import parse_channels, parse_weights
from rise_store.store import PerChannel, RowNorm, Scaling

PLAIN = Weights()
Norms = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scoring:
    """A metric with its settings, for signatures of one space."""

    config: EstimatorConfig
    metric: Metric = "dot"
    weights: Weights = PLAIN
    lambdas: Lambdas | None = None  # of the metric paper, and of no other

    @classmethod
    def plan(
        cls,
        config: EstimatorConfig,
        metric: Metric = "dot",
        weights: Weights | str | None = None,
        lambdas: Lambdas | str | None = None,
    ) -> Scoring:
        """Check a metric and its settings.

        Args:
            config: of the space.
            metric: dot, cosine or paper.
            weights: for dot and cosine; as a record or as `rh=1,gh=0.5`, by default 1 each.
            lambdas: for paper; as a record or as `rh=1,gh=0.3`, where a channel that is left out has the space's.

        Raises:
            ConfigError: settings of another metric, or of a channel that the space does not store.
        """
        if metric not in get_args(Metric):
            raise ConfigError(f"unknown metric {metric!r}; choose one of {', '.join(get_args(Metric))}")
        weights = parse_weights(weights) if isinstance(weights, str) else weights or PLAIN
        if metric != "paper":
            if lambdas is not None:
                raise ConfigError(f"lambdas belong to the metric paper, not to {metric}, which takes weights")
            return cls(config, metric, weights)
        if weights != PLAIN:
            raise ConfigError("the metric paper takes lambdas instead of weights, as in rh=1,gh=0.3")
        own = Lambdas(rh=config.lambda_rh, gh=config.lambda_gh)
        if isinstance(lambdas, str):
            given = parse_channels(lambdas, "lambda", "rh=1,gh=0.3")
            lambdas = validated(Lambdas, f"lambdas {lambdas!r}", own.model_dump() | given)
        lambdas = lambdas or own
        for channel in ("rh", "gh"):
            if getattr(lambdas, channel) and not getattr(own, channel):
                raise ConfigError(
                    f"lambda {channel} is {getattr(lambdas, channel):g}, but this space does not store the channel: "
                    f"it was made with lambda_{channel} 0. Use 0"
                )
        return cls(config, metric, weights, lambdas)

    def features(self, signatures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What the metric compares, `phi(x)`, of signatures of queries or rows, (n, dim) both."""
        if self.metric == "dot":
            return signatures
        rh, gh = np.split(signatures.astype(np.float64), [self.config.dim_rh], axis=1)
        norms = np.stack([np.linalg.norm(rh, axis=1), np.linalg.norm(gh, axis=1)])  # (2, n)
        if self.metric == "cosine":
            factors = _quotient(np.ones_like(norms), norms)
        else:
            ratios = np.array(self._ratios)[:, None]  # (2, 1)
            factors = _quotient(ratios * np.ones_like(norms), np.linalg.norm(ratios * norms, axis=0))
        return np.concatenate([rh * factors[0][:, None], gh * factors[1][:, None]], axis=1).astype(np.float32)

    def fold(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What to search with, `[f_rh, f_gh]`, for queries of these features, (n, dim) both."""
        factors = self._ratios if self.metric == "paper" else (self.weights.rh, self.weights.gh)
        rh, gh = np.split(features.astype(np.float64), [self.config.dim_rh], axis=1)
        return np.concatenate([rh * factors[0], gh * factors[1]], axis=1).astype(np.float32)

    def only_rh(self, folded: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Folded queries (n, dim) without their GH half."""
        halved: npt.NDArray[np.float32] = folded.copy()
        halved[:, self.config.dim_rh :] = 0
        return halved

    @property
    def scaling(self) -> Scaling | None:
        """What a search divides by."""
        if self.metric == "cosine":
            return PerChannel()
        return RowNorm(*self._ratios) if self.metric == "paper" else None

    def divisors(self, signatures: npt.NDArray[np.float32]) -> tuple[Norms, Norms]:
        """What each channel's part of a row's dot product is divided by, (n,) each; infinite where a norm is 0."""
        rh, gh = (
            np.linalg.norm(part, axis=1).astype(np.float32) for part in np.split(signatures, [self.config.dim_rh], 1)
        )
        if self.metric == "dot":
            return np.ones_like(rh), np.ones_like(gh)
        if self.metric == "paper":
            rh = gh = np.hypot(np.float32(self._ratios[0]) * rh, np.float32(self._ratios[1]) * gh)
        return np.where(rh == 0, np.float32(np.inf), rh), np.where(gh == 0, np.float32(np.inf), gh)

    def part_of_rh(self, product: float, norms: Mapping[str, float]) -> float:
        """What RH adds to the score of a row, from `<f_rh, x_rh>` and the row's stored channel norms."""
        divisor = 1.0
        if self.metric == "cosine":
            divisor = norms["rh"]
        elif self.metric == "paper":
            divisor = float(np.hypot(self._ratios[0] * norms["rh"], self._ratios[1] * norms["gh"]))
        return product / divisor if divisor else 0.0

    def scales(
        self, query: tuple[float, float], row: tuple[float, float]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """What turns the channels of a query and of a row into factors of a score, from their norms (RH, GH).

        `score = <P phi, psi>`, P being the preconditioning: `phi_c` is the first factor of channel c times `q_c` (its
        features), `psi_c` the second one times `x_c` (weight and divisor included).
        """
        if self.metric == "dot":
            return (1.0, 1.0), (self.weights.rh, self.weights.gh)
        (q_rh, q_gh), (x_rh, x_gh) = query, row
        if self.metric == "cosine":
            return (_inverse(q_rh), _inverse(q_gh)), (
                self.weights.rh * _inverse(x_rh),
                self.weights.gh * _inverse(x_gh),
            )
        a_rh, a_gh = self._ratios
        of_query, of_row = (_inverse(math.hypot(a_rh * rh, a_gh * gh)) for rh, gh in ((q_rh, q_gh), (x_rh, x_gh)))
        return (a_rh * of_query, a_gh * of_query), (a_rh * of_row, a_gh * of_row)

    @property
    def _ratios(self) -> tuple[float, float]:
        """`a_rh` and `a_gh`, the larger one 1: a common factor changes no score."""
        assert self.lambdas is not None
        rh = self.lambdas.rh / self.config.lambda_rh if self.lambdas.rh else 0.0
        gh = self.lambdas.gh / self.config.lambda_gh if self.lambdas.gh else 0.0
        largest = max(rh, gh)
        return rh / largest, gh / largest


def _inverse(norm: float) -> float:
    """`1 / norm`, and 0 where the norm is 0."""
    return 1 / norm if norm else 0.0


def _quotient(values: npt.NDArray[np.float64], by: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`values / by`, and 0 where `by` is 0."""
    by = np.broadcast_to(by, values.shape)
    return np.divide(values, by, out=np.zeros_like(values), where=by != 0)
