"""Search requests as a Qdrant server takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from rise_store.records import Space
from rise_store.store.backend import Approximation, IndexKind, PerChannel, RowNorm, SearchRequest, Vector
from rise_store.store.scores import (
    NORM_GH,
    NORM_RH,
    channel_parts,
    least_engine_score,
    request_vectors,
    row_norm_parts,
)
from rise_store.store.selection import engine_fields
from rise_store.store.server.schema import VECTOR
from rise_store.store.translate import to_client
from rise_store.store.vectors import scaled_queries

EXACT = models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))

Indexes = Mapping[str, IndexKind]


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """What the server is asked for one request; `scale` times the server's score is ours."""

    asked: SearchRequest
    scale: float
    request: models.QueryRequest

    @property
    def end(self) -> int:
        """How far down the ranking the request reaches."""
        return self.asked.offset + self.asked.limit

    @property
    def is_exact(self) -> bool:
        """Whether every row that passes the filter is compared."""
        return self.asked.scaling is not None or self.request.params is EXACT


def dot_products(
    requests: Sequence[SearchRequest], space: Space, approximation: Approximation | None, indexes: Indexes
) -> list[ServerQuery]:
    """Requests without scaling."""
    rows, scales = scaled_queries(request_vectors(requests, space))
    queries = []
    for request, row, scale in zip(requests, rows, scales, strict=True):
        found = models.QueryRequest(
            query=nearest(row),
            using=VECTOR,
            filter=to_client(request.where, indexes),
            params=_parameters(approximation, space),
            # One row more, to see whether it has the score of the last one. Payloads not of rows that are skipped.
            limit=request.offset + request.limit + 1,
            with_payload=payload_selector(request.fields) if request.offset == 0 else False,
            score_threshold=least_engine_score(request.min_score, float(scale)),
        )
        queries.append(ServerQuery(request, float(scale), found))
    return queries


def scaled_scores(requests: Sequence[SearchRequest], space: Space, rows: int, indexes: Indexes) -> list[ServerQuery]:
    """Requests with scaling, in a collection of `rows` points: a formula over the dot products of all of them.

    Every row is prefetched, since the server takes the dot product of a row that is missing from a prefetch for 0.
    """
    queries = []
    for request, vector in zip(requests, request_vectors(requests, space), strict=True):
        if isinstance(request.scaling, RowNorm):
            parts, scale, expression = _by_row_norm(vector, request.scaling)
        else:
            assert isinstance(request.scaling, PerChannel)
            parts, scale, expression = _by_channel(vector, space)
        where = to_client(request.where, indexes)
        found = models.QueryRequest(
            # Without defaults a row that lacks a variable fails the whole search.
            query=models.FormulaQuery(formula=expression, defaults={NORM_RH: 0.0, NORM_GH: 0.0}),
            prefetch=[
                models.Prefetch(query=nearest(part), using=VECTOR, filter=where, params=EXACT, limit=max(1, rows))
                for part in parts
            ],
            limit=request.offset + request.limit + 1,
            with_payload=payload_selector(request.fields) if request.offset == 0 else False,
            score_threshold=least_engine_score(request.min_score, scale),
        )
        queries.append(ServerQuery(request, scale, found))
    return queries


def nearest(row: Vector) -> models.NearestQuery:
    """The query for largest dot products with `row` [dim]."""
    return models.NearestQuery(nearest=row.tolist())


def payload_selector(fields: Sequence[str] | None) -> bool | models.PayloadSelectorInclude:
    """What the server is to send of payloads, from which `read_payload` makes `fields`; None: all of it."""
    if fields is None:
        return True
    return models.PayloadSelectorInclude(include=engine_fields(fields)) if fields else False


def _by_row_norm(vector: Vector, norm: RowNorm) -> tuple[list[Vector], float, Any]:
    part, weights, scale = row_norm_parts(vector, norm)
    squares = [_square(name, weight) for name, weight in zip((NORM_RH, NORM_GH), weights, strict=True)]
    return [part], scale, _ratio("$score", models.SqrtExpression(sqrt=models.SumExpression(sum=squares)))


def _by_channel(vector: Vector, space: Space) -> tuple[list[Vector], float, Any]:
    parts, weights, scale = channel_parts(vector, space)
    terms = [
        models.MultExpression(mult=[weight, _ratio(f"$score[{number}]", name)])
        for number, (name, weight) in enumerate(zip((NORM_RH, NORM_GH), weights, strict=True))
    ]
    return list(parts), scale, models.SumExpression(sum=terms)


def _ratio(left: Any, right: Any) -> models.DivExpression:
    return models.DivExpression(div=models.DivParams(left=left, right=right, by_zero_default=0.0))


def _square(variable: str, factor: float) -> models.MultExpression:
    return models.MultExpression(mult=[factor * factor, variable, variable])


def _parameters(approximation: Approximation | None, space: Space) -> models.SearchParams:
    if approximation is None:
        return EXACT
    if space.storage.quantization is None:
        return models.SearchParams(hnsw_ef=approximation.ef)
    # By default the server neither oversamples nor always rescores.
    coarse = models.QuantizationSearchParams(rescore=True, oversampling=approximation.oversampling)
    return models.SearchParams(hnsw_ef=approximation.ef, quantization=coarse)
