"""Attribution: which stored examples most influenced a model output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.records import Attribution, AttributionResult, ChannelScores
from rise_store.retrieval.approximate import to_store
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.plan import Search
from rise_store.store import Hit, SearchRequest


def attribute(search: Search, signatures: npt.NDArray[np.float32]) -> list[AttributionResult]:
    """Rank stored examples for each query of a search.

    What another client deletes between the search and the scores of its channels is left out.

    Args:
        search: n queries, and what to rank for them.
        signatures: theirs, (n, dim) float32, rows of unit length, of the collection's space.
    """
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
        results.append(
            AttributionResult(
                query=asked.query,
                results=_ranked(hits, products, scoring, search.offset),
                space=collection.space.fingerprint,
                weights=scoring.weights,
                where=asked.where,
                candidates=asked.candidates,
                metric=scoring.metric,
                lambdas=scoring.lambdas,
                approximate=search.approximate,
                offset=search.offset,
                min_score=search.min_score,
                precondition=search.alpha,
                preset=search.preset,
            )
        )
    return results


def _ranked(
    hits: Sequence[Hit], products: Mapping[UUID, float], scoring: Scoring, offset: int
) -> tuple[Attribution, ...]:
    ranked = []
    for rank, hit in enumerate((hit for hit in hits if hit.id in products), offset + 1):
        rh = scoring.part_of_rh(products[hit.id], hit.payload["channel_norms"])
        ranked.append(
            Attribution(
                rank=rank,
                score=hit.score,
                channels=ChannelScores(rh=rh, gh=hit.score - rh),
                example_id=hit.payload["example_id"],
                dataset=hit.payload["dataset"],
                dataset_version=hit.payload.get("dataset_version"),
                license=hit.payload.get("license"),
                source_uri=hit.payload.get("source_uri"),
                text=hit.payload.get("text"),
                tokens=hit.payload.get("tokens"),
                metadata=hit.payload.get("metadata", {}),
                read_from=hit.payload.get("read_from"),
                vanished_in=hit.payload.get("vanished_in"),
            )
        )
    return tuple(ranked)
