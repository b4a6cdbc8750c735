"""Selections that are good together: maximal marginal relevance, and facility location.

Both choose greedily from a pool of the candidates that are worth most, by the cosine of signatures, negative ones
counting as 0; both pass over what is not within the limits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError
from rise_store.retrieval.select.limits import Limits, Tally
from rise_store.retrieval.select.pool import PoolRow

DEFAULT_DIVERSITY = 0.5
MOST_LOCATED = 20_000  # rows of a pool that facility location takes: the matrix of their cosines has 1.6 GB
_BLOCK = 256  # rows that are float32 at a time
_ANEW = 64  # rows that are compared anew at a time

Array = npt.NDArray[np.float32]


def checked_diversity(diversity: float | None) -> float:
    """`ConfigError` unless diversity is None (the default) or lies from 0 to 1."""
    if diversity is None:
        return DEFAULT_DIVERSITY
    if not 0 <= diversity <= 1:
        raise ConfigError(f"diversity is {diversity}; give a number from 0 (values alone) to 1 (differences alone)")
    return diversity


def marginal_relevance(pool: Sequence[PoolRow], limits: Limits, diversity: float) -> list[PoolRow]:
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998).

    The next row is the one of largest `(1 - diversity) v(x) / max |v| - diversity max_s cos(x, s)`, s being those that
    are chosen already; of equals, the one that is worth more.
    """
    if not pool:
        return []
    signatures = _signatures(pool)
    values = np.array([row.value for row in pool])
    relevance = values / (np.abs(values).max() or 1.0)
    nearest = np.zeros(len(pool))  # largest cosine with the chosen rows that a row was compared with,
    compared = np.zeros(len(pool), dtype=np.int64)  # which are the first so many
    left = np.ones(len(pool), dtype=bool)
    tally = Tally(limits)
    chosen: list[PoolRow] = []
    directions = np.zeros(signatures.shape, dtype=np.float32)  # of the chosen; pages without any take no memory
    # What a row gains only falls as others are chosen, so last known gains are bounds of the present ones.
    gains = (1 - diversity) * relevance
    while left.any() and not tally.full:
        best = int(np.where(left, gains, -np.inf).argmax())
        if diversity and compared[best] < len(chosen):
            bounds = np.where(left & (compared < len(chosen)), gains, -np.inf)
            anew = np.argpartition(-bounds, min(_ANEW, len(pool)) - 1)[:_ANEW]
            anew = anew[np.isfinite(bounds[anew])]
            others = directions[compared[anew].min() : len(chosen)]
            with np.errstate(invalid="ignore"):  # BLAS may raise the flag in unused lanes, with finite results
                cosines = _unit(signatures[anew]) @ others.T
            nearest[anew] = np.maximum(nearest[anew], cosines.max(axis=1))
            compared[anew] = len(chosen)
            gains[anew] = (1 - diversity) * relevance[anew] - diversity * nearest[anew]
            continue
        left[best] = False
        if tally.take(pool[best].keys, pool[best].tokens):
            directions[len(chosen)] = _unit(signatures[best : best + 1])[0]
            chosen.append(pool[best])
    return chosen


def too_many_to_locate(rows: int) -> str:
    """Why facility location refuses a pool of so many rows."""
    return (
        f"facility location compares the {rows:,} rows of the pool with each other, {MOST_LOCATED:,} at most; choose a "
        "smaller --pool or selection, or the strategy mmr"
    )


def facility_location(pool: Sequence[PoolRow], limits: Limits) -> list[PoolRow]:
    """Facility location: rows that stand for the whole pool, in which a row counts by what it is worth.

    The next row adds most to `F(S) = sum over x in the pool of w(x) max_{s in S} cos(x, s)`, w(x) being the value where
    it is positive and 0 elsewhere (1 for all rows of a pool without positive values). F is submodular, so with a number
    of rows as the only limit the choice reaches 63 % of the largest F at least.

    Raises:
        ConfigError: a pool of more than `MOST_LOCATED` rows.
    """
    if len(pool) > MOST_LOCATED:
        raise ConfigError(too_many_to_locate(len(pool)))
    if not pool:
        return []
    signatures = _signatures(pool)
    cosines = np.empty((len(pool), len(pool)), dtype=np.float32)  # of a row with one that may stand for it
    for start in range(0, len(pool), _BLOCK):
        cosines[:, start : start + _BLOCK] = _cosines(signatures, signatures[start : start + _BLOCK])
    weights = np.array([max(row.value, 0.0) for row in pool], dtype=np.float32)
    if not weights.any():
        weights[:] = 1
    covered = np.zeros(len(pool), dtype=np.float32)
    left = np.ones(len(pool), dtype=bool)
    tally = Tally(limits)
    chosen: list[PoolRow] = []
    # What a row adds only falls as others are chosen, so last known gains are bounds of the present ones.
    gains = np.array([_gain(column, covered, weights) for column in cosines.T])
    while left.any() and not tally.full:
        best = int(np.where(left, gains, -np.inf).argmax())
        gains[best] = _gain(cosines[:, best], covered, weights)
        if gains[best] < np.where(left, gains, -np.inf).max():
            continue
        left[best] = False
        if tally.take(pool[best].keys, pool[best].tokens):
            chosen.append(pool[best])
            covered = np.maximum(covered, cosines[:, best])
    return chosen


def _gain(column: Array, covered: Array, weights: Array) -> float:
    return float(weights @ np.maximum(column - covered, 0))


def _signatures(pool: Sequence[PoolRow]) -> npt.NDArray[np.float16]:
    return np.stack([row.signature for row in pool if row.signature is not None])


def _cosines(rows: npt.NDArray[np.float16], others: npt.NDArray[np.float16]) -> Array:
    """Cosines of rows (n, dim) with others (m, dim), negative ones as 0: (n, m) float32."""
    columns = _unit(others)
    found = [_unit(rows[start : start + _BLOCK]) @ columns.T for start in range(0, len(rows), _BLOCK)]
    positive: Array = np.maximum(np.concatenate(found), 0)
    return positive


def _unit(rows: npt.NDArray[np.float16]) -> Array:
    wide = rows.astype(np.float32)
    unit: Array = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-8)
    return unit
