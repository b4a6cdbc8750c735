"""A file that is read as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from rise_store.ingest.watch.followed import Arrived, Followed, Row
from rise_store.ingest.watch.formats import Formats
from rise_store.ingest.watch.positions import Position
from rise_store.ingest.watch.seen import Seen

QUIET_S = 1.5  # that a file has to be left alone before it is read as a whole


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
