"""CSV and TSV: a header, then a row an example."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator

from rise_store.corpus.compression import split_compression
from rise_store.corpus.formats.csv_lines import RecordLines
from rise_store.corpus.lines import MAX_LINE_BYTES, LineSource
from rise_store.corpus.locations import Location
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.records import RowOrigin, SourceManifest

_DELIMITERS = (",", ";", "\t", "|")
_QUOTED = re.compile(r'"[^"]*"')


class CsvFile:
    """The rows of one CSV or TSV file: a path, an address, or `-` for standard input. A `Source` and a `TableSource`.

    The first line names the fields; every value is a string. The delimiter is a tab in `.tsv` and `.tab`; elsewhere it
    is that of comma, semicolon, tab and bar which makes most names of the header. Quoted values may span lines.

    A row of more or fewer values than names, with bytes that are no text, or with a quote that is closed in the
    middle of a value is rejected. A quote that is never closed ends the reading: what follows it cannot be told
    from the value.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | Location,
        max_row_bytes: int = MAX_LINE_BYTES,
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
    ) -> None:
        """Raises `InputError` when the file cannot be opened; without a `delimiter`, name and header tell it."""
        self._lines = LineSource(path, max_row_bytes, encoding)
        self.name = self._lines.name
        self.total_bytes = self._lines.bytes.total_bytes
        self.columns: tuple[str, ...] | None = None  # known when reading has begun
        filename = split_compression(self._lines.bytes.location.filename)[0].lower()
        self._delimiter = "\t" if delimiter is None and filename.endswith((".tsv", ".tab")) else delimiter

    @property
    def bytes_read(self) -> int:
        """Bytes of the file, compressed as it is, that were read so far."""
        return self._lines.bytes.bytes_read

    def manifest(self) -> SourceManifest:
        """What the file is at this moment; see `ByteSource.manifest`."""
        return self._lines.manifest("tsv" if self._delimiter == "\t" else "csv")

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        # the limit is the whole process's, and too low for documents; rows have one of their own
        csv.field_size_limit(max(csv.field_size_limit(), self._lines.max_line_bytes))
        lines = RecordLines(self._lines)
        lines.delimiter = self._delimiter or _delimiter(lines.peek())
        records = csv.reader(lines, delimiter=lines.delimiter, strict=True)
        columns: tuple[str, ...] | None = None
        while True:
            lines.begin()
            problem = ""
            values: list[str] = []
            try:
                values = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                problem = f"{lines.location}: {lines.explained(error)}"
            problem = lines.problem or problem
            origin = RowOrigin(file=self.name, row=lines.first, start=lines.start, end=lines.end)
            if columns is None:
                if problem:
                    raise InputError(f"{problem}; without a header no row can be read")
                if values:
                    columns = self.columns = _header(values, lines.location)
                continue
            if not problem and values and len(values) != len(columns):
                problem = f"{lines.location}: {_ragged(values, columns)}"
            if problem:
                yield RejectedRow(lines.location, problem, origin, lines.text())
            elif values:
                yield RawRow(dict(zip(columns, values, strict=True)), origin, lines.location)


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=_QUOTED.sub("", header).count)


def _header(values: list[str], location: str) -> tuple[str, ...]:
    names = tuple(value.strip() or f"column_{number}" for number, value in enumerate(values, 1))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{location}: two columns have the name {twice[:60]!r}; give each a name of its own")
    return names


def _ragged(values: list[str], columns: tuple[str, ...]) -> str:
    count = f"{len(values)} value" + "s" * (len(values) != 1)
    return f"the row has {count} where the header has {len(columns)} names; quote values that hold the delimiter"
