"""JSON Lines: one object a line."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator

import orjson

from rise_store.corpus.lines import MAX_LINE_BYTES, Line, LineSource
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.records import RowOrigin, SourceManifest

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class JsonLines:
    """The rows of one JSON Lines file, plain, `.gz` or `.zst`; `-` is standard input. A `Source`.

    Invalid UTF-8, malformed JSON and a line above the limit are rejected rows. Blank lines and a byte order mark are
    skipped.
    """

    def __init__(self, path: str | os.PathLike[str], max_line_bytes: int = MAX_LINE_BYTES) -> None:
        """Raises `InputError` when the file cannot be opened."""
        self._lines = LineSource(path, max_line_bytes)
        self.name = self._lines.name
        self.total_bytes = self._lines.total_bytes

    @property
    def bytes_read(self) -> int:
        """Bytes of the file, compressed as it is, that were read so far."""
        return self._lines.bytes_read

    def manifest(self) -> SourceManifest:
        """What the file is at this moment."""
        return SourceManifest(uri=self.name, format="jsonl")

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        end = 0
        for number, line in enumerate(self._lines, 1):
            location = f"{self.name}:{number}"
            if line is None:
                limit = self._lines.max_line_bytes
                yield RejectedRow(location, f"{location}: the line is longer than {limit:,} bytes; split its text")
                continue
            start, end = end, end + len(line)
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if not line or line.isspace():
                continue
            origin = RowOrigin(file=self.name, row=number, start=start, end=end)
            try:
                yield RawRow(_json(line, location), origin, location)
            except InputError as error:
                yield RejectedRow(location, str(error), origin, line.decode("utf-8", "replace"))


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
