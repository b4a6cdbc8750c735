"""A file that is followed: what of it was seen, read, and acknowledged by the store."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from rise_store.corpus import RejectedRow
from rise_store.corpus.formats import JsonLines
from rise_store.corpus.lines import Position as LinePosition
from rise_store.ingest.watch.formats import Formats
from rise_store.ingest.watch.positions import Position
from rise_store.ingest.watch.seen import Seen, inode_of, open_bytes, sample_digest
from rise_store.ingest.watch.tail import OpenFile, has_newline
from rise_store.records import Example

QUIET_S = 1.5  # that a file has to be left alone before it is read as a whole

Row = Example | RejectedRow


@dataclass(frozen=True, slots=True)
class Arrived:
    """A row on its way, with how far its file is read behind it."""

    row: Row
    at: float  # when it was noticed, by the monotonic clock
    file: Followed
    generation: int
    number: int  # rows in front of `offset`
    offset: int


class Followed(ABC):
    """A file that is followed. Times are of the monotonic clock.

    What is read is acknowledged later, in order, when the store has it; `checkpoint` then says how far that is.
    """

    def __init__(self, name: str, source: str, settings: str, position: Position | None) -> None:
        self.name = name
        self.source = source
        self.seen: Seen | None = None
        self.gone = False
        self.error: str | None = None
        self.pending = 0  # rows that were read and are not acknowledged
        self._settings = settings
        self._tried: Seen | None = None  # what it was when it was read last, or that was tried
        self._generation = 0  # of contents: rows of an earlier one no longer say how far it was read
        same = position is not None and position.settings == settings
        self.position = position if same else None

    @property
    def inode(self) -> str | None:
        """Of the file that is followed, as far as it is known."""
        if self.seen is not None:
            return self.seen.inode
        return self.position.inode if self.position else None

    @abstractmethod
    def notice(self, seen: Seen, at: float, *, waits: bool = True) -> None:
        """Look at what was seen of it; `waits` is False for what may have lain there for long."""

    @abstractmethod
    def ready_in(self, now: float) -> float | None:
        """Seconds until there may be something to be read; None where nothing is expected."""

    @abstractmethod
    def next_row(self) -> Arrived | None:
        """The next row; None where there is none for the moment.

        Raises:
            InputError, OSError: it cannot be read; it is not tried again before it has changed.
        """

    @abstractmethod
    def oldest(self) -> float | None:
        """When the oldest part arrived that is not read yet."""

    @abstractmethod
    def checkpoint(self) -> Position | None:
        """How far it is acknowledged, where that is news."""

    def try_again(self) -> None:
        """It could not be opened: see it as if for the first time when it is looked at again."""
        self.seen = self._tried = None

    def close(self, *, now: bool = False) -> None:  # noqa: B027 - most have nothing to give back
        """Give the file back, unless rows of it are on their way, or in any case."""

    def acknowledge(self, row: Arrived) -> None:
        """The store has this row."""
        self.pending -= 1

    @property
    def unread(self) -> int:
        """Bytes that are not acknowledged."""
        return max(0, (self.seen.size if self.seen else 0) - (self.position.offset if self.position else 0))

    def _position(self, **fields: object) -> Position:
        return Position.model_validate({"name": self.name, "source": self.source, "settings": self._settings, **fields})


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
        except BaseException:
            self._tried = self.seen
            self._rows = None
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
            sample = sample_digest(self._file, offset)
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


class FollowedWhole(Followed):
    """A file that is read as a whole once it is left alone, and again when it has changed."""

    def __init__(self, name: str, source: str, settings: str, position: Position | None, formats: Formats) -> None:
        super().__init__(name, source, settings, position)
        self._formats = formats
        self._rows: Iterator[Row] | None = None
        self._reading: Seen | None = None  # what it was when reading began
        self._done: Seen | None = None  # read to its end; to be acknowledged
        self._quiet_from = 0.0
        self._at: float | None = None
        self._number = 0

    def notice(self, seen: Seen, at: float, *, waits: bool = True) -> None:
        """See `Followed.notice`."""
        if seen != self.seen and not self._is_known(seen):
            lay_still = not waits and seen.age_s is not None and seen.age_s > QUIET_S
            self._quiet_from = at - QUIET_S if lay_still else at
            self._at = at if self._at is None else self._at
        self.seen = seen

    def ready_in(self, now: float) -> float | None:
        """See `Followed.ready_in`."""
        if self._rows is not None:
            return 0.0
        if self.seen is None or self.gone or self._is_known(self.seen):
            return None
        return max(0.0, self._quiet_from + QUIET_S - now)

    def next_row(self) -> Arrived | None:
        """See `Followed.next_row`."""
        assert self.seen is not None
        try:
            if self._rows is None:
                self._reading, self._tried, self._done, self._number = self.seen, self.seen, None, 0
                self._rows = self._formats.whole(self.seen)
            row = next(self._rows, None)
        except BaseException:
            self._rows, self._at = None, None
            raise
        if row is None:
            self._rows, self._at, self._done = None, None, self._reading
            return None
        self._number += 1
        self.pending += 1
        return Arrived(row, self._at or 0.0, self, self._generation, self._number, 0)

    def oldest(self) -> float | None:
        """See `Followed.oldest`."""
        return self._at

    def checkpoint(self) -> Position | None:
        """See `Followed.checkpoint`."""
        if self.pending or self._rows is not None or self._done is None:
            return None
        done, self._done = self._done, None
        self.position = self._position(
            whole=True, row=self._number, offset=done.size, inode=done.inode, changed=done.changed
        )
        return self.position

    def _is_known(self, seen: Seen) -> bool:
        known = self._tried
        if known is not None:
            return (known.size, known.changed, known.inode) == (seen.size, seen.changed, seen.inode)
        before = self.position
        return before is not None and (before.offset, before.changed, before.inode) == (
            seen.size, seen.changed, seen.inode
        )  # fmt: skip
