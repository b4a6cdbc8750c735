"""JSON Lines files of queries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rise_store.corpus.reader import ExampleReader
from rise_store.corpus.sources import RejectedRow
from rise_store.errors import InputError
from rise_store.records import Example, Query, validated

_OWN = ("where", "k", "against", "against_prompt")  # fields of a row that are settings of its query


def read_queries(path: str | os.PathLike[str]) -> list[Query]:
    """The queries of a JSON Lines file, one a row, in order; `-` is standard input.

    A row with a `prompt` and a `completion` (or `generation`) asks about the completion; any other row that makes an
    example asks about its text. `where` and `k` of a row are a filter and a number of answers of the query's own;
    `against` (and `against_prompt`) is what it is asked against.

    Raises:
        InputError: a row that is no query, with its file and line, or a file without rows.
    """
    queries: list[Query] = []
    for row in ExampleReader([path], distinct=False):
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        fields = query_fields(row)
        try:
            queries.append(validated(Query, "query", fields, InputError))
        except InputError as error:
            raise InputError(f"{row.location}: {error}") from error
    if not queries:
        raise InputError(f"{path} holds no queries; give one JSON object a line")
    return queries


def query_fields(row: Example) -> dict[str, Any]:
    """The fields of the query that a row stands for; `InputError` with the location for one of a wrong type."""
    pair = not (row.text or "").strip() and row.completion
    asked = {"prompt": row.prompt or "", "completion": row.completion} if pair else {"text": row.content}
    own = {name: row.metadata[name] for name in _OWN if row.metadata.get(name) is not None}
    _check_own(own, row.location)
    return {"id": row.id, **asked, **own}


def _check_own(own: Mapping[str, Any], location: str) -> None:
    if not isinstance(own.get("where", ""), str | dict):
        raise InputError(f'{location}: "where" is neither a string nor an object; write a filter as for --where')
    if "k" in own and (isinstance(own["k"], bool) or not isinstance(own["k"], int)):
        raise InputError(f'{location}: "k" is not an integer; it is how many examples to return')
    for name in ("against", "against_prompt"):
        if not isinstance(own.get(name, ""), str):
            raise InputError(f'{location}: "{name}" is not a text; it is what the query is asked against')
