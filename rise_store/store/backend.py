"""The contract that every storage engine keeps.

A `Backend` is a store (a folder, or a server): it holds spaces. A `Collection` is one space's points.
Nothing outside `rise_store/store/` knows which engine is behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.records import Space
from rise_store.store.filters import Filter

Vector = npt.NDArray[np.float32]
Payload = dict[str, Any]
Tables = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Point:
    """One signature on its way into a collection."""

    id: UUID
    vector: Vector  # [dim] float32, unit length
    payload: Payload


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """One point as a collection holds it; `vector` only when it was asked for."""

    id: UUID
    payload: Payload
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of a search: `score` is the dot product with the query."""

    id: UUID
    score: float
    payload: Payload


class Collection(Protocol):
    """The points of one space. Every method raises `StoreError` when the engine fails."""

    space: Space

    def upsert(self, points: Sequence[Point]) -> None:
        """Insert or replace points; durable against a killed process once it returns.

        The whole batch is checked first: `SignatureError` for a wrong dimension, NaN or Inf, and nothing is written.
        """
        ...

    def set_payload(self, payloads: Mapping[UUID, Payload]) -> None:
        """Replace the payloads of stored points; their vectors stay."""
        ...

    def delete(self, ids: Iterable[UUID]) -> None:
        """Delete points; unknown ids are ignored."""
        ...

    def retrieve(self, ids: Sequence[UUID], *, with_vectors: bool = False) -> dict[UUID, StoredPoint]:
        """The stored ones among `ids`."""
        ...

    def search(self, queries: Vector, limit: int, where: Filter | None = None) -> list[list[Hit]]:
        """For each row of `queries` [n, dim], the `limit` points of largest dot product, best first; exact."""
        ...

    def score(self, query: Vector, ids: Sequence[UUID]) -> dict[UUID, float]:
        """Exact dot products of `query` [dim] with the stored ones among `ids`."""
        ...

    def count(self, where: Filter | None = None) -> int:
        """Exact number of points."""
        ...

    def scroll(self, where: Filter | None = None, *, with_vectors: bool = False) -> Iterator[StoredPoint]:
        """All points, each once, in the order of their ids."""
        ...

    def facet(self, field: str, limit: int = 100) -> dict[str, int]:
        """Exact counts by value of one of our own keyword fields, largest first."""
        ...

    def has_field(self, field: str) -> bool:
        """Whether any stored point has a value at this payload path."""
        ...

    def tidy(self) -> None:
        """Merge segments so that searches use every core, free what deletes left, and flush; may take a while."""
        ...

    def size_bytes(self) -> int:
        """Bytes that the collection takes on disk."""
        ...


class Backend(Protocol):
    """A store: spaces by fingerprint.

    A context manager: leaving it flushes and releases the store; after an error, a store that was made in the block and
    got no space is removed again.
    """

    location: str

    def spaces(self) -> list[Space]:
        """The spaces of the store, oldest first."""
        ...

    def create_space(self, space: Space, tables: Tables) -> Collection:
        """Create the collection of a new space and keep its sketch tables beside it; all or nothing."""
        ...

    def open_collection(self, fingerprint: str) -> Collection:
        """The collection of a space; `StoreError` when the store has none of that fingerprint."""
        ...

    def tables(self, fingerprint: str) -> dict[str, npt.NDArray[Any]]:
        """The sketch tables that were kept with a space; `StoreError` when they are damaged."""
        ...

    def close(self) -> None:
        """Flush and release the store; closing twice is fine."""
        ...

    def __enter__(self) -> Backend: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
