"""The complete lines of a file that still grows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from rise_store.corpus.formats.jsonl import parse_line
from rise_store.corpus.lines import MAX_LINE_BYTES
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.records import SourceManifest

_PIECE = 1 << 20


class Tail:
    """The rows of a JSON Lines file behind `offset`, up to `size`, as far as their lines have an end. A `Source`.

    `row` and `offset` always say how far it was read: they stand behind the row that was given last. A line without
    its newline is left where it is. The rows end, and another iteration goes on behind them.
    """

    def __init__(self, name: str, file: BinaryIO, *, row: int, offset: int, size: int, searched: int = 0) -> None:
        """Read from an open file.

        Args:
            name: of the file, for messages and origins.
            file: the file.
            row: lines in front of `offset`.
            offset: where to begin, in bytes.
            size: where to stop: what is behind it may still be written.
            searched: bytes that are known to hold no newline behind `offset`, from an earlier attempt.
        """
        self.name = name
        self.total_bytes: int | None = size
        self.row = row
        self.offset = offset
        self.searched = searched
        self.max_line_bytes = MAX_LINE_BYTES
        self._file = file
        self._size = size

    @property
    def bytes_read(self) -> int:
        """Bytes in front of the next row."""
        return self.offset

    def manifest(self) -> SourceManifest:
        """What the file is at this moment."""
        return SourceManifest(uri=self.name, format="jsonl")

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        if not self._has_newline():
            return
        self._file.seek(self.offset)
        while self.offset < self._size:
            start = self.offset
            line: bytes | None = self._readline(start, self.max_line_bytes + 1)
            assert line is not None
            length = len(line)
            if not line.endswith(b"\n") and start + length < self._size:  # too long: find its end, keep nothing
                line = None
                while start + length < self._size:
                    piece = self._readline(start + length, _PIECE)
                    length += len(piece)
                    if not piece or piece.endswith(b"\n"):
                        break
                else:
                    piece = b""
                if not piece.endswith(b"\n"):
                    self.searched = self._size
                    return
            elif not line.endswith(b"\n"):
                self.searched = self._size
                return
            self.offset += length
            self.row += 1
            row = parse_line(line, self.name, self.row, start, self.offset, self.max_line_bytes)
            if row is not None:
                yield row

    def _readline(self, at: int, limit: int) -> bytes:
        return self._file.readline(min(limit, self._size - at))

    def _has_newline(self) -> bool:
        """Whether a line ends behind `searched`, so that a long line that trickles in is not read again and again."""
        if self.searched <= self.offset:
            return True
        self._file.seek(self.searched)
        while self.searched < self._size:
            piece = self._file.read(min(_PIECE, self._size - self.searched))
            if not piece:
                break
            if b"\n" in piece:
                self.searched = 0
                return True
            self.searched += len(piece)
        return False
