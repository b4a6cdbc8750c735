"""JSON Lines: one object a line."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import orjson

from rise_store.corpus.encodings import UTF_8, Encoding
from rise_store.corpus.lines import MAX_LINE_BYTES, LineSource, Position
from rise_store.corpus.locations import Location
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.records import RowOrigin, SourceManifest

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonLines:
    """The rows of one JSON Lines file: a path, an address, or `-` for standard input. A `Source`.

    Bytes that are no text, malformed JSON and a line above the limit are rejected rows. Blank lines and a byte order
    mark are skipped.

    To follow a file that grows, read it with `complete_lines`, keep `position` when that ended, and give it as
    `start` to a new `JsonLines` later. A row's `origin.end` with `origin.row + 1` is such a position too.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Location,
        max_line_bytes: int = MAX_LINE_BYTES,
        *,
        encoding: str | None = None,
        start: Position | None = None,
        complete_lines: bool = False,
    ) -> None:
        """Raises `InputError` when the file cannot be opened.

        Args:
            path: what to read.
            max_line_bytes: longest line that is read.
            encoding: of the text; by default UTF-8, or what the byte order mark says.
            start: where to begin, in a file that is not compressed.
            complete_lines: leave a last line without a newline alone.
        """
        self._lines = LineSource(path, max_line_bytes, encoding, start, complete_lines)
        self.name = self._lines.name
        self.total_bytes = self._lines.bytes.total_bytes

    @property
    def bytes_read(self) -> int:
        """Bytes of the file, compressed as it is, that were read so far; those before `start` count as read."""
        return self._lines.bytes.bytes_read

    @property
    def position(self) -> Position:
        """Behind the last line that was read, blank ones and rejected ones included."""
        return self._lines.position

    def manifest(self) -> SourceManifest:
        """What the file is at this moment; see `ByteSource.manifest`."""
        return self._lines.manifest("jsonl")

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        for line in self._lines:
            limit, encoding = self._lines.max_line_bytes, self._lines.encoding
            row = parse_line(line.data, self.name, line.number, line.start, line.end, limit, encoding)
            if row is not None:
                yield row


def parse_line(
    line: bytes | bytearray | None, name: str, number: int, start: int, end: int, limit: int, encoding: Encoding = UTF_8
) -> RawRow | RejectedRow | None:
    """The row of line `number` of a file, which stands at bytes `start` to `end`; None for a blank one.

    Args:
        line: what stands there; None for more than `limit` bytes.
        name: of the file.
        number: of the line, from 1.
        start: its first byte.
        end: first byte behind it.
        limit: longest line that is read.
        encoding: of the line.
    """
    if line is not None and (not line or line.isspace()):
        return None
    location = f"{name}:{number}"
    origin = RowOrigin(file=name, row=number, start=start, end=end)
    if line is None:
        return RejectedRow(location, f"{location}: the line is longer than {limit:,} bytes; split its text", origin)
    try:
        if encoding.name != UTF_8.name:
            text = encoding.text(line, location).encode()
            return None if text.isspace() else RawRow(_json(text, location), origin, location)
        return RawRow(_json(line, location), origin, location)
    except InputError as error:
        return RejectedRow(location, str(error), origin, line.decode(encoding.name, "replace"))


def _json(line: bytes | bytearray, location: str) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        problem = error
    text = UTF_8.text(line, location)
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
