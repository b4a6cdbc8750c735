"""One block of examples into the store; what schedules blocks is elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from rise_store.digests import json_sha256
from rise_store.errors import InputError, SignatureError
from rise_store.records import ChannelNorms, Dataset, Example, Receipt
from rise_store.store import Collection, Payload, Point, build_payload, point_id

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

KeepText = Literal["full", "preview", "none"]
PREVIEW_CHARACTERS = 200


@dataclass(frozen=True)
class Run:
    """One ingestion: what its blocks share."""

    dataset: Dataset
    keep_text: KeepText = "full"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class _Row:
    """An example on its way: its point id, and its payload but for what the encoder adds."""

    id: UUID
    example: Example
    payload: Payload


def ingest_block(
    examples: Sequence[Example],
    run: Run,
    encoder: SignatureEncoder,
    collection: Collection,
    *,
    progress: Callable[[int], None] | None = None,
) -> Receipt:
    """Store a block of examples; what is stored already costs no forward pass.

    Idempotent: a point's id follows from space, dataset and example key, so a block may be repeated after a crash.
    Returns once the store has acknowledged every example that the receipt counts as stored.

    Args:
        examples: of distinct keys.
        run: the dataset and the run's id.
        encoder: computes the signatures; of the collection's space.
        collection: where they go.
        progress: is told how many tokens were just encoded.

    Raises:
        StoreError, SignatureError: a part of the block may be stored; repeating it is safe.
    """
    rows, rejects = _rows(examples, run, collection)
    stored = collection.retrieve([row.id for row in rows])
    encode: list[_Row] = []
    relabel: dict[UUID, Payload] = {}
    for row in rows:
        before = stored[row.id].payload if row.id in stored else {}
        if before.get("content_sha256") != row.payload["content_sha256"]:
            encode.append(row)
        elif before.get("record_sha256") != row.payload["record_sha256"]:
            relabel[row.id] = row.payload | {name: before[name] for name in ("tokens", "chunks", "channel_norms")}
    if relabel:
        collection.set_payload(relabel)

    fit: list[_Row] = []
    chunks: list[list[list[int]]] = []
    too_short: list[str] = []
    for row, parts in zip(encode, encoder.chunks([row.example.content for row in encode]), strict=True):
        reason = encoder.unencodable(parts)
        if reason is None:
            fit.append(row)
            chunks.append(parts)
        else:
            (rejects if parts else too_short).append(f"{_where(row.example)}: {reason}")

    try:
        encoded = encoder.encode_chunks(chunks, progress=progress)
    except SignatureError as error:
        if error.chunk is None:
            raise
        owners = [row for row, parts in zip(fit, chunks, strict=True) for _ in parts]
        raise SignatureError(f"{_where(owners[error.chunk].example)}: {error}") from error
    points = []
    for row, vector, norms, tokens, count in zip(
        fit, encoded.signatures, encoded.channel_norms, encoded.token_counts, encoded.chunk_counts, strict=True
    ):
        channel_norms = {"rh": round(float(norms[0]), 9), "gh": round(float(norms[1]), 9)}
        payload = row.payload | {"tokens": int(tokens), "chunks": int(count), "channel_norms": channel_norms}
        points.append(Point(row.id, vector, payload))
    collection.upsert(points)
    return Receipt(
        new=sum(row.id not in stored for row in fit),
        replaced=sum(row.id in stored for row in fit),
        updated=len(relabel),
        unchanged=len(rows) - len(encode) - len(relabel),
        too_short=tuple(too_short),
        tokens=int(encoded.token_counts.sum()),
        rejects=tuple(rejects),
    )


def _rows(examples: Sequence[Example], run: Run, collection: Collection) -> tuple[list[_Row], list[str]]:
    """Rows with their payloads, and why others cannot be stored: found out before a forward pass is spent on them."""
    rows, rejects = [], []
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    for example in examples:
        id_ = point_id(collection.space.fingerprint, run.dataset.name, example.key)
        try:
            rows.append(_Row(id_, example, _payload(example, run, now)))
        except InputError as error:
            rejects.append(f"{_where(example)}: {error}")
    return rows, rejects


def _payload(example: Example, run: Run, now: str) -> Payload:
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
        **given,
    )


def _where(example: Example) -> str:
    return example.location or f"example {example.key}"
