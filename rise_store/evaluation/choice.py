"""Choosing one of many settings from the values that they reach on a few queries, and what that gains on others.

The choice prefers what is plain: of all settings that are within one standard error of the best one (of the mean
difference to it, on the same queries), that with the fewest departures from the default, and of these the best.
Cross-validation repeats the choice without each fold's queries, and measures it on them: what is reported of a choice
is never measured on the queries that made it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rise_store.errors import InputError

DEFAULT_FOLDS = 5
LEAST_QUERIES = 4

Values = npt.NDArray[np.float64]  # (settings, queries)


@dataclass(frozen=True)
class Fold:
    """Some queries, and the number of the setting that the others chose for them."""

    queries: npt.NDArray[np.intp]
    chosen: int


def choose(values: Values, departures: Sequence[int]) -> int:
    """The number of the setting to use, by values (settings, queries) of at least 2 queries.

    Args:
        values: the larger the better.
        departures: of each setting from the default, which has 0.
    """
    means = values.mean(axis=1)
    behind = values[int(means.argmax())] - values  # of each setting, by query
    errors = behind.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
    good = np.flatnonzero(behind.mean(axis=1) <= errors).tolist()
    return int(min(good, key=lambda number: (departures[number], -means[number], number)))


def cross_validate(values: Values, departures: Sequence[int], folds: int = DEFAULT_FOLDS, seed: int = 0) -> list[Fold]:
    """Choose without the queries of each fold; with fewer queries than folds, each query is a fold.

    Raises:
        InputError: fewer than 4 queries, or fewer than 2 folds.
    """
    count = values.shape[1]
    check_folds(count, folds)
    order = np.random.default_rng(seed).permutation(count)
    parts = [np.sort(order[start :: min(folds, count)]) for start in range(min(folds, count))]
    return [Fold(held, choose(np.delete(values, held, axis=1), departures)) for held in parts]


def check_folds(queries: int, folds: int) -> None:
    """`InputError` unless there are enough queries and folds to choose with."""
    if queries < LEAST_QUERIES:
        raise InputError(
            f"calibration needs {LEAST_QUERIES} labelled queries at least, and there are {queries}; 20 or more tell "
            "small gains from chance"
        )
    if folds < 2:
        raise InputError(f"folds is {folds}; give at least 2, or as many as there are queries to leave one out")


def held_out(values: Values, folds: Sequence[Fold]) -> npt.NDArray[np.float64]:
    """The value of each query, (queries,), under the settings that the other folds' queries chose."""
    reached = np.empty(values.shape[1])
    for fold in folds:
        reached[fold.queries] = values[fold.chosen, fold.queries]
    return reached
