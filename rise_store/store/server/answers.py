"""Answering search requests: calls of the server, and rankings in which rows of one score have an order."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from qdrant_client import models

from rise_store.records import Space
from rise_store.store.backend import Approximation, Hit, SearchRequest
from rise_store.store.batches import batches
from rise_store.store.scores import least_engine_score
from rise_store.store.selection import read_payload
from rise_store.store.server.calls import Calls
from rise_store.store.server.queries import Indexes, ServerQuery, dot_products, payload_selector, scaled_scores

QUERIES = 32  # a call
_CANDIDATES = 1_000_000  # rows that the scaled requests of one call hold in the server's memory together
_SLACK = 1_000  # rows that others may add between counting and searching


def answers(
    calls: Calls,
    space: Space,
    indexes: Indexes,
    requests: Sequence[SearchRequest],
    approximation: Approximation | None,
) -> list[list[Hit]]:
    """The hits of requests that were checked, in their order."""
    found: dict[int, list[Hit]] = {}
    plain = [number for number, request in enumerate(requests) if request.scaling is None]
    for batch in batches(plain, QUERIES):
        queries = dot_products([requests[number] for number in batch], space, approximation, indexes)
        found.update(zip(batch, _run(calls, queries), strict=True))
    scaled = [number for number, request in enumerate(requests) if request.scaling is not None]
    if scaled:
        rows = calls.count(None) + _SLACK
        for batch in batches(scaled, max(1, min(QUERIES, _CANDIDATES // rows))):
            queries = scaled_scores([requests[number] for number in batch], space, rows, indexes)
            found.update(zip(batch, _run(calls, queries), strict=True))
    return [found[number] for number in range(len(requests))]


def _run(calls: Calls, queries: Sequence[ServerQuery]) -> list[list[Hit]]:
    found = calls.search([query.request for query in queries])
    return [_page(calls, query, points) for query, points in zip(queries, found, strict=True)]


def _page(calls: Calls, query: ServerQuery, points: list[models.ScoredPoint]) -> list[Hit]:
    """The hits of one request, in the order of their ids where scores are equal, as those of equal texts are.

    Of rows with one score the server finds any, and others for another limit: pages would overlap, or leave some out.
    """
    asked, end = query.asked, query.end
    has_payloads = asked.offset == 0
    if len(points) > end and points[end - 1].score == points[end].score and query.is_exact:
        # All rows down to that score: the ids among them decide.
        wanted = {
            "limit": calls.count(None) + _SLACK,
            "score_threshold": least_engine_score(points[end].score),
            "with_payload": False,
        }
        (every,) = calls.search([query.request.model_copy(update=wanted)])
        if len(every) >= len(points):
            points, has_payloads = every, False
    page = sorted(points, key=lambda point: (-point.score, UUID(str(point.id))))[asked.offset : end]
    if has_payloads:
        payloads = {UUID(str(point.id)): point.payload for point in page}
    else:
        ids = [UUID(str(point.id)) for point in page]
        records = calls.retrieve(ids, payload=payload_selector(asked.fields)) if ids else []
        payloads = {UUID(str(record.id)): record.payload for record in records}
    scored = [(UUID(str(point.id)), float(point.score * query.scale)) for point in page]
    return [
        Hit(id, score, read_payload(payloads[id], asked.fields))
        for id, score in scored
        # A row that was deleted meanwhile has no payload any more.
        if id in payloads and (asked.min_score is None or score >= asked.min_score)
    ]
