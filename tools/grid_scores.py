"""Scores under many settings from a few products of signatures.

A score is an inner product of features (`Scoring.features`), and preconditioning adds inner products with a sample of
rows (`retrieval/precondition.py`). Features are the two channels of a signature, each scaled by what the row's channel
norms say. So `<a_rh, b_rh>` and `<a_gh, b_gh>` of queries, sample and rows give the scores under every metric,
lambdas and alpha; that they are those of the library is tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rise_store.records import EstimatorConfig
from rise_store.retrieval.metrics import Scoring

Array = npt.NDArray[Any]

SCORINGS = {  # lambdas of the metric paper, rh/gh; in a space of 1/0.3 those are the metric dot
    "1/0.3": ("paper", "rh=1,gh=0.3"),
    "0.7/1": ("paper", "rh=0.7,gh=1"),
    "1/1": ("paper", "rh=1,gh=1"),
    "RH only": ("paper", "rh=1,gh=0"),
    "GH only": ("paper", "rh=0,gh=1"),
    "cosine": ("cosine", None),
}
ALPHAS = (None, 0.001, 0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Products:
    """Inner products, channel by channel, of queries and sampled rows with all rows."""

    channels: Array  # (2, queries + sample, rows) float32
    left_norms: Array  # (queries + sample, 2)
    norms: Array  # (rows, 2)
    sample: Array  # (sample,) which rows
    config: EstimatorConfig

    @classmethod
    def of(cls, queries: Array, rows: Array, sample: Array, config: EstimatorConfig) -> Products:
        """From signatures of queries and rows, (m, dim) and (n, dim), and the indices of the sampled rows."""
        left = np.concatenate([queries, rows[sample]])
        halves = slice(0, config.dim_rh), slice(config.dim_rh, None)
        channels = np.stack([left[:, half] @ rows[:, half].T for half in halves])
        left_norms, norms = (
            np.stack([np.linalg.norm(side[:, half], axis=1) for half in halves], axis=1) for side in (left, rows)
        )
        return cls(channels, left_norms, norms, sample, config)

    def scores(self, scoring: str, alphas: Sequence[float | None] = ALPHAS) -> Iterator[Array]:
        """Scores of rows for queries under one metric and each alpha, (m, n)."""
        metric, lambdas = SCORINGS[scoring]
        plan = Scoring.plan(self.config, metric, lambdas=lambdas)  # type: ignore[arg-type]
        left, right = _scales(plan, self.left_norms), _scales(plan, self.norms)
        products = sum(np.outer(left[:, c], right[:, c]) * self.channels[c] for c in (0, 1))  # (m + s, n)
        m, s = len(left) - len(self.sample), len(self.sample)
        plain, shared = products[:m], products[m:]  # (m, n), (s, n)
        gram = shared[:, self.sample].astype(np.float64) / s  # (s, s)
        values, vectors = np.linalg.eigh((gram + gram.T) / 2)
        inner = (plain[:, self.sample] @ vectors, vectors.T @ shared)  # (m, s), (s, n)
        for alpha in alphas:
            if alpha is None:
                yield plain
            else:
                shift = alpha * values[-1]
                yield plain - (inner[0] / (s * (np.maximum(values, 0) + shift))) @ inner[1]


def _scales(scoring: Scoring, norms: Array) -> Array:
    """What a metric multiplies the channels of signatures of these norms by, (n, 2)."""
    narrow = scoring.config.model_copy(update={"kr": 1, "kh": 1, "kg": 1})  # each channel one coordinate: its norm
    scaled = replace(scoring, config=narrow).features(norms)
    scales: Array = np.divide(scaled, norms, out=np.zeros_like(norms), where=norms != 0)
    return scales
