"""Attribution: which stored examples most influenced a model output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.records import Attribution, AttributionResult, ChannelScores
from rise_store.retrieval.approximate import to_store
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.plan import Question, Search
from rise_store.store import Hit, Payload, SearchRequest


def attribute(search: Search, signatures: npt.NDArray[np.float32]) -> list[AttributionResult]:
    """Rank stored examples for each query of a search.

    What another client deletes between the search and the scores of its channels is left out.

    Args:
        search: n queries, and what to rank for them.
        signatures: theirs, (n, dim) float32, rows of unit length, of the collection's space.
    """
    return [result for result, _ in attribute_with_ids(search, signatures)]


def attribute_with_ids(
    search: Search, signatures: npt.NDArray[np.float32]
) -> list[tuple[AttributionResult, list[UUID]]]:
    """The same, each answer with the ids of the points that it names."""
    collection, scoring = search.collection, search.scoring
    folded = search.fold(signatures)
    requests = [
        SearchRequest(vector, asked.k, asked.filter, search.offset, search.min_score, scoring.scaling)
        for vector, asked in zip(folded, search.questions, strict=True)
    ]
    answers = collection.search(requests, to_store(search.approximate))
    results = []
    for asked, rh_query, hits in zip(search.questions, scoring.only_rh(folded), answers, strict=True):
        products = collection.score(rh_query, [hit.id for hit in hits])
        kept = [hit for hit in hits if hit.id in products]
        ranked = _ranked(kept, products, scoring, search.offset)
        results.append((result_of(search, asked, ranked), [hit.id for hit in kept]))
    return results


def result_of(search: Search, asked: Question, ranked: tuple[Attribution, ...]) -> AttributionResult:
    """The answer to one question of a search."""
    return AttributionResult(
        query=asked.query,
        results=ranked,
        space=search.collection.space.fingerprint,
        weights=search.scoring.weights,
        where=asked.where,
        candidates=asked.candidates,
        metric=search.scoring.metric,
        lambdas=search.scoring.lambdas,
        approximate=search.approximate,
        offset=search.offset,
        min_score=search.min_score,
        precondition=search.alpha,
        preset=search.preset,
    )


def _ranked(
    hits: Sequence[Hit], products: Mapping[UUID, float], scoring: Scoring, offset: int
) -> tuple[Attribution, ...]:
    ranked = []
    for rank, hit in enumerate(hits, offset + 1):
        rh = scoring.part_of_rh(products[hit.id], hit.payload["channel_norms"])
        ranked.append(attribution(rank, hit.score, ChannelScores(rh=rh, gh=hit.score - rh), hit.payload))
    return tuple(ranked)


def attribution(rank: int, score: float, channels: ChannelScores, payload: Payload, **more: Any) -> Attribution:
    """A hit as a record, from its point's payload; `more` are further fields."""
    return Attribution(
        rank=rank,
        score=score,
        channels=channels,
        example_id=payload["example_id"],
        dataset=payload["dataset"],
        dataset_version=payload.get("dataset_version"),
        license=payload.get("license"),
        source_uri=payload.get("source_uri"),
        text=payload.get("text"),
        tokens=payload.get("tokens"),
        metadata=payload.get("metadata", {}),
        read_from=payload.get("read_from"),
        vanished_in=payload.get("vanished_in"),
        **more,
    )
