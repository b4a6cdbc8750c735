"""How stable an answer is when the positions of its query are drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError
from rise_store.records import AttributionResult, HitStability, SeedAgreement, Stability
from rise_store.retrieval.plan import Question, Search
from rise_store.retrieval.resample import Resampler
from rise_store.retrieval.scan import score_rows
from rise_store.store import SearchRequest

RESAMPLES = 200  # unless it is said how many
_LEAST_DEPTH = 100  # ranks that are told apart, or twice the length of the answer
_PERCENTILES = (5, 95)

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
            ConfigError: numbers out of range, or a search whose answer is not the exact top k.
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
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Ranks and scores of the hits in each resample, (resamples, hits) both; a rank beyond depth is depth + 1."""
    collection, scoring = search.collection, search.scoring
    stored = collection.retrieve(ids, with_vectors=True)
    nothing = np.zeros(collection.space.dim, np.float32)  # of what another client deletes meanwhile
    vectors = [stored[id].vector if id in stored else nothing for id in ids]
    rows = np.stack([vector for vector in vectors if vector is not None])
    ranks, scores = [], []
    for block in resampler.signatures(bootstrap.resamples, bootstrap.seed):
        folded = search.fold(block)
        requests = [SearchRequest(vector, depth, asked.filter, scaling=scoring.scaling, fields=()) for vector in folded]
        for hits in collection.search(requests):
            found = {hit.id: rank for rank, hit in enumerate(hits, 1)}
            ranks.append([found.get(id, depth + 1) for id in ids])
        scores.append(score_rows(rows, folded, scoring).T)
        progress(len(block))
    return np.array(ranks), np.concatenate(scores)


def agreement(own: AttributionResult, other: AttributionResult, seed: int) -> SeedAgreement:
    """How far the answer of another space names the same examples."""
    names, others = ({(hit.dataset, hit.example_id) for hit in result.results} for result in (own, other))
    overlap = len(names & others) / len(names) if names else None
    return SeedAgreement(space=other.space, seed=seed, candidates=other.candidates, overlap=overlap)


def _within(rank: int, depth: int) -> int | None:
    return int(rank) if rank <= depth else None
