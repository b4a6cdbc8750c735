"""The lines that the csv module is fed with, and what is known of the record that it makes of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from rise_store.corpus.lines import Line, LineSource
from rise_store.errors import InputError


class RecordLines:
    """Decodes lines and remembers those of the current record: where it stands, and what is wrong with its bytes.

    The csv module takes a line when it needs one, so the lines between `begin` and the record are the record's.
    Iterating raises `InputError` for a record above the limit, which is a quote that was not closed, and for one that
    the file's end cuts off.
    """

    delimiter = ","

    def __init__(self, source: LineSource) -> None:
        self._source = source
        self._lines: Iterator[Line] = iter(source)
        self._waiting: Line | None = None
        self.begin()

    def begin(self) -> None:
        """Forget the last record."""
        self.first = self.start = self.end = 0  # number of its first line, and its bytes in the file
        self.problem = ""  # what is wrong with its bytes
        self._texts: list[str] = []

    @property
    def location(self) -> str:
        """`file:line` of the record."""
        return f"{self._source.name}:{self.first}"

    def peek(self) -> str:
        """The first line that is not blank, which stays the next one."""
        for line in self._lines:
            if line.data is None or not line.data.isspace():
                self._waiting = line
                return (line.data or b"").decode(self._source.encoding.name, "replace")
        return ""

    def text(self) -> str:
        """The record as it stands in the file, as far as it is text."""
        return "".join(self._texts)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, self._waiting = self._waiting or next(self._lines, None), None
        if line is None:
            if self._texts:
                raise InputError(self._unclosed("the end of the file"))
            raise StopIteration
        if not self._texts:
            self.first, self.start = line.number, line.start
        self.end = line.end
        limit = self._source.max_line_bytes
        if self.end - self.start > limit + 4 and self._texts:
            raise InputError(self._unclosed(f"{limit:,} bytes have passed"))
        text = self._decoded(line, limit)
        self._texts.append(text)
        return text

    def explained(self, error: csv.Error) -> str:
        """What the csv module found wrong with the record, for people."""
        opened = self._open_quote()
        if opened and "expected after" in str(error):
            where = "" if opened == self.first else f" that opens in line {opened}"
            upto = f"; it takes in the lines up to {self.first + len(self._texts) - 1}" if len(self._texts) > 1 else ""
            return f'a quoted value{where} goes on behind its closing quote{upto}; write a quote within it as ""'
        return f"is no CSV: {error}"

    def _decoded(self, line: Line, limit: int) -> str:
        if line.data is None:  # the first of its record: one behind it would have been above the limit before
            self.problem = f"{self.location}: the line is longer than {limit:,} bytes; split its text"
            return "\n"
        try:
            unit = "the line" if line.number == self.first else f"line {line.number}"
            return self._source.encoding.text(line.data, self.location, unit)
        except InputError as error:
            self.problem = self.problem or str(error)
            return line.data.decode(self._source.encoding.name, "replace")

    def _unclosed(self, end: str) -> str:
        opened = self._open_quote() or self.first
        return (
            f"{self._source.name}:{opened}: the quote that opens here is not closed before {end}; close it, or write "
            'it as """" if it is part of a text: rows behind it cannot be told from it'
        )

    def _open_quote(self) -> int:
        """The line in which the last quoted value of the record opens, up to where it is broken; 0 without one."""
        opened, is_open = 0, False
        for number, text in enumerate(self._texts, self.first):
            at = text.find('"')
            while at >= 0:
                following = text[at + 1 : at + 2]
                if not is_open:
                    if at == 0 or text[at - 1] == self.delimiter:
                        opened, is_open = number, True
                elif following == '"':  # a quote within the value
                    at += 1
                else:
                    is_open = False
                    if following not in ("", self.delimiter, "\r", "\n"):
                        return opened
                at = text.find('"', at + 1)
        return opened
