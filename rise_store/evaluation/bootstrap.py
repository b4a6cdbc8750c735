"""Intervals of means over queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DEFAULT_BOOTSTRAP = 1000
LEVEL = 0.95


def mean_interval(
    values: Sequence[float], resamples: int = DEFAULT_BOOTSTRAP, seed: int = 0
) -> tuple[float | None, float | None]:
    """The 95 % interval of the mean of values, by the percentile bootstrap; none for less than two values.

    Args:
        values: one a query; of a paired comparison, the differences.
        resamples: how many times queries are drawn with replacement; 0 for no interval.
        seed: the same seed gives the same interval.
    """
    if len(values) < 2 or resamples < 1:
        return None, None
    of = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(len(of), size=(resamples, len(of)))
    low, high = np.quantile(of[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
