"""Scores of every stored row, page by page, without a ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rise_store.retrieval.metrics import Scoring
from rise_store.store import Collection, Filter, StoredPoint

Array = npt.NDArray[np.float32]
PAGE = 512  # rows whose signatures are in memory at a time


@dataclass(frozen=True)
class ScoredPage:
    """Some stored rows with their scores for n queries."""

    points: list[StoredPoint]
    signatures: Array  # (rows, dim)
    scores: Array  # (rows, n)


def scan_scores(
    collection: Collection,
    folded: Array,
    scoring: Scoring,
    *,
    where: Filter | None = None,
    fields: Sequence[str] | None = None,
) -> Iterator[ScoredPage]:
    """Score every stored row that a filter lets through, in the order of ids.

    Args:
        collection: the stored examples.
        folded: n queries as `Search.fold` gives them, (n, dim).
        scoring: the metric.
        where: a filter; None for every row.
        fields: payload fields (dotted paths) that the points carry; None for all of them.
    """
    page: list[StoredPoint] = []
    for point in collection.scroll(where, with_vectors=True, fields=fields):
        page.append(point)
        if len(page) == PAGE:
            yield _score(page, folded, scoring)
            page = []
    if page:
        yield _score(page, folded, scoring)


def _score(points: list[StoredPoint], folded: Array, scoring: Scoring) -> ScoredPage:
    signatures = np.stack([point.vector for point in points if point.vector is not None])
    return ScoredPage(points, signatures, score_rows(signatures, folded, scoring))


def score_rows(signatures: Array, folded: Array, scoring: Scoring) -> Array:
    """Scores of signatures (rows, dim) for n folded queries (n, dim): (rows, n), as a search would give them."""
    scores: Array
    if scoring.metric == "dot":
        scores = signatures @ folded.T
        return scores
    dim_rh = scoring.config.dim_rh
    rh, gh = scoring.divisors(signatures)  # (rows,) each
    scores = (signatures[:, :dim_rh] @ folded[:, :dim_rh].T) / rh[:, None]
    scores += (signatures[:, dim_rh:] @ folded[:, dim_rh:].T) / gh[:, None]
    return scores
