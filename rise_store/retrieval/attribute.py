"""Attribution: which stored examples most influenced a model output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError, StoreError
from rise_store.records import Attribution, AttributionResult, ChannelScores, Query, Weights
from rise_store.retrieval.weights import fold_weights
from rise_store.retrieval.where import Where, check_fields, format_where, parse_where
from rise_store.store import Collection, Filter, Hit, SearchRequest

DEFAULT_K = 10
ONLY_RH = Weights(rh=1.0, gh=0.0)


@dataclass(frozen=True)
class Search:
    """A checked search: what to rank, and how much of it to return. Made before a model is loaded."""

    collection: Collection
    k: int
    weights: Weights
    conditions: tuple[str, ...]
    filter: Filter | None
    candidates: int  # stored examples that the filter lets through

    @classmethod
    def plan(
        cls, collection: Collection, k: int | None = None, weights: Weights | None = None, where: Where = ()
    ) -> Search:
        """Check a search against what is stored.

        Args:
            collection: the stored examples.
            k: how many to return; by default 10, or all where fewer are stored.
            weights: of the channels; 1 each if None.
            where: conditions, all of which must hold: see `parse_where`.

        Raises:
            StoreError: the collection is empty.
            ConfigError: k below 1 or above the number of stored examples.
            FilterError: a field that no stored example has, or a condition that cannot be read.
        """
        stored = collection.count()
        if stored == 0:
            raise StoreError("the store holds no examples; ingest a corpus first")
        if k is None:
            k = min(DEFAULT_K, stored)
        if not 1 <= k <= stored:
            raise ConfigError(f"k is {k}, but the store holds {stored} examples; choose k from 1 to {stored}")
        filter_ = parse_where(where)
        if filter_ is None:
            return cls(collection, k, weights or Weights(), (), None, stored)
        check_fields(filter_, collection)
        return cls(collection, k, weights or Weights(), (format_where(filter_),), filter_, collection.count(filter_))


def attribute(search: Search, queries: Sequence[Query], signatures: npt.NDArray[np.float32]) -> list[AttributionResult]:
    """Rank stored examples for each query by an exact search for the maximum inner product.

    Args:
        search: what to rank.
        queries: n queries.
        signatures: theirs, (n, dim) float32, rows of unit length, of the collection's space.
    """
    collection, config = search.collection, search.collection.space.estimator
    folded = fold_weights(signatures, search.weights, config)
    rh_only = fold_weights(folded, ONLY_RH, config)
    hits = collection.search([SearchRequest(vector, search.k, search.filter) for vector in folded])
    return [
        AttributionResult(
            query=query,
            results=_ranked(found, collection.score(rh_query, [hit.id for hit in found])),
            space=collection.space.fingerprint,
            weights=search.weights,
            where=" and ".join(search.conditions) or None,
            candidates=search.candidates,
        )
        for query, rh_query, found in zip(queries, rh_only, hits, strict=True)
    ]


def _ranked(hits: Sequence[Hit], rh_scores: Mapping[UUID, float]) -> tuple[Attribution, ...]:
    return tuple(
        Attribution(
            rank=rank,
            score=hit.score,
            channels=ChannelScores(rh=rh_scores[hit.id], gh=hit.score - rh_scores[hit.id]),
            example_id=hit.payload["example_id"],
            dataset=hit.payload["dataset"],
            dataset_version=hit.payload.get("dataset_version"),
            license=hit.payload.get("license"),
            source_uri=hit.payload.get("source_uri"),
            text=hit.payload.get("text"),
            tokens=hit.payload.get("tokens"),
            metadata=hit.payload.get("metadata", {}),
        )
        for rank, hit in enumerate(hits, 1)
    )
