"""A file that is followed: what of it was seen, read, and acknowledged by the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from rise_store.corpus import RejectedRow
from rise_store.ingest.watch.positions import Position
from rise_store.ingest.watch.seen import Seen
from rise_store.records import Example

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
            InputError: it cannot be read; it is not tried again before it has changed.
            UnreadableError, OSError: it cannot be read for the moment.
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
