"""A planned block, with its signatures, into the store; and the receipt for it."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cache
from uuid import UUID

from rise_store.errors import StoreError
from rise_store.ingest.block import RunContext
from rise_store.ingest.plan import PlannedBlock
from rise_store.ingest.rows import PointRow, refused, utc_now, without_signature
from rise_store.ingest.runs.outcomes import Outcome, packed
from rise_store.ingest.runs.row_licenses import unknown_licenses
from rise_store.ingest.texts import EncodedTexts, Unfit
from rise_store.records import Example, IngestTotals, Receipt, Reject
from rise_store.store import Collection, Payload, Point
from rise_store.version import __version__


def store_block(planned: PlannedBlock, encoded: EncodedTexts, run: RunContext, collection: Collection) -> Receipt:
    """Write what a planned block needs, and say what became of its rows once the store has acknowledged all of it."""
    started = time.monotonic()
    rejects = list(planned.rejects)
    points: list[Point] = []
    computed: set[int] = set()
    unfit: dict[UUID, Unfit] = {}
    copies = {row.id for row, _ in planned.shared}
    number_of = {text: number for number, text in enumerate(encoded.fit)}
    for row, text in planned.numbered:
        if text in encoded.unfit:
            unfit[row.id] = encoded.unfit[text]
            rejects.append(without_signature(row.example, encoded.unfit[text]))
            continue
        points.append(_point(row, encoded, number_of[text]))
        if text in computed:
            copies.add(row.id)
        computed.add(text)
    for row, awaited in planned.awaited:
        other = awaited.block.encoded
        assert other is not None
        if awaited.number in other.unfit:
            unfit[row.id] = other.unfit[awaited.number]
            rejects.append(without_signature(row.example, other.unfit[awaited.number]))
            continue
        points.append(_point(row, other, bisect_left(other.fit, awaited.number)))
        copies.add(row.id)
    points += [Point(row.id, known.vector, row.payload | known.measured) for row, known in planned.shared]
    _relabel(planned.relabel, collection)
    collection.upsert(points)
    erased = _erased_meanwhile(planned, points, run, collection)
    rejects += erased.values()
    stored = {point.id for point in points} - erased.keys()
    replaced = len(stored & planned.replaced)
    rows = planned.block.rows
    counts = planned.counts + IngestTotals(
        new=len(stored) - replaced,
        replaced=replaced,
        shared=len(stored & copies),
        refused=len(erased),
        too_short=sum(why.too_short for why in unfit.values()),
        rejected=sum(reject.kind == "rejected" for reject in rejects),
        superseded=len(planned.superseding & (planned.relabel.keys() | {point.id for point in points})),
        tokens=int(encoded.token_counts.sum()),
    )
    return Receipt(
        run_id=run.id,
        first=planned.block.first,
        last=planned.block.last,
        begins_at=rows[0].location if rows else "",
        ends_at=rows[-1].location if rows else "",
        counts=counts,
        outcomes=packed(_outcomes(planned, unfit, erased.keys())),
        unknown_licenses={} if run.strict else unknown_licenses(planned.block.examples),
        ids_sha256=_digest(id for id in planned.ids if id not in unfit and id not in erased),
        started_at=planned.started_at,
        stored_at=utc_now(),
        seconds=round(planned.seconds + encoded.seconds + time.monotonic() - started, 6),
        created_with=__version__,
        worker=f"{_host()}:{os.getpid()}",
        rejects=tuple(rejects),
    )


def _point(row: PointRow, encoded: EncodedTexts, number: int) -> Point:
    norms = encoded.channel_norms[number]
    measured = {
        "tokens": int(encoded.token_counts[number]),
        "chunks": int(encoded.chunk_counts[number]),
        "channel_norms": {"rh": round(float(norms[0]), 9), "gh": round(float(norms[1]), 9)},
    }
    return Point(row.id, encoded.signatures[number], row.payload | measured)


def _relabel(payloads: Mapping[UUID, Payload], collection: Collection) -> None:
    if not payloads:
        return
    try:
        collection.set_payload(payloads)
    except StoreError as error:
        gone = len(payloads.keys() - collection.retrieve(list(payloads)).keys())
        if gone:
            raise StoreError(
                f"{gone} examples of this block were deleted while it was under way: run the same command again"
            ) from error
        raise


def _erased_meanwhile(
    planned: PlannedBlock, points: Sequence[Point], run: RunContext, collection: Collection
) -> dict[UUID, Reject]:
    """Delete again, of the points just written, those that were erased since the block was planned.

    An erasure writes its tombstones before it deletes, and this looks for them after it wrote: one of the two deletes
    whatever is in both. Rows with a new payload only need no look, since that brings no point back.
    """
    written = {point.id for point in points}
    rows = [row for row, _ in (*planned.numbered, *planned.awaited, *planned.shared) if row.id in written]
    erased = refused(rows, run)
    if erased:
        collection.delete(erased)
    return erased


def _outcomes(planned: PlannedBlock, unfit: Mapping[UUID, Unfit], erased: Set[UUID]) -> Iterator[Outcome]:
    """What became of each row of a block."""
    outcomes = dict(planned.settled)
    for row, _ in (*planned.numbered, *planned.awaited, *planned.shared):
        outcome: Outcome
        if row.id in unfit:
            outcome = "too_short" if unfit[row.id].too_short else "rejected"
        elif row.id in erased:
            outcome = "refused"
        else:
            outcome = "replaced" if row.id in planned.replaced else "new"
        outcomes[row.payload["example_id"]] = outcome
    for read in planned.block.rows:
        yield outcomes.get(read.key, "rejected") if isinstance(read, Example) else "rejected"


def _digest(ids: Iterable[UUID]) -> str:
    return hashlib.sha256(b"".join(sorted(id.bytes for id in ids))).hexdigest()


@cache
def _host() -> str:
    return socket.gethostname()  # takes milliseconds on a busy machine
