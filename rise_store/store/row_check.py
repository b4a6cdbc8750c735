"""What a stored row has to be: one check for what comes in from files, and for what `verify` reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import numpy as np

from rise_store.records import Space
from rise_store.store.backend import Payload, Vector
from rise_store.store.payload import point_id, with_flags

REQUIRED_FIELDS = (
    "example_id",
    "dataset",
    "content_sha256",
    "run_id",
    "ingested_at",
    "tokens",
    "chunks",
    "channel_norms",
)
_NAMES = REQUIRED_FIELDS[:5]
_TEXTS = ("dataset_version", "source_uri", "license", "record_sha256", "text", "vanished_in")

# How far the length of a stored signature, and of each of its channels, may be from what it was before it was rounded.
# Measured with 24 coordinates: 0.0003, 0.0025, 0.08; with 4,096: 0.0001, 0.0003, 0.012 (qdrant-edge-py 0.9.0).
_TOLERANCES = {"float16": 2e-3, "turbo8": 1e-2, "turbo4": 1e-1}


def row_problems(id_: UUID, vector: Vector | None, payload: Payload, space: Space) -> Iterator[str]:
    """What is wrong with a row of a space, a clause each, as in "has no run_id in its payload".

    Args:
        id_: its point id.
        vector: its signature [dim], float32; None where it has none.
        payload: what it holds beside, whatever the types.
        space: the space that it is to be of.
    """
    wrong = [*_payload_problems(id_, payload, space.fingerprint), *_vector_problems(vector, space)]
    yield from wrong
    if not wrong and vector is not None:
        stated = [float(payload["channel_norms"][name]) for name in ("rh", "gh")]
        split = space.estimator.dim_rh
        found = [length(vector[:split]), length(vector[split:])]
        if max(abs(one - other) for one, other in zip(stated, found, strict=True)) > _tolerance(space):
            yield (
                f"has channel norms {stated[0]:.4f} and {stated[1]:.4f} in its payload, but its signature has "
                f"{found[0]:.4f} and {found[1]:.4f}"
            )


def length(vector: Vector) -> float:
    """Euclidean length of a vector [dim].

    `numpy.linalg.norm` asks BLAS, whose threads wait for each other on a busy machine: 2 ms for 24,576 coordinates.
    """
    return float(np.sqrt(np.einsum("i,i->", vector, vector)))


def _vector_problems(vector: Vector | None, space: Space) -> Iterator[str]:
    if vector is None:
        yield "has no signature"
    elif vector.shape != (space.dim,):
        yield f"has a signature of {vector.size} coordinates, its space {space.dim}"
    elif not np.isfinite(vector).all():
        yield "has a signature with NaN or Inf"
    elif not abs(length(vector) - 1) <= _tolerance(space):
        yield f"has a signature of length {length(vector):.4f} instead of 1"


def _payload_problems(id_: UUID, payload: Payload, fingerprint: str) -> Iterator[str]:
    missing = [field for field in REQUIRED_FIELDS if field not in payload]
    if missing:
        yield f"has no {', '.join(missing)} in its payload"
    wrong = [
        f"the {name} {_shown(payload[name])} in its payload, which is not {kind}"
        for names, kind, fits in _KINDS
        for name in names
        if name in payload and not fits(payload[name])
    ]
    yield from (f"has {problem}" for problem in wrong)
    if wrong or missing:
        return
    if payload.get("flags") != with_flags(payload).get("flags"):
        yield "has flags that are not those of its metadata, so that filters on true and false would miss it"
    expected = point_id(fingerprint, payload["dataset"], payload["example_id"])
    if id_ != expected:
        yield f"is point {id_} instead of {expected}, so that ingesting it again would store it twice"


def _tolerance(space: Space) -> float:
    return _TOLERANCES[space.storage.vectors]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _is_filled(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_norms(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_norm(value.get(name)) for name in ("rh", "gh"))


def _is_norm(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _is_origin(value: Any) -> bool:
    if not isinstance(value, dict) or not {"file", "row"} <= value.keys() <= {"file", "row", "start", "end"}:
        return False
    return isinstance(value["file"], str) and all(_is_count(number) for key, number in value.items() if key != "file")


_KINDS = (
    (_NAMES, "a text with characters", _is_filled),
    (_TEXTS, "a text", lambda value: isinstance(value, str)),
    (("tokens", "chunks"), "a whole number from 0", _is_count),
    (("channel_norms",), "an object with the numbers rh and gh", _is_norms),
    (("metadata",), "an object", lambda value: isinstance(value, dict)),
    (("read_from",), "an object with file, row, and perhaps start and end", _is_origin),
)
