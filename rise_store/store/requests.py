"""Checks of search requests that are the same for every engine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rise_store.errors import ConfigError
from rise_store.records import Space
from rise_store.store.backend import Approximation, RowNorm, SearchRequest


def check_requests(requests: Sequence[SearchRequest], space: Space, approximation: Approximation | None = None) -> None:
    """`ConfigError` for numbers out of range, and for an approximation that the space has not or of a scaled request.

    Vectors are not checked, nor filters.
    """
    for request in requests:
        _check_numbers(request)
        if approximation is not None and request.scaling is not None:
            raise ConfigError(
                "a score that is scaled by row needs every row: only dot products can be approximated. "
                "Search exactly, or leave out the scaling"
            )
    if approximation is not None:
        _check_approximation(approximation, space)


def _check_numbers(request: SearchRequest) -> None:
    if request.limit < 1:
        raise ConfigError(f"the limit of a search is {request.limit}; ask for at least 1 answer")
    if request.offset < 0:
        raise ConfigError(f"the offset of a search is {request.offset}; it starts at 0")
    if request.min_score is not None and not math.isfinite(request.min_score):
        raise ConfigError(f"the least score of a search is {request.min_score}; give a finite number")
    if isinstance(request.scaling, RowNorm):
        weights = (request.scaling.rh, request.scaling.gh)
        if not (all(math.isfinite(weight) for weight in weights) and any(weights)):
            raise ConfigError(f"scores cannot be scaled by {request.scaling}: give finite numbers that are not both 0")


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
    if approximation.ef is not None and approximation.ef < 1:
        raise ConfigError(f"ef of a search is {approximation.ef}; give at least 1")
