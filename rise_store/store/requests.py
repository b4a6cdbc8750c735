"""Checks of search requests that are the same for every engine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rise_store.errors import ConfigError
from rise_store.records import Space
from rise_store.store.backend import Approximation, RowNorm, SearchRequest

LARGEST = 2**32
"""Bound of every number of rows: no engine holds more of them in a collection, or takes numbers beyond 64 bits."""

_LEAST_WEIGHT = 1e-200  # of a `RowNorm`: with less, a float32 query over a small norm is no finite float64 score


def check_requests(requests: Sequence[SearchRequest], space: Space, approximation: Approximation | None = None) -> None:
    """`ConfigError` for numbers out of range, and for an approximation that the space or a request does not go with.

    That is one that the space has not, of a scaled request, or with an offset. Vectors are not checked, nor filters.
    """
    for request in requests:
        _check_numbers(request)
        if approximation is not None and request.scaling is not None:
            raise ConfigError(
                "a score that is scaled by row needs every row: only dot products can be approximated. "
                "Search exactly, or leave out the scaling"
            )
        if approximation is not None and request.offset:
            raise ConfigError(
                f"an approximate search cannot pass over {request.offset} rows: it finds other rows for another limit, "
                "so that pages would overlap and leave some out. Search exactly, or ask for more rows at once"
            )
    if approximation is not None:
        _check_approximation(approximation, space)


def check_limit(limit: int, what: str) -> None:
    """`ConfigError` unless `limit` is a number of rows, from 1 on."""
    if not 1 <= limit <= LARGEST:
        raise ConfigError(f"the limit of {what} is {limit}; choose one from 1 to {LARGEST}")


def _check_numbers(request: SearchRequest) -> None:
    check_limit(request.limit, "a search")
    if not 0 <= request.offset <= LARGEST:
        raise ConfigError(f"the offset of a search is {request.offset}; choose one from 0 to {LARGEST}")
    if request.min_score is not None and not math.isfinite(request.min_score):
        raise ConfigError(f"the least score of a search is {request.min_score}; give a finite number")
    if isinstance(request.scaling, RowNorm):
        weights = (request.scaling.rh, request.scaling.gh)
        if not (all(math.isfinite(weight) for weight in weights) and any(weights)):
            raise ConfigError(f"scores cannot be scaled by {request.scaling}: give finite numbers that are not both 0")
        if max(map(abs, weights)) < _LEAST_WEIGHT:
            raise ConfigError(
                f"scores cannot be scaled by {request.scaling}: they would overflow. Only the ratio of the two numbers "
                "changes the ranking, so give larger ones"
            )


def _check_approximation(approximation: Approximation, space: Space) -> None:
    storage = space.storage
    if approximation.method == "quantized" and storage.quantization is None:
        raise ConfigError(
            f"space {space.fingerprint} has no coarse copy of its signatures to search. Search exactly, or ingest into "
            "a store made with --quantization"
        )
    if approximation.method == "quantized" and storage.hnsw:
        # Whatever the parameters, the engine either walks the graph or takes no notice of the coarse copy.
        raise ConfigError(
            f"space {space.fingerprint} has a graph, and then its coarse copy serves only walks of the graph. Search "
            "by hnsw, or exactly"
        )
    if approximation.method == "hnsw" and not storage.hnsw:
        raise ConfigError(
            f"space {space.fingerprint} has no graph to search. Search exactly, or ingest into a store made with --hnsw"
        )
    if not (math.isfinite(approximation.oversampling) and approximation.oversampling >= 1):
        raise ConfigError(f"the oversampling of a search is {approximation.oversampling}; give a number from 1 on")
    if approximation.ef is not None and not 1 <= approximation.ef <= LARGEST:
        raise ConfigError(f"ef of a search is {approximation.ef}; choose one from 1 to {LARGEST}")
