"""The lines of a file or stream, in constant memory."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass

from rise_store.corpus.byte_source import ByteSource
from rise_store.corpus.compression import HEAD_BYTES, compression_of
from rise_store.corpus.encodings import MARK_BYTES, UTF_8, check_encoding, encoding_of
from rise_store.corpus.locations import Location
from rise_store.errors import InputError
from rise_store.records import SourceManifest

MAX_LINE_BYTES = 64 << 20
"""Longest line that is read, bytes without its newline; a longer one is skipped and reported."""

_PIECE = 1 << 20  # bytes of a long line that are read at a time


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two lines."""

    offset: int = 0  # bytes before it, decompressed
    row: int = 1  # number of the line that begins here


@dataclass(slots=True)
class Line:
    """One line as it stands in the file, newline included."""

    number: int  # from 1
    start: int  # its first byte in the file, decompressed
    end: int  # first byte behind it
    data: bytes | bytearray | None  # None for a line above the limit, of which no more than the limit is ever held


class LineSource:
    """Iterates over the lines of one file; see `ByteSource` for what can be opened.

    A byte order mark at the beginning tells the encoding where none is given, and belongs to no line.

    With `complete_lines`, a last line without a newline is left alone: somebody may be writing it. `position` is
    behind the last line that was given, and may be given as `start` to a new source to go on there later.
    """

    def __init__(
        self,
        name: str | os.PathLike[str] | Location,
        max_line_bytes: int = MAX_LINE_BYTES,
        encoding: str | None = None,
        start: Position | None = None,
        complete_lines: bool = False,
    ) -> None:
        """Raises `InputError` for what cannot be opened, or is compressed and should be read from its middle."""
        self._wanted = check_encoding(encoding)
        self.bytes = ByteSource(name)
        self.name = self.bytes.name
        self.max_line_bytes = max_line_bytes
        self.encoding = UTF_8  # told when reading begins
        self._start = start or Position()
        self._complete_lines = complete_lines
        self.position = self._start
        if self._start.offset:
            self._look_at_beginning()

    def manifest(self, format: str) -> SourceManifest:
        """See `ByteSource.manifest`."""
        return self.bytes.manifest(format)

    def __iter__(self) -> Iterator[Line]:
        self.position = self._start
        with self.bytes.reading(self._done, self._start.offset) as stream:
            pieces = _Pieces(stream)
            if not self._start.offset:
                self.encoding = encoding_of(self._wanted, pieces.peek(MARK_BYTES))
                pieces.readline(self.encoding.mark)
                self.position = Position(self.encoding.mark, self._start.row)
            for size, data in _bounded_lines(pieces, self.max_line_bytes, self.encoding.newline):
                here = self.position
                if self._complete_lines and size < 0:
                    break
                end = here.offset + abs(size)
                self.position = Position(end, here.row + 1)
                yield Line(here.row, here.offset, end, data)

    def _look_at_beginning(self) -> None:
        head = b""
        if self.bytes.location.is_rereadable:
            with self.bytes.location.open() as file:
                head = file.read(HEAD_BYTES)
            self.encoding = encoding_of(self._wanted, head)
        if not head or compression_of(self.bytes.location.filename, head) != "none":
            raise InputError(f"{self.name}: is compressed or a stream, and can only be read from its beginning")

    def _done(self) -> str:
        return f"{self.position.row - self._start.row:,} lines"


class _Pieces:
    """`readline` of a stream, with a look at its beginning that also works where little has arrived yet."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._head = b""

    def peek(self, size: int) -> bytes:
        # a first line of a slow stream must not wait for more than it has
        if not self._head:
            self._head = self._stream.readline(size)
        return self._head

    def readline(self, size: int) -> bytes:
        if self._head:
            head, self._head = self._head[:size], self._head[size:]
            if self._head or len(head) == size or head.endswith(b"\n"):
                return head
            return head + self._stream.readline(size - len(head))
        return self._stream.readline(size)


def _bounded_lines(stream: _Pieces, limit: int, newline: bytes) -> Iterator[tuple[int, bytes | bytearray | None]]:
    """Sizes of lines and the lines; the size is negative for a last line without newline."""
    width = len(newline)
    while line := stream.readline(min(_PIECE, limit + 1)):
        if width == 1 and line.endswith(b"\n"):
            yield len(line), line
            continue
        data: bytearray | None = bytearray(line)
        size = len(line)
        tail = line[-2 * width :]
        while not (is_whole := _ends(tail, size, newline)):
            room = _PIECE if data is None else limit + width + 1 - size
            if not (piece := stream.readline(-size % width or min(_PIECE, room))):
                break
            size += len(piece)
            tail = (tail + piece)[-2 * width :]
            if data is not None:
                data += piece
                if len(data) > limit + width:
                    data = None
        if data is not None and size - (width if is_whole else 0) > limit:
            data = None
        yield (size if is_whole else -size), data


def _ends(tail: bytes, size: int, newline: bytes) -> bool:
    """Whether the line whose last bytes are `tail` ends here: on a whole unit of its encoding that is a newline."""
    return size % len(newline) == 0 and tail.endswith(newline)
