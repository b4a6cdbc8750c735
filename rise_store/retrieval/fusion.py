"""One answer to a set of queries from their rankings: reciprocal-rank fusion."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError, InputError
from rise_store.records import AttributionResult, ChannelScores, Fusion, Query, QuerySet, validated
from rise_store.retrieval.attribute import attribution, result_of
from rise_store.retrieval.plan import Search
from rise_store.retrieval.scan import score_rows
from rise_store.store import SearchRequest

CONSTANT = 60  # of 1 / (60 + rank), as Cormack, Clarke and Buettcher have it (SIGIR 2009)
DEPTH = 1_000  # ranks of each ranking that count: rank 1,000 adds 6 % of what rank 1 does
_MOST_HITS = 200_000  # that are held at once

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
    collection, scoring = search.collection, search.scoring
    folded = search.fold(signatures)
    requests = [
        SearchRequest(vector, min(DEPTH, max(1, asked.candidates)), asked.filter, scaling=scoring.scaling, fields=())
        for vector in folded
    ]
    index: dict[UUID, int] = {}  # of every row that stands in a ranking
    rankings: list[npt.NDArray[np.int64]] = []  # each the indices of its rows, best first
    step = max(1, _MOST_HITS // DEPTH)
    for start in range(0, len(requests), step):
        rankings.extend(
            np.array([index.setdefault(hit.id, len(index)) for hit in hits], dtype=np.int64)
            for hits in collection.search(requests[start : start + step])
        )
    fused = np.zeros(len(index))
    for ranking in rankings:
        fused[ranking] += 1 / (CONSTANT + np.arange(1, len(ranking) + 1))
    least = -np.inf if search.min_score is None else search.min_score
    best = sorted((id for id in index if fused[index[id]] >= least), key=lambda id: (-fused[index[id]], id))
    page = best[search.offset : search.offset + asked.k]
    stored = collection.retrieve(page, with_vectors=True)  # less what another client deletes meanwhile
    kept = [id for id in page if id in stored]
    hits_of = []
    if kept:
        rows = np.stack([vector for id in kept if (vector := stored[id].vector) is not None])
        rh, total = (score_rows(rows, queries, scoring) for queries in (scoring.only_rh(folded), folded))  # (rows, m)
        for rank, (id, rh_of, total_of) in enumerate(zip(kept, rh, total, strict=True), search.offset + 1):
            ranks = [_rank(ranking, index[id]) for ranking in rankings]
            from_rh = sum(
                _share(r, t - r) / (CONSTANT + own)
                for r, t, own in zip(rh_of, total_of, ranks, strict=True)
                if own is not None
            )
            score = float(fused[index[id]])
            channels = ChannelScores(rh=from_rh, gh=score - from_rh)
            hits_of.append(attribution(rank, score, channels, stored[id].payload, ranks=tuple(ranks)))
    return result_of(search, asked, tuple(hits_of))


def _rank(ranking: npt.NDArray[np.int64], row: int) -> int | None:
    (found,) = np.nonzero(ranking == row)
    return int(found[0]) + 1 if len(found) else None


def _share(rh: float, gh: float) -> float:
    """RH's part of a score by absolute values: that of a difference of channels would have no bounds."""
    both = abs(float(rh)) + abs(float(gh))
    return abs(float(rh)) / both if both else 0.5
