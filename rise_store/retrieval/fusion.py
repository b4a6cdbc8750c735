"""One answer to a set of queries from their rankings: reciprocal-rank fusion."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError, InputError
from rise_store.records import AttributionResult, ChannelScores, Fusion, Query, QuerySet, validated
from rise_store.retrieval.attribute import attribution, result_of
from rise_store.retrieval.plan import MOST_HITS, Question, Search
from rise_store.retrieval.scan import score_rows
from rise_store.store import SearchRequest

CONSTANT = 60  # of 1 / (60 + rank), as Cormack, Clarke and Buettcher have it (SIGIR 2009)
DEPTH = 1_000  # ranks of each ranking that count: rank 1,000 adds 6 % of what rank 1 does

Array = npt.NDArray[np.float32]


def make_set(queries: Sequence[Query], fusion: Fusion, id: str = "") -> QuerySet:
    """Queries as a set.

    Raises:
        InputError: no queries, or one with a filter or a k of its own, which a common answer cannot have.
        ConfigError: an unknown fusion.
    """
    if not queries:
        raise InputError("a set of no queries asks nothing; give at least one")
    for number, query in enumerate(queries, 1):
        if query.where is not None or query.k is not None:
            raise InputError(
                f"query {query.id or number} has a filter or a k of its own, but a set has one answer; give them for "
                "all, or ask each query alone"
            )
    return validated(QuerySet, "query set", {"id": id, "queries": tuple(queries), "fusion": fusion})


def check_fusion(search: Search) -> None:
    """Refuse a search whose rankings cannot be fused, which needs no signatures yet.

    Raises:
        ConfigError: an approximate search, or a page that ends beyond `DEPTH`.
    """
    (asked,) = search.questions
    if search.approximate is not None:
        raise ConfigError("fusion rrf is made of exact rankings; leave approximate out, or use fusion mean")
    if search.offset + asked.k > DEPTH:
        raise ConfigError(
            f"offset {search.offset} and k {asked.k} reach beyond rank {DEPTH}, to which fusion rrf looks into each "
            "ranking; ask for less, or use fusion mean"
        )


def reciprocal_ranks(search: Search, signatures: Array) -> AttributionResult:
    """Rank stored examples by the sum of `1 / (60 + rank)` over the rankings of all queries of a set.

    Args:
        search: of one set, see `check_fusion`; its least score is one of fused scores.
        signatures: of the set's queries, (m, dim) float32, rows of unit length, of the collection's space.
    """
    check_fusion(search)
    (asked,) = search.questions
    folded = search.fold(signatures)
    index, rankings = _rankings(search, asked, folded)
    fused = np.zeros(len(index))
    for ranking in rankings:
        fused[ranking] += 1 / (CONSTANT + np.arange(1, len(ranking) + 1))
    least = -np.inf if search.min_score is None else search.min_score
    best = sorted((id for id in index if fused[index[id]] >= least), key=lambda id: (-fused[index[id]], id))
    page = best[search.offset : search.offset + asked.k]
    stored = search.collection.retrieve(page, with_vectors=True)  # less what another client deletes meanwhile
    kept = [stored[id] for id in page if id in stored]
    hits = []
    if kept:
        rows = np.stack([point.vector for point in kept if point.vector is not None])
        rh = score_rows(rows, search.scoring.only_rh(folded), search.scoring)  # (rows, m)
        gh = score_rows(rows, folded, search.scoring) - rh
        for row, point in enumerate(kept):
            ranks = [_rank(ranking, index[point.id]) for ranking in rankings]
            parts = zip(rh[row], gh[row], ranks, strict=True)
            from_rh = sum(_share(r, g) / (CONSTANT + rank) for r, g, rank in parts if rank is not None)
            score = float(fused[index[point.id]])
            channels = ChannelScores(rh=from_rh, gh=score - from_rh)
            hits.append(attribution(search.offset + row + 1, score, channels, point.payload, ranks=tuple(ranks)))
    return result_of(search, asked, tuple(hits))


def _rankings(search: Search, asked: Question, folded: Array) -> tuple[dict[UUID, int], list[npt.NDArray[np.int64]]]:
    """A number for every row that stands in a ranking, and each query's ranking by these numbers, best first."""
    depth = min(DEPTH, max(1, asked.candidates))
    requests = [
        SearchRequest(vector, depth, asked.filter, scaling=search.scoring.scaling, fields=()) for vector in folded
    ]
    index: dict[UUID, int] = {}
    rankings: list[npt.NDArray[np.int64]] = []
    step = max(1, MOST_HITS // depth)
    for start in range(0, len(requests), step):
        rankings.extend(
            np.array([index.setdefault(hit.id, len(index)) for hit in hits], dtype=np.int64)
            for hits in search.collection.search(requests[start : start + step])
        )
    return index, rankings


def _rank(ranking: npt.NDArray[np.int64], row: int) -> int | None:
    (found,) = np.nonzero(ranking == row)
    return int(found[0]) + 1 if len(found) else None


def _share(rh: float, gh: float) -> float:
    """RH's part of a score by absolute values: that of a difference of channels would have no bounds."""
    both = abs(float(rh)) + abs(float(gh))
    return abs(float(rh)) / both if both else 0.5
