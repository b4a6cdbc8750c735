"""Measures of what a store answers to labelled queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError, StoreError
from rise_store.evaluation.bootstrap import DEFAULT_BOOTSTRAP
from rise_store.evaluation.labels import Labels
from rise_store.evaluation.protocol import DEFAULT_KS, evaluate
from rise_store.records import StoreEvaluation
from rise_store.retrieval import Search, format_where, scan_scores

RowProgress = Callable[[int, int], None]
"""Is told of rows read and rows in all."""


def check_scan(search: Search) -> None:
    """Refuse a search that does not score every row.

    Raises:
        ConfigError: it is approximate, or has a least score.
    """
    if search.approximate is not None or search.min_score is not None:
        raise ConfigError("an evaluation ranks every row; leave approximate and min_score out")


def score_stored(
    search: Search, signatures: npt.NDArray[np.float32], labels: Labels, progress: RowProgress | None = None
) -> npt.NDArray[np.float32]:
    """Scores of every row that is ranked, (queries, rows), for queries of these signatures (queries, dim)."""
    folded = search.fold(signatures)
    scores = np.full((len(folded), len(labels.column)), -np.inf, dtype=np.float32)
    done = 0
    for page in scan_scores(search.collection, folded, search.scoring, where=labels.where, fields=()):
        known = [number for number, point in enumerate(page.points) if point.id in labels.column]
        columns = [labels.column[page.points[number].id] for number in known]
        scores[:, columns] = page.scores[known].T
        done += len(page.points)
        if progress:
            progress(done, max(done, len(labels.column)))
    if np.isneginf(scores).any():
        raise StoreError("examples were deleted while they were read for the evaluation; run it again")
    return scores


def evaluate_store(
    search: Search,
    signatures: npt.NDArray[np.float32],
    labels: Labels,
    *,
    ks: Sequence[int] = DEFAULT_KS,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
    progress: RowProgress | None = None,
) -> StoreEvaluation:
    """Measure a search over every stored row; see `evaluate` for arguments and errors."""
    scores = score_stored(search, signatures, labels, progress)
    numbers = range(len(labels.queries))
    measured = evaluate(
        [labels.rows_of(number, scores[number]) for number in numbers],
        [labels.relevant_of(number) for number in numbers],
        ks=ks,
        bootstrap=bootstrap,
        seed=seed,
        query_ids=[query.id or str(number + 1) for number, query in enumerate(labels.queries)],
    )
    scoring = search.scoring
    return StoreEvaluation(
        **dict(measured),
        space=search.collection.space.fingerprint,
        metric=scoring.metric,
        weights=scoring.weights,
        lambdas=scoring.lambdas,
        precondition=search.alpha,
        preset=search.preset,
        where=None if labels.where is None else format_where(labels.where),
    )
