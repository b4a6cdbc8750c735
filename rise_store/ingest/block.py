"""One block of rows into the store: planned, encoded, stored. What schedules blocks is elsewhere."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import uuid
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from rise_store.corpus import RejectedRow
from rise_store.digests import json_sha256
from rise_store.errors import InputError, SignatureError, StoreError, WorkerError
from rise_store.ingest.runs.outcomes import Outcome, counted, packed
from rise_store.ingest.runs.row_licenses import check_license, unknown_licenses
from rise_store.ingest.runs.stored_rows import has_news, is_same_row, relabelled
from rise_store.ingest.texts import (
    EncodedTexts,
    Encoder,
    PreparedTexts,
    TokenProgress,
    Unfit,
    encode_texts,
    tokenize_texts,
)
from rise_store.records import ChannelNorms, Dataset, Example, IngestTotals, Receipt, Reject
from rise_store.store import Collection, Identity, In, Payload, Point, Tombstones, Vector, build_payload, point_id
from rise_store.version import __version__

KeepText = Literal["full", "preview", "none"]
PREVIEW_CHARACTERS = 200
COPIES_READ = 1000  # of texts that are found already, while others are looked for


@dataclass(frozen=True)
class RunContext:
    """What the blocks of a run share."""

    dataset: Dataset
    keep_text: KeepText = "full"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    tombstones: Tombstones | None = None
    strict: bool = False  # whether a row whose own licence SPDX does not know is rejected
    growing: bool = False  # whether a place in a source may hold another row later on in the run, as in a watch


@dataclass(frozen=True)
class Block:
    """Rows that follow each other in a run; the keys of its examples are distinct."""

    rows: tuple[Example | RejectedRow, ...]
    first: int = 1  # position of the first row in the run

    @property
    def last(self) -> int:
        """Position of the last row in the run."""
        return self.first + len(self.rows) - 1

    @property
    def examples(self) -> list[Example]:
        """The rows that are examples."""
        return [row for row in self.rows if isinstance(row, Example)]


@dataclass(frozen=True)
class _Row:
    """An example on its way: its point id, and its payload but for what the encoder adds."""

    id: UUID
    example: Example
    payload: Payload


@dataclass(frozen=True)
class KnownSignature:
    """The signature of an equal text that is stored already."""

    vector: Vector
    measured: Payload  # tokens, chunks, channel_norms


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
    awaited: tuple[tuple[_Row, AwaitedText], ...]  # rows whose text the model does for another block
    _rows: tuple[tuple[_Row, int], ...]  # rows to be encoded, each with the number of its text
    _shared: tuple[tuple[_Row, KnownSignature], ...]
    _relabel: dict[UUID, Payload]
    _ids: tuple[UUID, ...]  # of all points that the block stands for, but those that may not be stored
    _replaced: frozenset[UUID]  # of those, the ones that are stored with another content
    _settled: dict[str, Outcome]  # by example key; of rows that need no signature
    _superseding: frozenset[UUID]  # of those to be written, the ones that another row of the run has written
    _counts: IngestTotals
    _rejects: tuple[Reject, ...]
    _started_at: str
    _seconds: float


def ingest_block(
    block: Block,
    run: RunContext,
    encoder: Encoder,
    collection: Collection,
    *,
    progress: TokenProgress | None = None,
) -> Receipt:
    """Store a block of rows; what is stored already costs no forward pass.

    Idempotent: a point's id follows from space, dataset and example key, so a block may be repeated after a crash.
    Returns once the store has acknowledged every example that the receipt counts as stored.

    Args:
        block: the rows, with their position in the run.
        run: what the blocks of the run share.
        encoder: computes the signatures; of the collection's space.
        collection: where they go.
        progress: is told how many tokens were just encoded.

    Raises:
        StoreError, SignatureError: a part of the block may be stored; repeating it is safe.
    """
    planned = plan_block(block, run, collection)
    encoded = encode_planned(planned, encoder, progress)
    return store_block(planned, encoded, run, collection)


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
    started, started_at = time.monotonic(), _now()
    rejects = [Reject(reason=r.reason, location=r.location, origin=r.origin, row=r.row) for r in _unread(block)]
    rows = _rows(block.examples, run, collection, rejects)
    keys = [row.payload["example_id"] for row in rows]
    rows, refused = _without_refused(rows, run)
    stored = collection.retrieve([row.id for row in rows])
    encode: list[_Row] = []
    relabel: dict[UUID, Payload] = {}
    settled: dict[str, Outcome] = dict.fromkeys(set(keys) - {row.payload["example_id"] for row in rows}, "refused")
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
    numbered = []
    shared = []
    awaited = []
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
        block,
        tuple(texts),
        tuple(dict.fromkeys(row.payload["content_sha256"] for row, _ in numbered)),
        tuple(awaited),
        tuple(numbered),
        tuple(shared),
        relabel,
        tuple(row.id for row in rows),
        frozenset(row.id for row in encode if row.id in stored),
        settled,
        frozenset(superseding),
        counted(settled.values()),
        (*rejects, *refused),
        started_at,
        time.monotonic() - started,
    )


def encode_planned(planned: PlannedBlock, encoder: Encoder, progress: TokenProgress | None = None) -> EncodedTexts:
    """Signatures of the texts of a planned block.

    Raises:
        SignatureError: one is not finite; names the example.
    """
    return encode_texts(tokenize_texts(planned.texts, encoder), encoder, progress)


def explained(error: SignatureError | WorkerError, planned: PlannedBlock) -> SignatureError | WorkerError:
    """The error of encoding the texts of a planned block, with the example, or the rows, that it is about."""
    if isinstance(error, WorkerError):
        places = [_where(row.example) for row, _ in planned._rows]
        return WorkerError(f"{places[0]} to {places[-1]}: {error}")
    owners = [row for row, text in planned._rows if text == error.text]
    return SignatureError(f"{_where(owners[0].example)}: {error}") if owners else error


def store_block(planned: PlannedBlock, encoded: EncodedTexts, run: RunContext, collection: Collection) -> Receipt:
    """Write what a planned block needs, and say what became of its rows once the store has acknowledged all of it."""
    started = time.monotonic()
    rejects = list(planned._rejects)
    points: list[Point] = []
    computed: set[int] = set()
    unfit: dict[UUID, Unfit] = {}
    copies = {row.id for row, _ in planned._shared}
    number_of = {text: number for number, text in enumerate(encoded.fit)}
    for row, text in planned._rows:
        if text in encoded.unfit:
            unfit[row.id] = encoded.unfit[text]
            rejects.append(_unfit(row.example, encoded.unfit[text]))
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
            rejects.append(_unfit(row.example, other.unfit[awaited.number]))
            continue
        points.append(_point(row, other, bisect_left(other.fit, awaited.number)))
        copies.add(row.id)
    points += [Point(row.id, known.vector, row.payload | known.measured) for row, known in planned._shared]
    _relabel(planned._relabel, collection)
    collection.upsert(points)
    erased = _erased_meanwhile(planned, points, run, collection)
    rejects += erased.values()
    stored = {point.id for point in points} - erased.keys()
    replaced = len(stored & planned._replaced)
    rows = planned.block.rows
    counts = planned._counts + IngestTotals(
        new=len(stored) - replaced,
        replaced=replaced,
        shared=len(stored & copies),
        refused=len(erased),
        too_short=sum(why.too_short for why in unfit.values()),
        rejected=sum(reject.kind == "rejected" for reject in rejects),
        superseded=len(planned._superseding & (planned._relabel.keys() | {point.id for point in points})),
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
        ids_sha256=_digest(id for id in planned._ids if id not in unfit and id not in erased),
        started_at=planned._started_at,
        stored_at=_now(),
        seconds=round(planned._seconds + encoded.seconds + time.monotonic() - started, 6),
        created_with=__version__,
        worker=f"{_host()}:{os.getpid()}",
        rejects=tuple(rejects),
    )


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


def rejected_reasons(planned: PlannedBlock, texts: PreparedTexts) -> list[str]:
    """Why rows of a block cannot be used, those that are merely too short left out."""
    unfit = [(row.example, texts.unfit[text]) for row, text in planned._rows if text in texts.unfit]
    rejects = [*planned._rejects, *(_unfit(example, why) for example, why in unfit)]
    return [reject.reason for reject in rejects if reject.kind == "rejected"]


def _point(row: _Row, encoded: EncodedTexts, number: int) -> Point:
    norms = encoded.channel_norms[number]
    measured = {
        "tokens": int(encoded.token_counts[number]),
        "chunks": int(encoded.chunk_counts[number]),
        "channel_norms": {"rh": round(float(norms[0]), 9), "gh": round(float(norms[1]), 9)},
    }
    return Point(row.id, encoded.signatures[number], row.payload | measured)


def _unfit(example: Example, why: Unfit) -> Reject:
    return _reject(example, f"{_where(example)}: {why.reason}", "too_short" if why.too_short else "rejected")


def _outcomes(planned: PlannedBlock, unfit: Mapping[UUID, Unfit], erased: Set[UUID]) -> Iterator[Outcome]:
    """What became of each row of a block."""
    outcomes = dict(planned._settled)
    for row, _ in (*planned._rows, *planned.awaited, *planned._shared):
        outcome: Outcome
        if row.id in unfit:
            outcome = "too_short" if unfit[row.id].too_short else "rejected"
        elif row.id in erased:
            outcome = "refused"
        else:
            outcome = "replaced" if row.id in planned._replaced else "new"
        outcomes[row.payload["example_id"]] = outcome
    for read in planned.block.rows:
        yield outcomes.get(read.key, "rejected") if isinstance(read, Example) else "rejected"


def _unread(block: Block) -> list[RejectedRow]:
    return [row for row in block.rows if isinstance(row, RejectedRow)]


def _rows(examples: Sequence[Example], run: RunContext, collection: Collection, rejects: list[Reject]) -> list[_Row]:
    """Rows with their payloads; why others cannot be stored goes to `rejects`, before a forward pass is spent."""
    rows = []
    now = _now()
    for example in examples:
        id_ = point_id(collection.space.fingerprint, run.dataset.name, example.key)
        try:
            if run.strict:
                check_license(example)
            rows.append(_Row(id_, example, _payload(example, run, now)))
        except InputError as error:
            rejects.append(_reject(example, f"{_where(example)}: {error}", "rejected"))
    return rows


def _without_refused(rows: list[_Row], run: RunContext) -> tuple[list[_Row], list[Reject]]:
    erased = _refused(rows, run)
    return [row for row in rows if row.id not in erased], list(erased.values())


def _refused(rows: Sequence[_Row], run: RunContext) -> dict[UUID, Reject]:
    """Which rows were erased and may not be stored, and what is said of them."""
    if run.tombstones is None:
        return {}
    identities = [Identity(run.dataset.name, row.example.key, row.payload["content_sha256"]) for row in rows]
    return {
        row.id: _reject(row.example, f"{_where(row.example)}: the example was erased and may not come back", "refused")
        for row, is_erased in zip(rows, run.tombstones.refused(identities), strict=True)
        if is_erased
    }


def _erased_meanwhile(
    planned: PlannedBlock, points: Sequence[Point], run: RunContext, collection: Collection
) -> dict[UUID, Reject]:
    """Delete again, of the points just written, those that were erased since the block was planned.

    An erasure writes its tombstones before it deletes, and this looks for them after it wrote: one of the two deletes
    whatever is in both. Rows with a new payload only need no look, since that brings no point back.
    """
    written = {point.id for point in points}
    rows = [row for row, _ in (*planned._rows, *planned.awaited, *planned._shared) if row.id in written]
    erased = _refused(rows, run)
    if erased:
        collection.delete(erased)
    return erased


def known_signatures(hashes: set[str], collection: Collection) -> dict[str, KnownSignature]:
    """Signatures of stored texts by content hash.

    Storing a rounded vector again does not round it further: after nine times, turbo8 and turbo4 were as near to the
    signature as after the first (cosine of one time and the next 1 - 1e-7; qdrant-edge-py 0.9.0).
    """
    if not hashes:
        return {}
    ids = _ids_of_texts(hashes, collection)
    known = {}
    for point in collection.retrieve(list(ids.values()), with_vectors=True).values():
        assert point.vector is not None
        measured = {name: point.payload[name] for name in ("tokens", "chunks", "channel_norms")}
        known[point.payload["content_sha256"]] = KnownSignature(point.vector, measured)
    return known


def _ids_of_texts(hashes: set[str], collection: Collection) -> dict[str, UUID]:
    """One stored point for each content hash that is stored; reads a page of a text with many copies, not all."""
    ids: dict[str, UUID] = {}
    while left := hashes - ids.keys():
        copies = 0
        for point in collection.scroll(In("content_sha256", tuple(sorted(left))), fields=("content_sha256",)):
            copies += ids.setdefault(point.payload["content_sha256"], point.id) != point.id
            if copies >= COPIES_READ:  # begin anew without the texts that were found
                break
        else:
            break
    return ids


def _payload(example: Example, run: RunContext, now: str) -> Payload:
    """The payload of an example; tokens, chunks and norms are not known yet."""
    dataset = run.dataset
    text = {"full": example.content, "preview": example.content[:PREVIEW_CHARACTERS], "none": None}[run.keep_text]
    given: dict[str, Any] = {
        "dataset_version": dataset.version,
        "source_uri": example.source_uri or dataset.source_uri,
        "license": example.license or dataset.license,
        "metadata": example.metadata,
    }
    return build_payload(
        example_id=example.key,
        dataset=dataset.name,
        content_sha256=example.content_sha256,
        record_sha256=json_sha256([given, run.keep_text]),
        run_id=run.id,
        ingested_at=now,
        tokens=0,
        chunks=0,
        channel_norms=ChannelNorms(rh=1.0, gh=0.0),
        text=text,
        read_from=None if example.origin is None else example.origin.model_dump(exclude_none=True),
        **given,
    )


def _reject(example: Example, reason: str, kind: Literal["rejected", "too_short", "refused"]) -> Reject:
    row = example.model_dump(exclude_defaults=True) if kind != "refused" else None
    return Reject(reason=reason, kind=kind, location=example.location, origin=example.origin, row=row)


def _digest(ids: Any) -> str:
    return hashlib.sha256(b"".join(sorted(id.bytes for id in ids))).hexdigest()


@cache
def _host() -> str:
    return socket.gethostname()  # takes milliseconds on a busy machine


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _where(example: Example) -> str:
    return example.location or f"example {example.key}"
