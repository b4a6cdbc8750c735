"""What every reader of a format gives: the rows of one source as they stand there, before fields are mapped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from rise_store.records import RowOrigin, SourceManifest


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as its format gives it. `fields` is whatever stood there: what is no object is rejected later."""

    fields: Mapping[str, Any] | Any
    origin: RowOrigin
    location: str  # `file:line`, for messages


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is no example. `reason` is one line for people and begins with `location`, which is `file:line`."""

    location: str
    reason: str
    origin: RowOrigin | None = None
    row: Any = None  # what stood there: text, or fields; None where it is too long or was never read


class Source(Protocol):
    """The rows of one source: a file, a folder of documents, a query, standard input.

    Iterating starts anew each time where that is possible, in constant memory, and raises `InputError` where going on
    would lose data; a row that cannot be used comes as a `RejectedRow` and reading goes on behind it. The order of
    rows is that of the source and always the same. What is wrong with the source as a whole, such as a missing file
    or package, is an `InputError` of the constructor.
    """

    name: str  # for messages: a path or an address without secrets
    total_bytes: int | None  # size as it lies on disk, compressed as it is; None where unknown

    @property
    def bytes_read(self) -> int:
        """How much of `total_bytes` was read; 0 where nobody knows."""
        ...

    def __iter__(self) -> Iterator[RawRow | RejectedRow]: ...

    def manifest(self) -> SourceManifest:
        """What the source is at this moment. Hashes local files, so it costs a pass over them.

        Iterating after it raises `InputError` in the end when the source is not what the manifest says any more.
        """
        ...


@runtime_checkable
class TableSource(Protocol):
    """A source whose rows all have the same fields."""

    columns: tuple[str, ...] | None  # None where they are not known before the first row
