"""Influence by group: which datasets, sources or licences an output comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from rise_store.errors import ConfigError, FilterError
from rise_store.records import AttributionGroups, InfluenceShare
from rise_store.retrieval.approximate import to_store
from rise_store.retrieval.plan import MOST_HITS, Search
from rise_store.retrieval.where import check_fields
from rise_store.store import OWN_FIELDS, Collection, Equals, Payload, SearchRequest, resolve_field
from rise_store.store.paths import parse_path

DEFAULT_OVER = 1_000
_EXACT_INTEGERS = 2**53  # from here on, floats are no longer every integer
_NO_GROUPS = ("metadata", "channel_norms", "flags", "text")  # own fields that are no property of an example

Group = str | int | float | bool | None


def group_field(name: str, collection: Collection) -> str:
    """The payload path of the field that `name` stands for.

    Raises:
        FilterError: no stored example has a field of this name, or it makes no groups.
    """
    field = resolve_field(name)
    if field in _NO_GROUPS:
        raise FilterError(f"cannot group by {name!r}; name a field such as dataset, license or metadata.topic")
    if field not in OWN_FIELDS:
        check_fields(Equals(field, ""), collection)
    return field


def check_over(search: Search, over: int | None) -> None:
    """Refuse a number of rows that no search can be grouped over, which needs no signatures yet.

    Raises:
        ConfigError: `over` below 1, or all rows in an approximate search.
    """
    if over is not None and over < 1:
        raise ConfigError(f"groups are made over {over} examples; consider at least 1, or all")
    if over is None and search.approximate is not None:
        raise ConfigError("an approximate search does not reach all examples; group over a number of them")


def influence(
    search: Search, signatures: npt.NDArray[np.float32], field: str, over: int | None
) -> list[AttributionGroups]:
    """The share of influence by group for each query of a search.

    The share of a group is the sum of its positive scores over the sum of all positive scores among the rows
    considered, which are the `over` rows of largest score.

    Args:
        search: n queries, and what to rank for them; their k does not count.
        signatures: theirs, (n, dim) float32, rows of unit length, of the collection's space.
        field: payload path whose values make the groups.
        over: how many rows to consider; None for all that the filter lets through.

    Raises:
        ConfigError: see `check_over`.
    """
    check_over(search, over)
    collection, scoring = search.collection, search.scoring
    requests = [
        SearchRequest(
            vector,
            limit=max(1, asked.candidates if over is None else min(over, asked.candidates)),
            where=asked.filter,
            min_score=search.min_score,
            scaling=scoring.scaling,
            fields=(field,),
        )
        for vector, asked in zip(search.fold(signatures), search.questions, strict=True)
    ]
    answers: list[AttributionGroups] = []
    for batch in _batches(requests):
        for hits in collection.search(batch, to_store(search.approximate)):
            asked = search.questions[len(answers)]
            groups = shares((value_at(hit.payload, field), hit.score) for hit in hits)
            answers.append(
                AttributionGroups(
                    query=asked.query,
                    by=field,
                    groups=groups,
                    rows=len(hits),
                    positive=math.fsum(group.positive for group in groups),
                    negative=math.fsum(group.negative for group in groups),
                    space=collection.space.fingerprint,
                    weights=scoring.weights,
                    where=asked.where,
                    candidates=asked.candidates,
                    metric=scoring.metric,
                    lambdas=scoring.lambdas,
                    approximate=search.approximate,
                    min_score=search.min_score,
                    precondition=search.alpha,
                    preset=search.preset,
                )
            )
    return answers


def shares(scored: Iterable[tuple[Group, float]]) -> tuple[InfluenceShare, ...]:
    """Shares of influence from the group and the score of each row, largest first."""
    scores: dict[bytes, tuple[Group, list[float]]] = {}
    for group, score in scored:
        # The JSON tells 1, "1" and true apart, which are one key of a dict.
        scores.setdefault(orjson.dumps(group), (group, []))[1].append(score)
    sums = [
        (group, len(of), math.fsum(s for s in of if s > 0), math.fsum(s for s in of if s < 0))
        for group, of in scores.values()
    ]
    total = math.fsum(positive for _, _, positive, _ in sums)
    found = [
        InfluenceShare(
            group=group, share=positive / total if total else None, rows=rows, positive=positive, negative=negative
        )
        for group, rows, positive, negative in sums
    ]
    return tuple(sorted(found, key=lambda one: (-one.positive, -one.negative, str(one.group))))


def value_at(payload: Payload, field: str) -> Group:
    """The value at a path, as a group: lists and objects as their JSON, whole floats as integers up to 2**53."""
    value: Any = payload
    for key in parse_path(field):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, list | dict):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() if value else None
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_INTEGERS
    return int(value) if whole else value


def _batches(requests: Sequence[SearchRequest]) -> Iterable[list[SearchRequest]]:
    batch: list[SearchRequest] = []
    for request in requests:
        if batch and sum(other.limit for other in batch) + request.limit > MOST_HITS:
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch
