"""A block against the store: which of its rows are new, changed or known, and which texts the model has to do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from rise_store.corpus import RejectedRow
from rise_store.errors import SignatureError, WorkerError
from rise_store.ingest.block import Block, RunContext
from rise_store.ingest.known_signatures import KnownSignature, known_signatures
from rise_store.ingest.rows import PointRow, place, point_rows, refused, utc_now, without_signature
from rise_store.ingest.runs.outcomes import Outcome, counted
from rise_store.ingest.runs.stored_rows import has_news, is_same_row, relabelled
from rise_store.ingest.texts import EncodedTexts, PreparedTexts
from rise_store.records import IngestTotals, Reject
from rise_store.store import Collection, Payload


@dataclass
class Underway:
    """The texts of a block that is not stored yet."""

    encoded: EncodedTexts | None = None  # None until the model has done them


class AwaitedText(NamedTuple):
    """A text that the model does for a block which is not stored yet."""

    block: Underway
    number: int


@dataclass(frozen=True)
class PlannedBlock:
    """A block of which it is known what the store has: `texts` are still to be encoded, each once."""

    block: Block
    texts: tuple[str, ...]
    hashes: tuple[str, ...]  # content hashes of the texts
    awaited: tuple[tuple[PointRow, AwaitedText], ...]  # rows whose text the model does for another block
    numbered: tuple[tuple[PointRow, int], ...]  # rows to be encoded, each with the number of its text
    shared: tuple[tuple[PointRow, KnownSignature], ...]  # rows of a text whose signature is stored
    relabel: dict[UUID, Payload]  # new payloads of rows whose content did not change
    ids: tuple[UUID, ...]  # of all points that the block stands for, but those that may not be stored
    replaced: frozenset[UUID]  # of those, the ones that are stored with another content
    settled: dict[str, Outcome]  # by example key; of rows that need no signature
    superseding: frozenset[UUID]  # of those to be written, the ones that another row of the run has written
    counts: IngestTotals
    rejects: tuple[Reject, ...]
    started_at: str
    seconds: float


def plan_block(
    block: Block, run: RunContext, collection: Collection, underway: Mapping[str, AwaitedText] | None = None
) -> PlannedBlock:
    """Find out what of a block the store has; writes nothing.

    Args:
        block: none of its examples may be in a block that is not stored yet.
        run: what the blocks of the run share.
        collection: where the block goes.
        underway: texts, by content hash, that are done for blocks which are not stored yet: not to be encoded again.
    """
    started, started_at = time.monotonic(), utc_now()
    unread = [row for row in block.rows if isinstance(row, RejectedRow)]
    rejects = [Reject(reason=row.reason, location=row.location, origin=row.origin, row=row.row) for row in unread]
    rows, unusable = point_rows(block.examples, run, collection)
    erased = refused(rows, run)
    settled: dict[str, Outcome] = {row.payload["example_id"]: "refused" for row in rows if row.id in erased}
    rows = [row for row in rows if row.id not in erased]
    stored = collection.retrieve([row.id for row in rows])
    encode: list[PointRow] = []
    relabel: dict[UUID, Payload] = {}
    superseding: set[UUID] = set()
    for row in rows:
        before = stored[row.id].payload if row.id in stored else {}
        own = before.get("run_id") == run.id
        # What the run has of this very row, another attempt has stored: one that was killed, or is at work too.
        again = own and not run.growing and is_same_row(before, row.example.origin)
        if own and not again:
            superseding.add(row.id)
        if before.get("content_sha256") != row.payload["content_sha256"]:
            encode.append(row)
        elif has_news(before, row.payload):
            settled[row.payload["example_id"]] = "updated"
            relabel[row.id] = relabelled(before, row.payload)
        else:
            settled[row.payload["example_id"]] = "recovered" if again else "unchanged"
    known = known_signatures({row.payload["content_sha256"] for row in encode}, collection)
    texts: dict[str, int] = {}
    numbered, shared, awaited = [], [], []
    for row in encode:
        same = known.get(row.payload["content_sha256"])
        other = None if underway is None else underway.get(row.payload["content_sha256"])
        if same is not None:
            shared.append((row, same))
        elif other is not None:
            awaited.append((row, other))
        else:
            numbered.append((row, texts.setdefault(row.example.content, len(texts))))
    return PlannedBlock(
        block=block,
        texts=tuple(texts),
        hashes=tuple(dict.fromkeys(row.payload["content_sha256"] for row, _ in numbered)),
        awaited=tuple(awaited),
        numbered=tuple(numbered),
        shared=tuple(shared),
        relabel=relabel,
        ids=tuple(row.id for row in rows),
        replaced=frozenset(row.id for row in encode if row.id in stored),
        settled=settled,
        superseding=frozenset(superseding),
        counts=counted(settled.values()),
        rejects=(*rejects, *unusable, *erased.values()),
        started_at=started_at,
        seconds=time.monotonic() - started,
    )


def explained(error: SignatureError | WorkerError, planned: PlannedBlock) -> SignatureError | WorkerError:
    """The error of encoding the texts of a planned block, with the example, or the rows, that it is about."""
    if isinstance(error, WorkerError):
        places = [place(row.example) for row, _ in planned.numbered]
        return WorkerError(f"{places[0]} to {places[-1]}: {error}")
    owners = [row for row, text in planned.numbered if text == error.text]
    return SignatureError(f"{place(owners[0].example)}: {error}") if owners else error


def rejected_reasons(planned: PlannedBlock, texts: PreparedTexts) -> list[str]:
    """Why rows of a block cannot be used, those that are merely too short left out."""
    unfit = [(row.example, texts.unfit[text]) for row, text in planned.numbered if text in texts.unfit]
    rejects = [*planned.rejects, *(without_signature(example, why) for example, why in unfit)]
    return [reject.reason for reject in rejects if reject.kind == "rejected"]
