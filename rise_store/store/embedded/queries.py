"""Search requests as the embedded engine takes them.

All facts about the engine in here were measured with qdrant-edge-py 0.9.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import qdrant_edge as edge

from rise_store.records import Space
from rise_store.store.backend import Approximation, Hit, IndexKind, RowNorm, SearchRequest, Vector
from rise_store.store.batches import batches
from rise_store.store.embedded.engine import VECTOR, Engine
from rise_store.store.embedded.reading import BATCH_ROWS, payload_selector
from rise_store.store.scores import (
    NORM_GH,
    NORM_RH,
    channel_parts,
    least_engine_score,
    request_vectors,
    row_norm_parts,
)
from rise_store.store.selection import read_payload
from rise_store.store.translate import to_edge
from rise_store.store.vectors import scaled_queries

EXACT = edge.SearchParams(exact=True, quantization=edge.QuantizationSearchParams(ignore=True))
_CANDIDATES = 1_000_000  # rows that the scaled requests of one call hold in memory together
_EVERYTHING = 2**32  # rows; the engine takes memory only for those it finds


@dataclass(frozen=True, slots=True)
class _EngineQuery:
    """What the engine is asked for one request; `scale` times the engine's score is ours."""

    asked: SearchRequest
    scale: float
    query: Any
    filter: edge.Filter | None
    parameters: edge.SearchParams
    prefetches: list[edge.Prefetch] | None = None

    @property
    def end(self) -> int:
        """How far down the ranking the request reaches."""
        return self.asked.offset + self.asked.limit

    @property
    def has_payloads(self) -> bool:
        """Whether `first` brings payloads: not for rows that are skipped."""
        return self.asked.offset == 0

    def first(self) -> edge.QueryRequest:
        """The request for all that is needed, and one row more to see whether it has the score of the last one."""
        threshold = least_engine_score(self.asked.min_score, self.scale)
        return self.request(
            self.end + 1, threshold, payload_selector(self.asked.fields) if self.has_payloads else False
        )

    def request(self, limit: int, threshold: float | None, with_payload: Any) -> edge.QueryRequest:
        """The first `limit` rows of the ranking, above `threshold` in the engine's measure."""
        return edge.QueryRequest(
            limit,
            query=self.query,
            prefetches=self.prefetches,
            filter=self.filter,
            params=self.parameters,
            with_payload=with_payload,
            score_threshold=threshold,
        )


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
    found = shard.query_batch(edge.QueryBatchRequest([query.first() for query in queries]))
    return [_page(shard, query, points) for query, points in zip(queries, found, strict=True)]


def _page(shard: edge.EdgeShard, query: _EngineQuery, points: list[edge.ScoredPoint]) -> list[Hit]:
    """The hits of one request, in the order of their ids where scores are equal, as those of equal texts are.

    Of rows with one score the engine finds any, and others for another limit: pages would overlap, or leave some out.
    """
    asked, end, has_payloads = query.asked, query.end, query.has_payloads
    if len(points) > end and points[end - 1].score == points[end].score and query.parameters is EXACT:
        tied = points[end].score
        all_points = shard.query(query.request(_EVERYTHING, least_engine_score(tied), False))
        if len(all_points) >= len(points):
            points, has_payloads = all_points, False
    page = sorted(points, key=lambda point: (-point.score, cast(UUID, point.id)))[asked.offset : end]
    if has_payloads:
        payloads = {point.id: point.payload for point in page}
    else:
        records = shard.retrieve([point.id for point in page], payload_selector(asked.fields), False)
        payloads = {record.id: record.payload for record in records}
    scored = [(point.id, float(point.score * query.scale)) for point in page]
    return [
        Hit(cast(UUID, id), score, read_payload(payloads[id], asked.fields))
        for id, score in scored
        if asked.min_score is None or score >= asked.min_score
    ]


def _dot_products(
    requests: Sequence[SearchRequest],
    space: Space,
    indexes: Mapping[str, IndexKind],
    approximation: Approximation | None,
) -> list[_EngineQuery]:
    rows, scales = scaled_queries(request_vectors(requests, space))
    parameters = _parameters(approximation)
    return [
        _EngineQuery(request, float(scale), nearest(row), to_edge(request.where, indexes), parameters)
        for request, row, scale in zip(requests, rows, scales, strict=True)
    ]


def _scaled_scores(
    requests: Sequence[SearchRequest], space: Space, indexes: Mapping[str, IndexKind], rows: int
) -> list[_EngineQuery]:
    """Formulas over the dot products of all `rows` points of the collection.

    Every row is prefetched, since the engine takes the dot product of a row that is missing from a prefetch for 0.
    """
    queries = []
    for request, vector in zip(requests, request_vectors(requests, space), strict=True):
        if isinstance(request.scaling, RowNorm):
            parts, scale, expression = _by_row_norm(vector, request.scaling)
        else:
            parts, scale, expression = _by_channel(vector, space)
        where = to_edge(request.where, indexes)
        # Without defaults the engine gives up at the first row that lacks a variable ("process cancelled").
        formula = edge.Formula(expression, {NORM_RH: 0.0, NORM_GH: 0.0})
        prefetches = [edge.Prefetch(max(1, rows), query=nearest(p), params=EXACT, filter=where) for p in parts]
        queries.append(_EngineQuery(request, scale, formula, None, EXACT, prefetches))
    return queries


def _by_row_norm(vector: Vector, norm: RowNorm) -> tuple[list[Vector], float, edge.Expression]:
    part, weights, scale = row_norm_parts(vector, norm)
    squares = [_square(name, weight) for name, weight in zip((NORM_RH, NORM_GH), weights, strict=True)]
    length = edge.Expression.Sqrt(edge.Expression.Sum(squares))
    expression = edge.Expression.Div(edge.Expression.Variable("$score"), length, by_zero_default=0.0)
    return [part], scale, expression


def _by_channel(vector: Vector, space: Space) -> tuple[list[Vector], float, edge.Expression]:
    parts, weights, scale = channel_parts(vector, space)
    terms = [
        edge.Expression.Mult(
            [
                edge.Expression.Constant(weight),
                edge.Expression.Div(
                    edge.Expression.Variable(f"$score[{number}]"), edge.Expression.Variable(name), by_zero_default=0.0
                ),
            ]
        )
        for number, (name, weight) in enumerate(zip((NORM_RH, NORM_GH), weights, strict=True))
    ]
    return list(parts), scale, edge.Expression.Sum(terms)


def _square(variable: str, factor: float) -> edge.Expression:
    value = edge.Expression.Variable(variable)
    return edge.Expression.Mult([edge.Expression.Constant(factor * factor), value, value])


def _parameters(approximation: Approximation | None) -> edge.SearchParams:
    if approximation is None:
        return EXACT
    # By default the engine neither oversamples nor always rescores.
    coarse = edge.QuantizationSearchParams(rescore=True, oversampling=approximation.oversampling)
    return edge.SearchParams(hnsw_ef=approximation.ef, quantization=coarse)
