"""How stable an answer is when the positions of its query are drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError
from rise_store.records import AttributionResult, HitStability, SeedAgreement, Stability
from rise_store.retrieval.plan import MOST_HITS, Question, Search
from rise_store.retrieval.resample import Resampler
from rise_store.retrieval.scan import PAGE, score_rows
from rise_store.store import Collection, SearchRequest

RESAMPLES = 200  # unless it is said how many
MOST_RANKS = 10_000_000  # resamples times k: 80 MB of ranks and scores
_LEAST_DEPTH = 100  # ranks that are told apart, or twice the length of the answer
_PERCENTILES = (5, 95)

Array = npt.NDArray[np.float32]
BootstrapProgress = Callable[[int, int], None]
"""Is told of resamples answered and of all of them."""


@dataclass(frozen=True)
class Bootstrap:
    """How often positions are drawn anew, and with which seed."""

    resamples: int
    seed: int

    @classmethod
    def plan(cls, search: Search, resamples: int | None, seed: int = 0) -> Bootstrap | None:
        """Check what is asked for; None where nothing is.

        Raises:
            ConfigError: numbers out of range, more ranks than `MOST_RANKS`, or a search whose answer is not the exact
                top k.
        """
        if resamples is None:
            return None
        if resamples < 1:
            raise ConfigError(f"bootstrap is {resamples}; draw positions anew at least once, or leave it out")
        if seed < 0:
            raise ConfigError(f"the seed of the bootstrap is {seed}; give an integer from 0 on")
        if search.approximate is not None or search.offset:
            raise ConfigError(
                "bootstrap tells how stable the exact top k is; leave out the approximate search and the offset"
            )
        longest = max((min(asked.k, asked.candidates) for asked in search.questions), default=0)
        if resamples * longest > MOST_RANKS:
            raise ConfigError(
                f"bootstrap {resamples} of answers of {longest} examples gives {resamples * longest:,} ranks, and at "
                f"most {MOST_RANKS:,} are held; choose a smaller k or a smaller bootstrap"
            )
        return cls(resamples, seed)


def with_stability(
    search: Search,
    asked: Question,
    answer: AttributionResult,
    ids: Sequence[UUID],
    resampler: Resampler,
    bootstrap: Bootstrap,
    seeds: Sequence[SeedAgreement] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> AttributionResult:
    """An answer with the stability of each hit, and its own.

    Every resample is asked exactly, under the search's metric, preconditioning, weights and filter.

    Args:
        search: what was answered.
        asked: which of its questions.
        answer: to that question.
        ids: the points of its hits.
        resampler: of the question's query.
        bootstrap: how often, and the seed.
        seeds: what spaces of other seeds answer.
        progress: is told how many resamples were just answered.
    """
    depth = max(1, min(asked.candidates, max(_LEAST_DEPTH, 2 * len(ids))))
    hits, overlap = answer.results, None
    if ids:
        ranks, scores = _resampled(search, asked, ids, depth, resampler, bootstrap, progress)
        in_top = (ranks <= len(ids)).mean(axis=0)
        overlap = float(in_top.mean())
        low, high = np.percentile(ranks, _PERCENTILES, axis=0, method="inverted_cdf").astype(int)
        least, most = np.percentile(scores, _PERCENTILES, axis=0, method="inverted_cdf")
        hits = tuple(
            hit.model_copy(
                update={
                    "stability": HitStability(
                        in_top=float(in_top[i]),
                        rank_low=_within(low[i], depth),
                        rank_high=_within(high[i], depth),
                        score_low=float(least[i]),
                        score_high=float(most[i]),
                    )
                }
            )
            for i, hit in enumerate(hits)
        )
    stability = Stability(
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        positions=resampler.positions,
        k=len(ids),
        depth=depth,
        overlap=overlap,
        seeds=tuple(seeds),
    )
    return answer.model_copy(update={"results": hits, "stability": stability})


def _resampled(
    search: Search,
    asked: Question,
    ids: Sequence[UUID],
    depth: int,
    resampler: Resampler,
    bootstrap: Bootstrap,
    progress: Callable[[int], None],
) -> tuple[npt.NDArray[np.int32], Array]:
    """Ranks and scores of the hits in each resample, (resamples, hits) both; a rank beyond depth is depth + 1."""
    columns = {id: column for column, id in enumerate(ids)}
    ranks = np.full((bootstrap.resamples, len(ids)), depth + 1, np.int32)
    scores = np.empty((bootstrap.resamples, len(ids)), np.float32)
    step = max(1, MOST_HITS // depth)
    first = _rows(search.collection, ids[:PAGE])  # what lies beyond the first page is read anew for each block
    done = 0
    for block in resampler.signatures(bootstrap.resamples, bootstrap.seed):
        folded = search.fold(block)
        requests = [
            SearchRequest(vector, depth, asked.filter, scaling=search.scoring.scaling, fields=()) for vector in folded
        ]
        for start in range(0, len(requests), step):
            answers = search.collection.search(requests[start : start + step])
            for row, hits in zip(ranks[done + start :], answers, strict=False):
                for rank, hit in enumerate(hits, 1):
                    if hit.id in columns:
                        row[columns[hit.id]] = rank
        for start in range(0, len(ids), PAGE):
            rows = _rows(search.collection, ids[start : start + PAGE]) if start else first
            scores[done : done + len(block), start : start + PAGE] = score_rows(rows, folded, search.scoring).T
        done += len(block)
        progress(len(block))
    return ranks, scores


def _rows(collection: Collection, ids: Sequence[UUID]) -> Array:
    """Stored signatures, (ids, dim); zeros for what another client deletes meanwhile."""
    rows = np.zeros((len(ids), collection.space.dim), np.float32)
    stored = collection.retrieve(ids, with_vectors=True)
    for row, id in zip(rows, ids, strict=True):
        vector = stored[id].vector if id in stored else None
        if vector is not None:
            row[:] = vector
    return rows


def agreement(own: AttributionResult, other: AttributionResult, seed: int) -> SeedAgreement:
    """How far the answer of another space names the same examples."""
    names, others = ({(hit.dataset, hit.example_id) for hit in result.results} for result in (own, other))
    overlap = len(names & others) / len(names) if names else None
    return SeedAgreement(space=other.space, seed=seed, candidates=other.candidates, overlap=overlap)


def _within(rank: int, depth: int) -> int | None:
    return int(rank) if rank <= depth else None
