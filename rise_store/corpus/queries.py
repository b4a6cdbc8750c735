"""JSON Lines files of queries."""

from __future__ import annotations

import os

from rise_store.corpus.jsonl import ExampleReader
from rise_store.corpus.rows import RejectedRow
from rise_store.errors import InputError
from rise_store.records import Query


def read_queries(path: str | os.PathLike[str]) -> list[Query]:
    """The queries of a JSON Lines file, one a row, in order; `-` is standard input.

    A row with a `prompt` and a `completion` (or `generation`) asks about the completion; any other row that makes an
    example asks about its text.

    Raises:
        InputError: a row that is no query, with its file and line, or a file without rows.
    """
    queries = []
    for row in ExampleReader([path], distinct=False):
        if isinstance(row, RejectedRow):
            raise InputError(row.reason)
        if not (row.text or "").strip() and row.completion:
            queries.append(Query(id=row.id, prompt=row.prompt or "", completion=row.completion))
        else:
            queries.append(Query(id=row.id, text=row.content))
    if not queries:
        raise InputError(f"{path} holds no queries; give one JSON object a line")
    return queries
