"""Clusters of stored examples whose signatures are nearly the same.

Two examples are near-duplicates when the cosine of their signatures reaches a threshold; clusters are what hangs
together through such pairs. Every pair is looked at, but most by a bound: with P the projection on a few orthonormal
directions and rho the length of what P leaves over, `cos(x, y) <= <P x, P y> + rho_x rho_y` for unit x and y (Cauchy
and Schwarz), which is the dot product of `[P x, rho_x]` with `[P y, rho_y]`. Only pairs whose bound reaches the
threshold, and which are not in one cluster yet, are compared in full. So the clusters are those of comparing
everything, at `DIRECTIONS` + 1 coordinates a pair; these are held for every example (260 bytes), signatures only for
two blocks at a time. Of 1,244 real rows of 24,576 coordinates, 1 pair in 150,000 was compared in full at a threshold of
0.98, and 1 in 14,000 at 0.9.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError
from rise_store.records import DuplicateCluster, DuplicateExample
from rise_store.store import Collection, Filter, StoredPoint
from rise_store.store.batches import batches

DEFAULT_THRESHOLD = 0.98
MOST_COMPARED = 200_000  # examples, unless more are asked for
DIRECTIONS = 64
SAMPLE = 256  # rows that the directions are taken from
BLOCK = 512  # rows that are compared with as many others at a time
PAGE = 256  # rows whose signatures are in memory at a time
MARGIN = 1e-5  # for rounding: of a bound, and of a threshold of 1
FIELDS = (
    "example_id", "dataset", "dataset_version", "license", "source_uri", "tokens", "metadata", "read_from",
)  # fmt: skip

Array = npt.NDArray[np.float32]
Progress = Callable[[int, int | None], None]  # is told of examples done, and of examples in all


def find_duplicates(
    collection: Collection,
    threshold: float = DEFAULT_THRESHOLD,
    where: Filter | None = None,
    *,
    texts: bool = False,
    most: int = MOST_COMPARED,
    progress: Progress | None = None,
) -> list[DuplicateCluster]:
    """Clusters of near-duplicates, largest first.

    Args:
        collection: the stored examples.
        threshold: cosine of signatures, above 0 and at most 1, which equal rows reach.
        where: a filter; None for every example.
        texts: members have their texts.
        most: refuse more examples than that.
        progress: is told of examples compared with all before them.

    Raises:
        ConfigError: a threshold out of range, or more than `most` examples.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold is {threshold}; give a cosine above 0 and at most 1, such as {DEFAULT_THRESHOLD}")
    count = collection.count(where)
    if count > most:
        raise ConfigError(
            f"{count:,} examples would be compared with each other, and {most:,} are the most; choose fewer with a "
            "filter, or allow more with --most"
        )
    least = min(threshold, 1 - MARGIN)  # the cosine of equal rows may come out just below 1
    ids, bounds = _bounds(collection, where)
    clusters = Clusters(len(ids))
    for start in range(0, len(ids), BLOCK):
        block = slice(start, start + BLOCK)
        for first in range(0, start + 1, BLOCK):
            others = slice(first, first + BLOCK)
            reach = bounds[block] @ bounds[others].T >= least - MARGIN  # (B, B)
            if first == start:
                reach = np.tril(reach, -1)
            if reach.any():
                rows, columns = np.nonzero(reach)
                _join(collection, ids, clusters, rows + start, columns + first, least)
        if progress is not None:
            progress(min(start + BLOCK, len(ids)), len(ids))
    found = [_cluster(collection, [ids[i] for i in members], threshold, texts) for members in clusters.several()]
    return sorted((one for one in found if one is not None), key=lambda one: -one.size)


class Clusters:
    """Disjoint sets of rows, joined pair by pair (union by size, with path halving)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))
        self._size = [1] * count

    def find(self, row: int) -> int:
        """The row that stands for the set of a row."""
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(self, one: int, other: int) -> None:
        """Make one set of those of two rows."""
        one, other = self.find(one), self.find(other)
        if one == other:
            return
        if self._size[one] < self._size[other]:
            one, other = other, one
        self._parent[other] = one
        self._size[one] += self._size[other]

    def several(self) -> list[list[int]]:
        """The sets of more than one row, each in order; by their first row."""
        members: dict[int, list[int]] = defaultdict(list)
        for row in range(len(self._parent)):
            members[self.find(row)].append(row)
        return [rows for rows in members.values() if len(rows) > 1]


def _bounds(collection: Collection, where: Filter | None) -> tuple[list[UUID], Array]:
    """Ids of the examples, and the vectors whose dot product is at least the cosine: (n, DIRECTIONS + 1)."""
    directions = _directions(collection)
    ids: list[UUID] = []
    parts = []
    for page in batches(collection.scroll(where, with_vectors=True, fields=()), PAGE):
        rows = _units(page)
        projected = rows @ directions.T  # (B, DIRECTIONS)
        rest = np.linalg.norm(rows - projected @ directions, axis=1)  # (B,)
        parts.append(np.concatenate([projected, rest[:, None]], axis=1))
        ids += [point.id for point in page]
    empty = np.zeros((0, len(directions) + 1), dtype=np.float32)
    return ids, np.concatenate([empty, *parts])


def _directions(collection: Collection) -> Array:
    """Orthonormal directions in which stored signatures differ most, (<= DIRECTIONS, dim)."""
    rows = _units(collection.sample(SAMPLE, with_vectors=True))
    _, _, directions = np.linalg.svd(rows, full_matrices=False)
    found: Array = directions[:DIRECTIONS]
    return found


def _join(
    collection: Collection,
    ids: Sequence[UUID],
    clusters: Clusters,
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    threshold: float,
) -> None:
    """Compare in full the pairs that are not in one cluster, and join those that reach the threshold."""
    root = {row: clusters.find(row) for row in {*rows.tolist(), *columns.tolist()}}
    apart = np.array([root[row] != root[column] for row, column in zip(rows.tolist(), columns.tolist(), strict=True)])
    rows, columns = rows[apart], columns[apart]
    if not len(rows):
        return
    first, second = (_stored(collection, ids, np.unique(part)) for part in (rows, columns))
    cosines = first.rows @ second.rows.T  # (U, V)
    place = {row: number for number, row in enumerate(first.numbers)}
    other_place = {row: number for number, row in enumerate(second.numbers)}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if row in place and column in other_place and cosines[place[row], other_place[column]] >= threshold:
            clusters.join(row, column)


@dataclass(frozen=True)
class _Stored:
    numbers: list[int]  # of rows that are still stored
    rows: Array  # their signatures, (n, dim), of unit length


def _stored(collection: Collection, ids: Sequence[UUID], numbers: npt.NDArray[np.int64]) -> _Stored:
    found: list[int] = []
    parts = [np.zeros((0, collection.space.dim), dtype=np.float32)]
    for some in batches(numbers.tolist(), PAGE):
        points = collection.retrieve([ids[number] for number in some], with_vectors=True)
        kept = [number for number in some if ids[number] in points]
        if kept:
            found += kept
            parts.append(_units([points[ids[number]] for number in kept]))
    return _Stored(found, np.concatenate(parts))


@dataclass(frozen=True)
class _Signatures:
    ids: list[UUID]
    rows: Array  # (n, dim), of unit length


def _signatures(collection: Collection, ids: Sequence[UUID]) -> _Signatures | None:
    """Those of stored rows; None where another client has deleted all of them."""
    points = list(collection.retrieve(list(ids), with_vectors=True).values())
    return _Signatures([point.id for point in points], _units(points)) if points else None


def _cluster(collection: Collection, ids: Sequence[UUID], threshold: float, texts: bool) -> DuplicateCluster | None:
    """A cluster as a record; None where another client has deleted all but one of its rows."""
    total = sum((page.rows.sum(axis=0, dtype=np.float64) for page in _pages(collection, ids)), np.float64(0))
    near = {id: nearness for page in _pages(collection, ids) for id, nearness in _dots(page, total)}
    if len(near) < 2:
        return None
    centre = max(near, key=lambda id: (near[id], -id.int))
    own = _signatures(collection, [centre])
    if own is None:
        return None
    similarities = {
        id: cosine for page in _pages(collection, ids) for id, cosine in _dots(page, own.rows[0].astype(np.float64))
    }
    fields = (*FIELDS, "text") if texts else FIELDS
    payloads = {id: point.payload for id, point in collection.retrieve(list(ids)).items()}
    members = {
        id: _member(payloads[id], similarities[id], fields) for id in ids if id in payloads and id in similarities
    }
    representative = members.pop(centre, None)
    if representative is None or not members:
        return None
    others = sorted(members.values(), key=lambda one: (-one.similarity, one.dataset or "", one.example_id))
    return DuplicateCluster(
        representative=representative,
        others=tuple(others),
        threshold=threshold,
        space=collection.space.fingerprint,
    )


def _member(payload: dict[str, Any], similarity: float, fields: Sequence[str]) -> DuplicateExample:
    return DuplicateExample(
        similarity=min(similarity, 1.0), **{name: payload[name] for name in fields if name in payload}
    )


def _pages(collection: Collection, ids: Sequence[UUID]) -> Iterator[_Signatures]:
    for some in batches(ids, PAGE):
        page = _signatures(collection, some)
        if page is not None:
            yield page


def _dots(page: _Signatures, vector: npt.NDArray[np.float64]) -> Iterator[tuple[UUID, float]]:
    yield from zip(page.ids, (page.rows @ vector).tolist(), strict=True)


def _units(points: Sequence[StoredPoint]) -> Array:
    """Signatures of points, (n, dim), of unit length also where storing them has rounded them."""
    rows = np.stack([point.vector for point in points if point.vector is not None])
    unit: Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-8)
    return unit
