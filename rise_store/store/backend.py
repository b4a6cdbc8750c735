"""The contract that every storage engine keeps.

A `Backend` is a store (a folder, or a server): it holds spaces. A `Collection` is one space's points.
Nothing outside `rise_store/store/` knows which engine is behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.records import Space
from rise_store.store.catalogue import Catalogue as Catalogue
from rise_store.store.catalogue import Document as Document
from rise_store.store.filters import Filter

Vector = npt.NDArray[np.float32]
Payload = dict[str, Any]
Tables = Mapping[str, npt.NDArray[Any]]
IndexKind = Literal["keyword", "integer", "float", "datetime"]


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
class RowNorm:
    """Divide each score by `sqrt((rh |x_rh|)^2 + (gh |x_gh|)^2)`, |x_c| being the row's stored channel norms.

    With the lambdas' ratios as `rh` and `gh`, this renormalises rows to a signature under other lambdas.
    """

    rh: float
    gh: float


@dataclass(frozen=True, slots=True)
class PerChannel:
    """Divide each channel's part of the dot product by the row's stored norm of that channel; a norm of 0 gives 0."""


Scaling = RowNorm | PerChannel


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One query of a search: the points of largest score, best first, from number `offset` on, at most `limit`."""

    vector: Vector  # [dim] float32, channel weights folded in
    limit: int
    where: Filter | None = None
    offset: int = 0
    min_score: float | None = None  # hits below are left out
    scaling: Scaling | None = None  # None: the score is the dot product
    fields: tuple[str, ...] | None = None  # payload fields (dotted paths) that hits carry; None: all of them


@dataclass(frozen=True, slots=True)
class Approximation:
    """How to search without comparing every signature: `quantized` scans the coarse copy, `hnsw` walks the graph.

    `oversampling` times the limit are rescored with the stored vectors (where there is a coarse copy);
    `ef` is the width of the walk.
    """

    method: Literal["quantized", "hnsw"]
    oversampling: float = 4.0
    ef: int | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of a search; `score` is the dot product with the query, scaled where that was asked for."""

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

    def mark(self, where: Filter, field: str, value: str) -> None:
        """Set a keyword field of our own, such as `vanished_in`, on every point that the filter lets through.

        Nothing is read or sent but ids and the value; repeating it is safe. `InputError` for a value that cannot be
        stored, `ConfigError` for a field that is none of ours or follows from others, before any write.
        """
        ...

    def delete(self, ids: Iterable[UUID]) -> None:
        """Delete points; unknown ids are ignored."""
        ...

    def delete_where(self, where: Filter) -> None:
        """Delete every point that the filter lets through."""
        ...

    def retrieve(self, ids: Sequence[UUID], *, with_vectors: bool = False) -> dict[UUID, StoredPoint]:
        """The stored ones among `ids`."""
        ...

    def search(self, requests: Sequence[SearchRequest], approximation: Approximation | None = None) -> list[list[Hit]]:
        """Answer requests in one pass; exact unless an approximation is asked for.

        `ConfigError` for an approximation that the space's storage has not, or one of a scaled request or with an
        offset: the pages of approximate rankings overlap, and leave rows out.
        """
        ...

    def score(self, query: Vector, ids: Sequence[UUID]) -> dict[UUID, float]:
        """Exact dot products of `query` [dim] with the stored ones among `ids`."""
        ...

    def count(self, where: Filter | None = None) -> int:
        """Exact number of points."""
        ...

    def scroll(
        self,
        where: Filter | None = None,
        *,
        with_vectors: bool = False,
        fields: Sequence[str] | None = None,
        after: UUID | None = None,
    ) -> Iterator[StoredPoint]:
        """Points, each once, in the order of their ids: those above `after`, with these payload fields (None: all)."""
        ...

    def sample(self, size: int, *, with_vectors: bool = False) -> list[StoredPoint]:
        """Points at random, all different; all of them where fewer than `size` are stored."""
        ...

    def facet(self, field: str, limit: int = 100, where: Filter | None = None) -> dict[str, int]:
        """Exact counts by value of a field with a keyword index, largest first; `FilterError` for another field.

        `ConfigError` for a limit out of range.
        """
        ...

    def has_field(self, field: str) -> bool:
        """Whether any stored point has a value at this payload path."""
        ...

    def create_index(self, field: str, kind: IndexKind) -> None:
        """Index a payload field, so that filters on it are fast; making an index anew changes nothing.

        `FilterError` when the field has an index of another kind.
        """
        ...

    def indexes(self) -> dict[str, IndexKind]:
        """The indexed payload fields."""
        ...

    def tidy(self) -> None:
        """Merge segments so that searches use every core, build what the storage asks for, and flush."""
        ...

    def compact(self) -> None:
        """Free what deleted and replaced points left: none of their bytes remain in the collection's files."""
        ...

    def size_bytes(self) -> int | None:
        """Bytes that the collection takes on disk, those of deleted points included; None where nobody knows."""
        ...


class Backend(Protocol):
    """A store: spaces by fingerprint, and a catalogue.

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

    def catalogue(self) -> Catalogue:
        """The catalogue of the store, which is made when it is first asked for."""
        ...

    def catalogue_bytes(self) -> int | None:
        """Bytes that the catalogue takes on disk; None where nobody knows."""
        ...

    def close(self) -> None:
        """Flush and release the store; closing twice is fine."""
        ...

    def __enter__(self) -> Backend: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
