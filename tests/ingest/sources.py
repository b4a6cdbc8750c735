"""A source that can be read twice, as files can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rise_store.corpus import ExampleReader, RejectedRow
from rise_store.corpus.sources import RawRow
from rise_store.digests import json_sha256
from rise_store.records import RowOrigin, SourceManifest

BAD = None  # a row that cannot be read


class Rows:
    """Rows in memory under the name of a file. A `Source`."""

    total_bytes = None
    bytes_read = 0

    def __init__(self, rows: Sequence[Any], name: str = "corpus/stories.jsonl") -> None:
        self.rows, self.name = rows, name

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        for number, row in enumerate(self.rows, 1):
            origin, location = RowOrigin(file=self.name, row=number), f"{self.name}:{number}"
            if row is BAD:
                yield RejectedRow(location, f"{location}: malformed JSON", origin, "{")
            else:
                yield RawRow(row, origin, location)

    def manifest(self) -> SourceManifest:
        return SourceManifest(uri=self.name, format="jsonl", sha256=json_sha256(self.rows))


def rows_reader(rows: Sequence[Any], name: str = "corpus/stories.jsonl") -> ExampleReader:
    """The examples of such a source."""
    return ExampleReader([Rows(rows, name)])
