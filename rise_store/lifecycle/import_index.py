"""An index of the published RISE engine -> ordinary examples of a space that queries match."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from rise_store.digests import json_sha256
from rise_store.errors import ConfigError, InputError, SpaceMismatchError
from rise_store.lifecycle.pages import Progress, rows_a_page
from rise_store.lifecycle.published_index import IndexRow, PublishedIndex
from rise_store.lifecycle.rows import Row, Written, reason, target_collection, write_rows
from rise_store.records import ChannelNorms, Dataset, EstimatorConfig, Example, ImportReport, Space
from rise_store.store import Backend, Tombstones, Vector, build_payload, point_id, tables_sha256
from rise_store.store.row_check import length

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

MAX_REASONS = 100
_SPOT_CHECKS = 3
_LEAST_COSINE = 0.9  # precisions and rounding cost less than 0.06 (docs/architecture.md), another model costs nearly 1
_COMPARED = ("content_sha256", "record_sha256")  # and the signature: other fields may have been annotated since


@dataclass(frozen=True)
class _Run:
    space: Space
    dataset: Dataset
    id: str
    now: str


def import_index(
    backend: Backend,
    folder: Path,
    dataset: Dataset,
    *,
    model: str | Path | SignatureEncoder | None = None,
    stated: EstimatorConfig | None = None,
    new_space: bool = False,
    progress: Progress | None = None,
    **loading: Any,
) -> ImportReport:
    """Store the rows of an index; the model is loaded with its tables and settings, which names the space.

    Where rows have their whole text, some are encoded to see that the model is the one that made the index. Rows of
    zeros, NaN or Inf are rejected and counted: the engine writes zeros for texts under 2 tokens. Idempotent.

    Args:
        backend: the store.
        folder: the index.
        dataset: what the rows become examples of.
        model: hub name, local folder, GGUF file or an encoder of the space; by default what the index names.
        stated: settings that were set explicitly replace those of the index.
        new_space: allow a second space beside another one.
        progress: is told rows done and rows in all.
        loading: dtype, device, revision, trust_remote_code, device_map ...

    Raises:
        InputError: the folder is no index, or is damaged.
        ConfigError: no model is known, or the index was made with settings that cannot be reproduced.
        SpaceMismatchError: the model does not fit, or the store has another space and `new_space` is False.
    """
    index = PublishedIndex(folder)
    config = index.estimator(stated.model_dump(include=stated.model_fields_set) if stated else {})
    encoder = _encoder(index, config, model, loading)
    space = encoder.space()
    size = rows_a_page(space.dim)
    _spot_check(index, encoder, size)
    collection, created = target_collection(backend, space, index.tables, str(folder), new_space=new_space)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    run = _Run(collection.space, dataset, str(uuid.uuid4()), now)
    tombstones = Tombstones(backend.catalogue())
    written = Written()
    rejected = done = 0
    reasons: list[str] = []
    seen: set[UUID] = set()
    for page in index.read(space.dim, size):
        rows, bad = _rows(page, run, seen)
        written += write_rows(collection, rows, tombstones, comparing=_COMPARED)
        rejected += len(bad)
        reasons += bad[: MAX_REASONS - len(reasons)]
        done += len(page)
        if progress is not None:
            progress(done, index.rows)
    collection.tidy()
    return ImportReport(
        source=str(folder),
        space=space.fingerprint,
        created_space=created,
        new=written.new,
        replaced=written.replaced,
        unchanged=written.unchanged,
        refused=written.refused,
        rejected=rejected,
        rejects=tuple(reasons),
        stored=collection.count(),
    )


def _encoder(
    index: PublishedIndex, config: EstimatorConfig, model: str | Path | SignatureEncoder | None, loading: dict[str, Any]
) -> SignatureEncoder:
    from rise_store.signature import SignatureEncoder

    if isinstance(model, SignatureEncoder):
        _require_same(index, config, model)
        return model
    name = model or index.model
    if not name:
        raise ConfigError(f"{index.folder} does not say which model made it; name it with --model")
    return SignatureEncoder.from_pretrained(
        name, config, tables=index.tables, **{**loading, "dtype": loading.get("dtype") or "float32"}
    )


def _require_same(index: PublishedIndex, config: EstimatorConfig, encoder: SignatureEncoder) -> None:
    """`SpaceMismatchError` unless an encoder has the settings that shape signatures, and the tables, of the index."""
    irrelevant = {"max_query_tokens", "seed"}  # the seed acts through the tables
    same_settings = encoder.config.model_dump(exclude=irrelevant) == config.model_dump(exclude=irrelevant)
    if not same_settings or encoder.tables.sha256 != tables_sha256(index.tables):
        what = "sketch tables" if same_settings else "settings"
        raise SpaceMismatchError(
            f"the encoder has other {what} than {index.folder}; give the model by name, and it is loaded with those of "
            "the index"
        )


def _spot_check(index: PublishedIndex, encoder: SignatureEncoder, size: int) -> None:
    """Encode some short texts of the index: another model of the same dimensions is noticed here, and only here."""
    checked = 0
    for page in index.read(encoder.dim, size):
        for row in page:
            text = _whole_text(row.meta)
            vector = row.vector.astype(np.float32)
            if text is None or not np.isfinite(vector).all() or not vector.any() or not encoder.chunks([text])[0]:
                continue
            signature = encoder.encode([text]).signatures[0]
            cosine = float(signature @ vector) / length(vector)
            if not cosine >= _LEAST_COSINE:
                raise SpaceMismatchError(
                    f"{row.location}: its text has a cosine of {cosine:.2f} with its signature under model "
                    f"{encoder.reference.name}; name the model, revision and settings that made the index"
                )
            checked += 1
            if checked == _SPOT_CHECKS:
                return
        return  # of the first page only


def _rows(page: Sequence[IndexRow], run: _Run, seen: set[UUID]) -> tuple[list[Row], list[str]]:
    rows, rejects = [], []
    for index_row in page:
        try:
            row = _row(index_row, run)
            row.check(run.space)
            if row.id in seen:
                raise InputError(
                    f"{index_row.location}: an earlier row has the same example id {row.payload['example_id']!r}"
                )
            seen.add(row.id)
            rows.append(row)
        except InputError as error:
            rejects.append(reason(error, index_row.location))
    return rows, rejects


def _row(row: IndexRow, run: _Run) -> Row:
    vector = _unit(row.vector, row.location)
    meta, text = row.meta, _whole_text(row.meta)
    tokens, chunks = meta.get("tok_len", 0), meta.get("num_chunks", 1)
    ids = [str(meta[name]) for name in ("id", "idx") if _is_id(meta.get(name))]
    example_id = ids[0] if ids else str(row.number)
    metadata = {name: value for name, value in meta.items() if not _has_a_place(name, value)}
    if text is not None:
        metadata.pop("length", None)
    if isinstance(meta.get("metadata"), dict):
        metadata |= meta["metadata"]
    given: dict[str, Any] = {
        "dataset_version": run.dataset.version,
        "source_uri": _text(meta, "source_uri") or run.dataset.source_uri,
        "license": _text(meta, "license") or run.dataset.license,
        "metadata": metadata,
    }
    dim_rh = run.space.estimator.dim_rh
    payload = build_payload(
        example_id=example_id,
        dataset=run.dataset.name,
        # Without the whole text, only the signature tells contents apart; ingesting the text later replaces the row.
        content_sha256=Example(text=text).content_sha256 if text else hashlib.sha256(row.vector.tobytes()).hexdigest(),
        record_sha256=json_sha256([given, "full"]),
        run_id=run.id,
        ingested_at=run.now,
        tokens=tokens if _is_count(tokens) else 0,
        chunks=chunks if _is_count(chunks) else 1,
        channel_norms=ChannelNorms(rh=length(vector[:dim_rh]), gh=length(vector[dim_rh:])),
        text=_text(meta, "text"),
        **given,
    )
    return Row(point_id(run.space.fingerprint, run.dataset.name, example_id), vector, payload, row.location)


def _is_id(value: Any) -> bool:
    return (isinstance(value, str) and value != "") or (isinstance(value, int) and not isinstance(value, bool))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _has_a_place(name: str, value: Any) -> bool:
    """Whether a field of a row goes into one of our own, or is nothing; what is of another type stays metadata."""
    if name in ("id", "idx"):
        return value is None or _is_id(value)
    if name in ("text", "license", "source_uri"):
        return value is None or isinstance(value, str)
    if name == "metadata":
        return value is None or isinstance(value, dict)
    return name in ("tok_len", "num_chunks") and (value is None or _is_count(value))


def _unit(vector: Any, location: str) -> Vector:
    wide = vector.astype(np.float32)
    found = length(wide)
    if not np.isfinite(found):
        raise InputError(f"{location}: the signature holds NaN or Inf")
    if found == 0:
        raise InputError(f"{location}: the signature is zero, as of a text of fewer than 2 tokens")
    unit: Vector = wide / np.float32(found)
    return unit


def _whole_text(meta: dict[str, Any]) -> str | None:
    """The text of a row where the index has all of it: by default it keeps the first 200 characters."""
    text = _text(meta, "text")
    return text if text and meta.get("length", -1) == len(text) else None


def _text(meta: dict[str, Any], name: str) -> str | None:
    value = meta.get(name)
    return value if isinstance(value, str) and value else None
