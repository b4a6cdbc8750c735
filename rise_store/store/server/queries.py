"""Search requests as a Qdrant server takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from qdrant_client import models

from rise_store.records import Space
from rise_store.store.backend import Approximation, Hit, IndexKind, PerChannel, RowNorm, SearchRequest, Vector
from rise_store.store.selection import engine_fields, read_payload
from rise_store.store.server.schema import VECTOR
from rise_store.store.translate import to_client
from rise_store.store.vectors import channel_halves, check_queries, scaled_queries

EXACT = models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_NORM_RH, _NORM_GH = "channel_norms.rh", "channel_norms.gh"

Indexes = Mapping[str, IndexKind]


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """A request of the server, and how to read its answer: `scale` times the server's score is ours."""

    request: models.QueryRequest
    scale: float
    asked: SearchRequest

    def hits(self, found: Sequence[models.ScoredPoint]) -> list[Hit]:
        """The answer, without hits below the least score."""
        least, fields = self.asked.min_score, self.asked.fields
        scored = [(point, float(point.score * self.scale)) for point in found]
        return [
            Hit(UUID(str(point.id)), score, read_payload(point.payload, fields))
            for point, score in scored
            if least is None or score >= least
        ]


def dot_products(
    requests: Sequence[SearchRequest], space: Space, approximation: Approximation | None, indexes: Indexes
) -> list[ServerQuery]:
    """Requests without scaling."""
    rows, scales = scaled_queries(_vectors(requests, space))
    queries = []
    for request, row, scale in zip(requests, rows, scales, strict=True):
        found = models.QueryRequest(
            query=nearest(row),
            using=VECTOR,
            filter=to_client(request.where, indexes),
            params=_parameters(approximation, space),
            limit=request.limit,
            offset=request.offset,
            with_payload=payload_selector(request.fields),
            score_threshold=_threshold(request, float(scale)),
        )
        queries.append(ServerQuery(found, float(scale), request))
    return queries


def scaled_scores(requests: Sequence[SearchRequest], space: Space, rows: int, indexes: Indexes) -> list[ServerQuery]:
    """Requests with scaling, in a collection of `rows` points: a formula over the dot products of all of them.

    Every row is prefetched, since the server takes the dot product of a row that is missing from a prefetch for 0.
    """
    queries = []
    for request, vector in zip(requests, _vectors(requests, space), strict=True):
        if isinstance(request.scaling, RowNorm):
            parts, scale, expression = _by_row_norm(vector, request.scaling)
        else:
            assert isinstance(request.scaling, PerChannel)
            parts, scale, expression = _by_channel(vector, space)
        where = to_client(request.where, indexes)
        found = models.QueryRequest(
            # Without defaults a row that lacks a variable fails the whole search.
            query=models.FormulaQuery(formula=expression, defaults={_NORM_RH: 0.0, _NORM_GH: 0.0}),
            prefetch=[
                models.Prefetch(query=nearest(part), using=VECTOR, filter=where, params=EXACT, limit=max(1, rows))
                for part in parts
            ],
            limit=request.limit,
            offset=request.offset,
            with_payload=payload_selector(request.fields),
            score_threshold=_threshold(request, scale),
        )
        queries.append(ServerQuery(found, scale, request))
    return queries


def nearest(row: Vector) -> models.NearestQuery:
    """The query for largest dot products with `row` [dim]."""
    return models.NearestQuery(nearest=row.tolist())


def payload_selector(fields: Sequence[str] | None) -> bool | models.PayloadSelectorInclude:
    """What the server is to send of payloads, from which `read_payload` makes `fields`; None: all of it."""
    if fields is None:
        return True
    return models.PayloadSelectorInclude(include=engine_fields(fields)) if fields else False


def _vectors(requests: Sequence[SearchRequest], space: Space) -> Vector:
    return np.concatenate([check_queries(np.asarray(request.vector)[None], space.dim) for request in requests])


def _by_row_norm(vector: Vector, norm: RowNorm) -> tuple[list[Vector], float, Any]:
    rows, scales = scaled_queries(vector[None])
    largest = max(abs(norm.rh), abs(norm.gh))  # squares of ratios to it neither overflow nor vanish together
    squares = models.SumExpression(sum=[_square(_NORM_RH, norm.rh / largest), _square(_NORM_GH, norm.gh / largest)])
    return [rows[0]], float(scales[0]) / largest, _ratio("$score", models.SqrtExpression(sqrt=squares))


def _by_channel(vector: Vector, space: Space) -> tuple[list[Vector], float, Any]:
    # Each half is scaled by itself, since a long one would take the bits of a short one.
    halves, scales = scaled_queries(channel_halves(vector, space.estimator.dim_rh))
    scale = max((float(own) for own, half in zip(scales, halves, strict=True) if half.any()), default=1.0)
    terms = [
        models.MultExpression(mult=[float(own) / scale, _ratio(f"$score[{number}]", norm)])
        for number, (own, norm) in enumerate(zip(scales, (_NORM_RH, _NORM_GH), strict=True))
    ]
    return list(halves), scale, models.SumExpression(sum=terms)


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


def _threshold(request: SearchRequest, scale: float) -> float | None:
    """Just below the least score: the server leaves out hits at its threshold, unless a formula made their score."""
    least = -_LARGEST_FLOAT32 if request.min_score is None else request.min_score / scale
    if least <= -_LARGEST_FLOAT32:
        return None
    return float(np.nextafter(np.float32(min(least, _LARGEST_FLOAT32)), np.float32(-np.inf)))
