"""Sources of rows -> examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rise_store.corpus.formats import JsonLines
from rise_store.corpus.key_index import KeyIndex
from rise_store.corpus.lines import MAX_LINE_BYTES
from rise_store.corpus.rows import parse_row
from rise_store.corpus.sources import RawRow, RejectedRow, Source
from rise_store.errors import InputError
from rise_store.records import Example, SourceManifest
from rise_store.records.base import Metadata

RowMapping = Callable[[Any], Mapping[str, Any]]
"""Turns the fields of a foreign row into those of `parse_row`; `InputError`, without a location, if it cannot."""


class ExampleReader:
    """Iterates over the examples of sources, and over the rows that are none.

    A row that cannot be used comes as a `RejectedRow`, and reading goes on behind it: what its reader, the mapping or
    `parse_row` refuses. A row that repeats an earlier one of the sources, metadata included, is skipped and counted in
    `duplicates`. A row without an `id` that repeats an earlier text with other metadata is rejected, since both would
    have the same key.

    `total_bytes` is the size of the sources as they lie on disk (None when one of them does not know its size) and
    `bytes_read` how much of that was read, which goes from 0 to `total_bytes`.

    Iterating raises `InputError` where going on would lose data: a file that is damaged or cannot be read, and an
    `id` that stands for two different rows of the sources.
    """

    def __init__(
        self,
        sources: Iterable[str | os.PathLike[str] | Source],
        max_line_bytes: int = MAX_LINE_BYTES,
        *,
        distinct: bool = True,
        mapping: RowMapping | None = None,
    ) -> None:
        """A path stands for a JSON Lines file.

        Raises `InputError` when one of the files cannot be opened; `distinct=False` lets keys repeat.
        """
        self._distinct = distinct
        self._mapping = mapping
        self._sources: list[Source] = [
            JsonLines(source, max_line_bytes) if isinstance(source, str | os.PathLike) else source for source in sources
        ]
        sizes = [source.total_bytes for source in self._sources]
        known = [size for size in sizes if size is not None]
        self.total_bytes = sum(known) if len(known) == len(sizes) else None
        self.duplicates = 0
        self._begun: list[Source] = []
        self.settings: Metadata = {}  # how the sources are read, where that is not told by their names

    @property
    def bytes_read(self) -> int:
        """Bytes of the sources, compressed as they are, that were read so far."""
        return sum(source.bytes_read for source in self._begun)

    def manifests(self) -> tuple[SourceManifest, ...]:
        """What the sources are at this moment; see `Source.manifest`."""
        return tuple(source.manifest() for source in self._sources)

    def __iter__(self) -> Iterator[Example | RejectedRow]:
        self.duplicates = 0
        self._begun = []
        index = KeyIndex()
        for number, source in enumerate(self._sources):
            self._begun.append(source)
            for row in source:
                if isinstance(row, RejectedRow):
                    yield row
                    continue
                read = self._example(row)
                if isinstance(read, Example) and self._distinct:
                    yield from self._unless_known(read, row, number, index)
                else:
                    yield read

    def _example(self, row: RawRow) -> Example | RejectedRow:
        try:
            fields = row.fields
            if self._mapping is not None:
                try:
                    fields = self._mapping(fields)
                except InputError as error:
                    raise InputError(f"{row.location}: {error}") from None
            return parse_row(fields, row.location, row.origin)
        except InputError as error:
            return RejectedRow(row.location, str(error), row.origin, row.fields)

    def _unless_known(
        self, example: Example, row: RawRow, source: int, index: KeyIndex
    ) -> Iterator[Example | RejectedRow]:
        before = index.add(example, source, row.origin.row)
        if before is None:
            yield example
            return
        if before.same:
            self.duplicates += 1
            return
        there = f"{self._sources[before.file].name}:{before.line}"
        if example.id:
            raise InputError(
                f'{row.location}: "id" {example.id[:60]!r} stands for another row at {there}; '
                "give each row an id of its own"
            )
        reason = (
            f'{row.location}: the same text stands at {there} with other metadata; give the rows an "id" to keep both'
        )
        yield RejectedRow(row.location, reason, row.origin, row.fields)


def read_jsonl(path: str | os.PathLike[str]) -> ExampleReader:
    """The examples of one JSON Lines file, plain, `.gz` or `.zst`; `-` is standard input.

    Raises `InputError` when the file cannot be opened; see `ExampleReader` for what iterating yields and raises.
    """
    return ExampleReader([path])


def read_examples(paths: Iterable[str | os.PathLike[str]]) -> ExampleReader:
    """The examples of several JSON Lines files, one file after the other; see `read_jsonl`."""
    return ExampleReader(paths)
