"""Examples on their way into the store: their ids and payloads, and why some of them cannot go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal
from uuid import UUID

from rise_store.digests import json_sha256
from rise_store.errors import InputError
from rise_store.ingest.block import RunContext
from rise_store.ingest.runs.row_licenses import check_license
from rise_store.ingest.texts import Unfit
from rise_store.records import ChannelNorms, Example, Reject
from rise_store.store import Collection, Identity, Payload, build_payload, point_id

PREVIEW_CHARACTERS = 200


@dataclass(frozen=True)
class PointRow:
    """An example on its way: its point id, and its payload but for what the encoder adds."""

    id: UUID
    example: Example
    payload: Payload


def point_rows(
    examples: Iterable[Example], run: RunContext, collection: Collection
) -> tuple[list[PointRow], list[Reject]]:
    """Examples with their payloads, and why others cannot be stored: known before a forward pass is spent."""
    rows, rejects = [], []
    now = utc_now()
    for example in examples:
        id_ = point_id(collection.space.fingerprint, run.dataset.name, example.key)
        try:
            if run.strict:
                check_license(example)
            rows.append(PointRow(id_, example, _payload(example, run, now)))
        except InputError as error:
            rejects.append(_reject(example, f"{place(example)}: {error}", "rejected"))
    return rows, rejects


def refused(rows: Sequence[PointRow], run: RunContext) -> dict[UUID, Reject]:
    """Which rows were erased and may not be stored, and what is said of them."""
    if run.tombstones is None:
        return {}
    identities = [Identity(run.dataset.name, row.example.key, row.payload["content_sha256"]) for row in rows]
    return {
        row.id: _reject(row.example, f"{place(row.example)}: the example was erased and may not come back", "refused")
        for row, is_erased in zip(rows, run.tombstones.refused(identities), strict=True)
        if is_erased
    }


def without_signature(example: Example, why: Unfit) -> Reject:
    """What is said of an example whose text cannot be encoded."""
    return _reject(example, f"{place(example)}: {why.reason}", "too_short" if why.too_short else "rejected")


def place(example: Example) -> str:
    """Where an example was read, for messages."""
    return example.location or f"example {example.key}"


def utc_now() -> str:
    """The time as payloads and receipts have it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


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
