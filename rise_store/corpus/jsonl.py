"""JSON Lines files -> examples."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterable, Iterator

import orjson

from rise_store.corpus.key_index import KeyIndex
from rise_store.corpus.lines import MAX_LINE_BYTES, Line, LineSource
from rise_store.corpus.rows import RejectedRow, parse_row
from rise_store.errors import InputError
from rise_store.records import Example

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class ExampleReader:
    """Iterates over the examples of JSON Lines files, and over the rows that are none.

    A row that cannot be used comes as a `RejectedRow`, and reading goes on behind it: invalid UTF-8, malformed JSON,
    a line above the limit, or what `parse_row` refuses. Blank lines and a byte order mark are skipped. A row that
    repeats an earlier one of the files, metadata included, is skipped and counted in `duplicates`. A row without an
    `id` that repeats an earlier text with other metadata is rejected, since both would have the same key.

    `total_bytes` is the size of the files as they lie on disk (None when standard input or a pipe is among them) and
    `bytes_read` how much of that was read, which goes from 0 to `total_bytes`.

    Iterating raises `InputError` where going on would lose data: a file that is damaged or cannot be read, and an
    `id` that stands for two different rows of the files.
    """

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str]],
        max_line_bytes: int = MAX_LINE_BYTES,
        *,
        distinct: bool = True,
    ) -> None:
        """Raises `InputError` when one of the files cannot be opened; `distinct=False` lets keys repeat."""
        self._distinct = distinct
        self._sources = [LineSource(path, max_line_bytes) for path in paths]
        sizes = [source.total_bytes for source in self._sources]
        known = [size for size in sizes if size is not None]
        self.total_bytes = sum(known) if len(known) == len(sizes) else None
        self.duplicates = 0
        self._begun: list[LineSource] = []

    @property
    def bytes_read(self) -> int:
        """Bytes of the files, compressed as they are, that were read so far."""
        return sum(source.bytes_read for source in self._begun)

    def __iter__(self) -> Iterator[Example | RejectedRow]:
        self.duplicates = 0
        self._begun = []
        index = KeyIndex()
        for file, source in enumerate(self._sources):
            self._begun.append(source)
            yield from self._rows(file, source, index)

    def _rows(self, file: int, source: LineSource, index: KeyIndex) -> Iterator[Example | RejectedRow]:
        for number, line in enumerate(source, 1):
            location = f"{source.name}:{number}"
            if line is None:
                limit = source.max_line_bytes
                yield RejectedRow(location, f"{location}: the line is longer than {limit:,} bytes; split its text")
                continue
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line or line.isspace():
                continue
            try:
                example = parse_row(_json(line, location), location)
            except InputError as error:
                yield RejectedRow(location, str(error))
                continue
            before = index.add(example, file, number) if self._distinct else None
            if before is None:
                yield example
                continue
            there = f"{self._sources[before.file].name}:{before.line}"
            if before.same:
                self.duplicates += 1
            elif example.id:
                raise InputError(
                    f'{location}: "id" {example.id[:60]!r} stands for another row at {there}; '
                    "give each row an id of its own"
                )
            else:
                yield RejectedRow(
                    location,
                    f"{location}: the same text stands at {there} with other metadata; "
                    'give the rows an "id" to keep both',
                )


def read_jsonl(path: str | os.PathLike[str]) -> ExampleReader:
    """The examples of one JSON Lines file, plain, `.gz` or `.zst`; `-` is standard input.

    Raises `InputError` when the file cannot be opened; see `ExampleReader` for what iterating yields and raises.
    """
    return ExampleReader([path])


def read_examples(paths: Iterable[str | os.PathLike[str]]) -> ExampleReader:
    """The examples of several JSON Lines files, one file after the other; see `read_jsonl`."""
    return ExampleReader(paths)


def _json(line: Line, location: str) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        problem = error
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{location}: invalid UTF-8 at byte offset {error.start} of the line (0x{line[error.start]:02x}); "
            "save the file as UTF-8"
        ) from None
    if _SURROGATE_ESCAPE.search(line):
        # orjson refuses surrogates without a partner, which `parse_row` replaces
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    near = text[problem.pos : problem.pos + 20].rstrip()
    found = f", near {near!r}" if near else ""
    raise InputError(
        f"{location}: malformed JSON at column {problem.colno}{found}: {problem.msg}; expected one object per line"
    )
