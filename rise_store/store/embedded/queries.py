"""Search requests as the embedded engine takes them.

All facts about the engine in here were measured with qdrant-edge-py 0.9.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from rise_store.records import Space
from rise_store.store.backend import Approximation, Hit, IndexKind, PerChannel, RowNorm, SearchRequest, Vector
from rise_store.store.embedded.engine import VECTOR, Engine
from rise_store.store.embedded.reading import BATCH_ROWS, batches
from rise_store.store.selection import engine_fields, read_payload
from rise_store.store.translate import to_edge
from rise_store.store.vectors import channel_halves, check_queries, scaled_queries

EXACT = edge.SearchParams(exact=True, quantization=edge.QuantizationSearchParams(ignore=True))
_CANDIDATES = 1_000_000  # rows that the scaled requests of one call hold in memory together
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_NORM_RH, _NORM_GH = "channel_norms.rh", "channel_norms.gh"


@dataclass(frozen=True, slots=True)
class _EngineQuery:
    """A request of the engine, and how to read its answer: `scale` times the engine's score is ours."""

    request: edge.QueryRequest
    scale: float
    asked: SearchRequest

    def hits(self, found: Sequence[edge.ScoredPoint]) -> list[Hit]:
        """The answer, without hits below the least score."""
        least, fields = self.asked.min_score, self.asked.fields
        scored = [(point, float(point.score * self.scale)) for point in found]
        return [
            Hit(cast(UUID, point.id), score, read_payload(point.payload, fields))
            for point, score in scored
            if least is None or score >= least
        ]


def answers(
    engine: Engine,
    space: Space,
    indexes: Mapping[str, IndexKind],
    requests: Sequence[SearchRequest],
    approximation: Approximation | None,
) -> list[list[Hit]]:
    """The hits of requests that were checked, in their order, from as few calls of the engine as memory allows."""
    found: dict[int, list[Hit]] = {}
    plain = [number for number, request in enumerate(requests) if request.scaling is None]
    for batch in batches(plain, BATCH_ROWS):
        queries = _dot_products([requests[number] for number in batch], space, indexes, approximation)
        with engine.using("search") as shard:
            found.update(zip(batch, _run(shard, queries), strict=True))
    scaled = [number for number, request in enumerate(requests) if request.scaling is not None]
    while scaled:
        with engine.using("search") as shard:
            rows = shard.count(edge.CountRequest(exact=True))
            size = max(1, min(BATCH_ROWS, _CANDIDATES // max(1, rows)))
            batch, scaled = scaled[:size], scaled[size:]
            queries = _scaled_scores([requests[number] for number in batch], space, indexes, rows)
            found.update(zip(batch, _run(shard, queries), strict=True))
    return [found[number] for number in range(len(requests))]


def nearest(row: Vector) -> Any:
    """The query for largest dot products with `row` [dim]."""
    return cast(Any, edge.Query).Nearest(row.data, using=VECTOR)


def _run(shard: edge.EdgeShard, queries: Sequence[_EngineQuery]) -> list[list[Hit]]:
    found = shard.query_batch(edge.QueryBatchRequest([query.request for query in queries]))
    return [query.hits(points) for query, points in zip(queries, found, strict=True)]


def _dot_products(
    requests: Sequence[SearchRequest],
    space: Space,
    indexes: Mapping[str, IndexKind],
    approximation: Approximation | None,
) -> list[_EngineQuery]:
    """Requests without scaling."""
    rows, scales = scaled_queries(_vectors(requests, space))
    parameters = _parameters(approximation)
    queries = []
    for request, row, scale in zip(requests, rows, scales, strict=True):
        found = edge.QueryRequest(
            request.limit,
            offset=request.offset,
            query=nearest(row),
            filter=to_edge(request.where, indexes),
            params=parameters,
            with_payload=_payload(request),
            score_threshold=_threshold(request, float(scale)),
        )
        queries.append(_EngineQuery(found, float(scale), request))
    return queries


def _scaled_scores(
    requests: Sequence[SearchRequest], space: Space, indexes: Mapping[str, IndexKind], rows: int
) -> list[_EngineQuery]:
    """Requests with scaling, in a collection of `rows` points: a formula over the dot products of all of them.

    Every row is prefetched, since the engine takes the dot product of a row that is missing from a prefetch for 0.
    """
    vectors = _vectors(requests, space)
    queries = []
    for request, vector in zip(requests, vectors, strict=True):
        if isinstance(request.scaling, RowNorm):
            parts, scale, expression = _by_row_norm(vector, request.scaling)
        else:
            assert isinstance(request.scaling, PerChannel)
            parts, scale, expression = _by_channel(vector, space)
        where = to_edge(request.where, indexes)
        found = edge.QueryRequest(
            request.limit,
            offset=request.offset,
            # Without defaults the engine gives up at the first row that lacks a variable ("process cancelled").
            query=edge.Formula(expression, {_NORM_RH: 0.0, _NORM_GH: 0.0}),
            prefetches=[edge.Prefetch(max(1, rows), query=nearest(p), params=EXACT, filter=where) for p in parts],
            with_payload=_payload(request),
            score_threshold=_threshold(request, scale),
        )
        queries.append(_EngineQuery(found, scale, request))
    return queries


def _vectors(requests: Sequence[SearchRequest], space: Space) -> Vector:
    return np.concatenate([check_queries(np.asarray(request.vector)[None], space.dim) for request in requests])


def _by_row_norm(vector: Vector, norm: RowNorm) -> tuple[list[Vector], float, edge.Expression]:
    rows, scales = scaled_queries(vector[None])
    largest = max(abs(norm.rh), abs(norm.gh))  # squares of ratios to it neither overflow nor vanish together
    squares = [_square(_NORM_RH, norm.rh / largest), _square(_NORM_GH, norm.gh / largest)]
    length = edge.Expression.Sqrt(edge.Expression.Sum(squares))
    expression = edge.Expression.Div(edge.Expression.Variable("$score"), length, by_zero_default=0.0)
    return [rows[0]], float(scales[0]) / largest, expression


def _by_channel(vector: Vector, space: Space) -> tuple[list[Vector], float, edge.Expression]:
    # Each half is scaled by itself, since a long one would take the bits of a short one.
    halves, scales = scaled_queries(channel_halves(vector, space.estimator.dim_rh))
    scale = max((float(own) for own, half in zip(scales, halves, strict=True) if half.any()), default=1.0)
    terms = [
        edge.Expression.Mult(
            [
                edge.Expression.Constant(float(own) / scale),
                edge.Expression.Div(
                    edge.Expression.Variable(f"$score[{number}]"), edge.Expression.Variable(norm), by_zero_default=0.0
                ),
            ]
        )
        for number, (own, norm) in enumerate(zip(scales, (_NORM_RH, _NORM_GH), strict=True))
    ]
    return list(halves), scale, edge.Expression.Sum(terms)


def _square(variable: str, factor: float) -> edge.Expression:
    value = edge.Expression.Variable(variable)
    return edge.Expression.Mult([edge.Expression.Constant(factor * factor), value, value])


def _parameters(approximation: Approximation | None) -> edge.SearchParams:
    if approximation is None:
        return EXACT
    # By default the engine neither oversamples nor always rescores.
    coarse = edge.QuantizationSearchParams(rescore=True, oversampling=approximation.oversampling)
    return edge.SearchParams(hnsw_ef=approximation.ef, quantization=coarse)


def _payload(request: SearchRequest) -> Any:
    return True if request.fields is None else engine_fields(request.fields)


def _threshold(request: SearchRequest, scale: float) -> float | None:
    """Just below the least score: the engine leaves out hits at its threshold, unless a formula made their score."""
    least = -_LARGEST_FLOAT32 if request.min_score is None else request.min_score / scale
    if least <= -_LARGEST_FLOAT32:
        return None
    return float(np.nextafter(np.float32(min(least, _LARGEST_FLOAT32)), np.float32(-np.inf)))
