"""All spaces of one store, or one of them, into another store, whatever their engines."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from uuid import UUID

from rise_store.errors import SpaceMismatchError, StoreError
from rise_store.lifecycle.documents import copy_documents
from rise_store.lifecycle.pages import Progress, in_pages, rows_a_page
from rise_store.lifecycle.rows import PRECISION, distance, identity_of, same_payload
from rise_store.records import MigratedSpace, MigrationReport, Space
from rise_store.store import Backend, Collection, Point, StoredPoint, Tombstones

SAMPLE = 200

# The largest distance of a stored signature from its copy in a space of the same storage. Measured with
# qdrant-edge-py 0.9.0 on random vectors of 24 to 24,576 coordinates: 0 for float16, 1.4e-7 for turbo8; for turbo4 0.1
# with 24 coordinates, 0.034 with 352, 0.013 with 2,048, 0.008 with 24,576.
_COPIED = {"float16": 1e-3, "turbo8": 0.005, "turbo4": 0.02}
_COPIED_FEW = {"float16": 0.0, "turbo8": 0.0, "turbo4": 1.0}  # beside it, divided by the root of the coordinates


def migrate_spaces(
    source: Backend,
    target: Backend,
    spaces: list[Space],
    *,
    new_space: bool = False,
    progress: Progress | None = None,
) -> MigrationReport:
    """Copy spaces with their tables, storage, indexes and points; what the target holds already, equal, is skipped.

    Documents go first, so that what was erased stays erased: such examples are not copied, but counted.
    Points go in the order of their ids, page by page. Repeating it after a crash copies the rest. In the end counts are
    compared, and the payloads and signatures of up to 200 points at random.

    Args:
        source: where the spaces are.
        target: where they go; a space that is missing there is created.
        spaces: spaces of the source.
        new_space: allow spaces beside those that only the target has.
        progress: is told points done and points in all.

    Raises:
        StoreError: an engine fails, or the copy is not equal to the source.
        SpaceMismatchError: the target has another space, and `new_space` is False.
    """
    started = time.monotonic()
    if not new_space:
        _require_fit(target, spaces)
    totals = {space.fingerprint: source.open_collection(space.fingerprint).count() for space in spaces}
    documents = 0
    if source.catalogue_bytes() != 0:
        documents = copy_documents(source.catalogue(), target.catalogue(), totals)
    tombstones = Tombstones(target.catalogue())
    done = 0
    reports = []
    for space in spaces:
        here = source.open_collection(space.fingerprint)
        there = _target(source, target, space)
        precision = _precision(space, there.space)
        copied = unchanged = 0
        refused: dict[UUID, bool] = {}  # whether the target holds it all the same
        for page in in_pages(here.scroll(with_vectors=True), rows_a_page(space.dim)):
            held = there.retrieve([point.id for point in page], with_vectors=True)
            missing = [
                Point(point.id, point.vector, point.payload)
                for point in page
                if point.vector is not None and not _is_copy(held.get(point.id), point, precision)
            ]
            unchanged += len(page) - len(missing)
            erased = tombstones.refused([identity_of(point.payload) for point in missing])
            refused |= {point.id: point.id in held for point, gone in zip(missing, erased, strict=True) if gone}
            missing = [point for point in missing if point.id not in refused]
            if missing:
                there.upsert(missing)
            copied += len(missing)
            done += len(page)
            if progress is not None:
                progress(done, sum(totals.values()))
        there.tidy()
        reports.append(_verified(here, there, copied, unchanged, refused))
    return MigrationReport(
        source=source.location,
        target=target.location,
        spaces=tuple(reports),
        documents=documents,
        seconds=round(time.monotonic() - started, 3),
    )


def _require_fit(target: Backend, spaces: list[Space]) -> None:
    known = {space.fingerprint: space for space in target.spaces()}
    coming = {space.fingerprint for space in spaces}
    others = [space for fingerprint, space in known.items() if fingerprint not in coming]
    if others and not coming <= known.keys():
        held = ", ".join(f"{space.fingerprint} ({space.model.name})" for space in others)
        raise SpaceMismatchError(
            f"the store at {target.location} holds other spaces: {held}; copy into another store, or add a space "
            "beside them with --new-space"
        )


def _target(source: Backend, target: Backend, space: Space) -> Collection:
    if any(other.fingerprint == space.fingerprint for other in target.spaces()):
        there = target.open_collection(space.fingerprint)
    else:
        there = target.create_space(space, source.tables(space.fingerprint))
    for field, kind in source.open_collection(space.fingerprint).indexes().items():
        there.create_index(field, kind)
    return there


def _precision(one: Space, other: Space) -> float:
    """The largest distance of a signature in one space from its copy in the other."""
    kinds = (one.storage.vectors, other.storage.vectors)
    if kinds[0] == kinds[1]:
        return _COPIED[kinds[0]] + _COPIED_FEW[kinds[0]] / math.sqrt(one.dim)
    return PRECISION[kinds[0]] + PRECISION[kinds[1]]


def _is_copy(held: StoredPoint | None, point: StoredPoint, precision: float) -> bool:
    if held is None or held.vector is None or point.vector is None or not same_payload(held.payload, point.payload):
        return False
    return distance(held.vector, point.vector) <= precision


def _verified(
    here: Collection, there: Collection, copied: int, unchanged: int, refused: Mapping[UUID, bool]
) -> MigratedSpace:
    space = here.space
    examples, found = here.count(), there.count()
    expected = examples - sum(not is_held for is_held in refused.values())
    if examples != copied + unchanged + len(refused) or found < expected:
        raise StoreError(
            f"space {space.fingerprint} has {examples} examples in the source and {found} in the target after "
            f"{copied + unchanged + len(refused)} were read; nothing else may write to them: run the same command again"
        )
    precision = _precision(space, there.space)
    sample = [point for point in here.sample(SAMPLE, with_vectors=True) if point.id not in refused]
    copies = there.retrieve([point.id for point in sample], with_vectors=True)
    largest = 0.0
    for point in sample:
        copy = copies.get(point.id)
        name = point.payload.get("example_id", point.id)
        if copy is None or copy.vector is None or point.vector is None:
            raise StoreError(f"example {name!r} is missing in {space.fingerprint} of the target; run the command again")
        if not same_payload(copy.payload, point.payload):
            raise StoreError(f"the payload of example {name!r} differs in the target; run the command again")
        error = distance(point.vector, copy.vector)
        if not error <= precision:
            raise StoreError(
                f"the signature of example {name!r} is off by {error:.2g} in the target, more than {precision:.2g}; "
                "delete the space there and run the command again"
            )
        largest = max(largest, error)
    return MigratedSpace(
        space=space.fingerprint,
        examples=examples,
        copied=copied,
        unchanged=unchanged,
        refused=len(refused),
        only_in_target=found - expected,
        checked=len(sample),
        largest_error=float(f"{largest:.3g}"),
    )
