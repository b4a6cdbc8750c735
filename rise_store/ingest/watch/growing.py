"""A JSON Lines file that is followed line by line."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from rise_store.corpus.formats import JsonLines
from rise_store.corpus.lines import Position as LinePosition
from rise_store.corpus.remote import is_remote, problem
from rise_store.errors import InputError
from rise_store.ingest.watch.followed import Arrived, Followed, Row
from rise_store.ingest.watch.formats import Formats
from rise_store.ingest.watch.positions import Position
from rise_store.ingest.watch.seen import Seen, inode_of, open_bytes, sample_digest
from rise_store.ingest.watch.tail import OpenFile, has_newline


class FollowedLines(Followed):
    """A JSON Lines file that may be appended to, be renamed, shrink, or be replaced."""

    def __init__(self, name: str, source: str, settings: str, position: Position | None, formats: Formats) -> None:
        super().__init__(name, source, settings, position)
        self._formats = formats
        self._number = self.position.row if self.position else 0  # rows read
        self._offset = self.position.offset if self.position else 0
        self._acknowledged = (self._number, self._offset)
        self._searched = 0  # bytes that are known to hold no newline behind `_offset`
        self._marks: deque[tuple[int, float]] = deque()  # when the file had grown to which size
        self._file: BinaryIO | None = None
        self._lines: JsonLines | None = None
        self._rows: Iterator[Row] | None = None

    def notice(self, seen: Seen, at: float, *, waits: bool = True) -> None:
        """See `Followed.notice`."""
        before = self.seen or self.position
        if (before is not None and before.inode != seen.inode) or seen.size < self._offset:
            self._restart()
        if self._marks and self._marks[-1][0] > seen.size:
            self._marks.clear()
        if seen.size > max(self._offset, self._marks[-1][0] if self._marks else 0):
            self._marks.append((seen.size, at))
        self.seen = seen

    def ready_in(self, now: float) -> float | None:
        """See `Followed.ready_in`."""
        if self._rows is not None:
            return 0.0
        if self.seen is None or self.seen == self._tried:
            return None
        untouched = (
            self.position is not None
            and self.seen.size == self._offset
            and self.seen.changed == (self.position.changed)
        )
        return None if self.gone or untouched else 0.0

    def next_row(self) -> Arrived | None:
        """See `Followed.next_row`."""
        try:
            if self._file is None:
                self._open()
            while self._rows is not None or self._begin():
                row = self._read()
                if row is not None:
                    return row
        except BaseException as error:
            self._tried = self.seen
            self._rows = None
            address = self.seen.address if self.seen else ""
            if is_remote(address) and isinstance(error, Exception) and not isinstance(error, InputError):
                raise problem(address, error) from None  # each file system raises errors of its own
            raise
        self._tried = self.seen
        self._marks.clear()  # what is left is half a line: it arrives with its newline
        return None

    def oldest(self) -> float | None:
        """See `Followed.oldest`."""
        return self._marks[0][1] if self._marks else None

    def acknowledge(self, row: Arrived) -> None:
        """See `Followed.acknowledge`."""
        super().acknowledge(row)
        if row.generation == self._generation:
            self._acknowledged = (row.number, row.offset)

    def checkpoint(self) -> Position | None:
        """See `Followed.checkpoint`."""
        if self._rows is None and self.pending == 0:
            self._acknowledged = (self._number, self._offset)  # blank lines behind the last row are done too
        number, offset = self._acknowledged
        before = self.position
        changed = self.seen.changed if self.seen else ""
        if before and (before.name, before.offset, before.inode, before.changed) == (
            self.name, offset, self.inode, changed
        ):  # fmt: skip
            return None
        if self._file is None:
            if before is None or before.offset != offset:
                return None
            sample = before.sample
        else:
            try:
                sample = sample_digest(self._file, offset)
            except Exception:  # whatever a file system of fsspec raises: the earlier position stands
                self.try_again()
                return None
        self.position = self._position(row=number, offset=offset, inode=self.inode, sample=sample, changed=changed)
        return self.position

    def rename(self, name: str) -> None:
        """It has another name now."""
        self.name = name

    def close(self, *, now: bool = False) -> None:
        """See `Followed.close`."""
        if self._file is not None and (now or (self._rows is None and self.pending == 0)):
            self._rows = None
            self._file.close()
            self._file = None

    def _open(self) -> None:
        assert self.seen is not None
        self._file = open_bytes(self.seen.address)
        size = self._file.seek(0, os.SEEK_END)
        position = self.position
        if position is not None and self._offset:
            other = position.offset != self._offset or position.inode != inode_of(self._file)
            if other or size < self._offset or sample_digest(self._file, self._offset) != position.sample:
                self._restart(close=False)

    def _begin(self) -> bool:
        """Begin to read on; False where no line ends behind what was read."""
        assert self._file is not None
        size = self._file.seek(0, os.SEEK_END)
        if size <= self._offset or (self._searched > self._offset and not has_newline(self._file, self._searched)):
            self._searched = size
            return False
        start = LinePosition(self._offset, self._number + 1)
        self._lines = JsonLines(
            OpenFile(self.name, self._file), encoding=self._formats.encoding, start=start, complete_lines=True
        )
        self._rows = map(self._formats.example, self._lines)
        return True

    def _read(self) -> Arrived | None:
        if self._rows is None or self._lines is None:
            return None
        row = next(self._rows, None)
        self._number, self._offset = self._lines.position.row - 1, self._lines.position.offset
        if row is None:
            self._searched = self._lines.bytes_read
            self._rows = None
            return None
        while len(self._marks) > 1 and self._marks[0][0] < self._offset:
            self._marks.popleft()
        self.pending += 1
        at = self._marks[0][1] if self._marks else time.monotonic()
        return Arrived(row, at, self, self._generation, self._number, self._offset)

    def _restart(self, *, close: bool = True) -> None:
        """It is another file now, or has lost what was read."""
        self._generation += 1
        self._number = self._offset = self._searched = 0
        self._acknowledged = (0, 0)
        self._marks.clear()
        self._rows = self._lines = self._tried = None
        self.position = None
        if close and self._file is not None:
            self._file.close()
            self._file = None
