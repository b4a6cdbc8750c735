"""Rows on their way from a file or another store into a collection: checks, and writing what is not there yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from rise_store.digests import canonical_json
from rise_store.errors import InputError, RiseStoreError, SpaceMismatchError
from rise_store.records import Space
from rise_store.store import (
    Backend,
    Collection,
    Identity,
    Payload,
    Point,
    StoredPoint,
    Tables,
    Tombstones,
    Vector,
    tables_sha256,
)
from rise_store.store.json_values import check_value
from rise_store.store.row_check import length, row_problems

# The largest distance of a stored signature, of length 1, from the one that was handed in. Measured with
# qdrant-edge-py 0.9.0 on random vectors of 352 to 24,576 coordinates: 2.2e-4, 0.012 and 0.14.
PRECISION = {"float16": 1e-3, "turbo8": 0.025, "turbo4": 0.25}


@dataclass(frozen=True, slots=True)
class Row:
    """A signature with its payload, and where it came from, for messages."""

    id: UUID
    vector: Vector  # [dim] float32
    payload: Payload
    location: str

    def check(self, space: Space) -> None:
        """`InputError`, naming the location, unless this is a row of the space that may be stored."""
        for problem in row_problems(self.id, self.vector, self.payload, space):
            raise InputError(f"{self.location}: the row {problem}")
        check_value(self.payload, "the payload", self.location)


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows a write found missing, different and equal."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    refused: int = 0  # erased before

    def __add__(self, other: Written) -> Written:
        return Written(
            self.new + other.new,
            self.replaced + other.replaced,
            self.unchanged + other.unchanged,
            self.refused + other.refused,
        )


def write_rows(
    collection: Collection, rows: Sequence[Row], tombstones: Tombstones, *, comparing: Sequence[str] | None = None
) -> Written:
    """Store the rows that the collection does not hold equal, within the precision of its storage.

    Args:
        collection: where they go.
        rows: checked rows of its space; of rows with the same id the last one counts.
        tombstones: of the store; what was erased is not stored.
        comparing: the only payload fields that make a difference; by default all of them.
    """
    latest = {row.id: row for row in rows}
    stored = collection.retrieve(list(latest), with_vectors=True)
    precision = PRECISION[collection.space.storage.vectors]
    different = [
        row for row in latest.values() if row.id not in stored or not _equal(stored[row.id], row, precision, comparing)
    ]
    erased = tombstones.refused([identity_of(row.payload) for row in different])
    refused = sum(erased)
    different = [row for row, is_erased in zip(different, erased, strict=True) if not is_erased]
    if different:
        collection.upsert([Point(row.id, row.vector, row.payload) for row in different])
    new = sum(row.id not in stored for row in different)
    return Written(new, len(different) - new, len(rows) - len(different) - refused, refused)


def identity_of(payload: Payload) -> Identity:
    """What tombstones recognise the example of a stored payload by."""
    return Identity(payload["dataset"], payload["example_id"], payload["content_sha256"])


def distance(one: Vector, other: Vector) -> float:
    """Distance of two signatures [dim]."""
    return length(one - other)


def same_payload(one: Payload, other: Payload) -> bool:
    """Whether two payloads hold the same JSON: 1, 1.0 and true are different values."""
    return canonical_json(one) == canonical_json(other)


def target_collection(
    backend: Backend, space: Space, tables: Tables, source: str, *, new_space: bool
) -> tuple[Collection, bool]:
    """The collection of a space in a store, and whether it was created for it.

    Raises:
        InputError: the tables are not those that the space states.
        SpaceMismatchError: the store has other spaces, and `new_space` is False.
    """
    found = tables_sha256(tables)
    if found != space.tables_sha256:
        raise InputError(
            f"{source}: the sketch tables are damaged: SHA-256 {found}, expected {space.tables_sha256}; export it anew"
        )
    known = backend.spaces()
    if any(other.fingerprint == space.fingerprint for other in known):
        return backend.open_collection(space.fingerprint), False
    if known and not new_space:
        others = ", ".join(f"{other.fingerprint} ({other.model.name})" for other in known)
        raise SpaceMismatchError(
            f"{source} is of space {space.fingerprint} ({space.model.name}), and the store holds {others}; use another "
            "store, or add a second space with --new-space"
        )
    return backend.create_space(space, tables), True


def reason(error: RiseStoreError, location: str) -> str:
    """Why a row was rejected, with its location in front once."""
    text = str(error)
    return text if text.startswith(location) else f"{location}: {text}"


def _equal(stored: StoredPoint, row: Row, precision: float, comparing: Sequence[str] | None) -> bool:
    assert stored.vector is not None
    if comparing is None:
        same = same_payload(stored.payload, row.payload)
    else:
        same = all(stored.payload.get(name) == row.payload.get(name) for name in comparing)
    return same and distance(stored.vector, row.vector) <= precision
