"""Signatures and payloads in Qdrant: the store knows no torch and no model.

`open_store` gives a `Backend`, which holds spaces; each space has a `Collection` of points.
"""

from __future__ import annotations

import os
from pathlib import Path

from rise_store.errors import StoreError
from rise_store.store.backend import (
    Approximation,
    Backend,
    Collection,
    Hit,
    IndexKind,
    Payload,
    PerChannel,
    Point,
    RowNorm,
    Scaling,
    SearchRequest,
    StoredPoint,
    Tables,
    Vector,
)
from rise_store.store.embedded.backend import EmbeddedBackend
from rise_store.store.filters import And, DateRange, Equals, Exists, Filter, In, Not, Or, Prefix, Range, Scalar
from rise_store.store.payload import (
    KEYWORD_FIELDS,
    OWN_FIELDS,
    build_payload,
    describe_example,
    point_id,
    resolve_field,
    with_flags,
)
from rise_store.store.tables import tables_sha256

__all__ = [
    "KEYWORD_FIELDS",
    "OWN_FIELDS",
    "And",
    "Approximation",
    "Backend",
    "Collection",
    "DateRange",
    "Equals",
    "Exists",
    "Filter",
    "Hit",
    "In",
    "IndexKind",
    "Not",
    "Or",
    "Payload",
    "PerChannel",
    "Point",
    "Prefix",
    "Range",
    "RowNorm",
    "Scalar",
    "Scaling",
    "SearchRequest",
    "StoredPoint",
    "Tables",
    "Vector",
    "build_payload",
    "describe_example",
    "open_store",
    "point_id",
    "resolve_field",
    "tables_sha256",
    "with_flags",
]


def open_store(location: str | os.PathLike[str], create: bool = False) -> Backend:
    """Open the store in the folder `location`, or with `create` make one where there is none.

    `StoreInUseError` when a process has it open; `StoreError` when the folder is missing, is no store, or has an
    unknown format, and for the address of a server.
    """
    if str(location).startswith(("http://", "https://")):
        raise StoreError(f"{location} is a server, and stores on servers are not supported yet. Name a folder")
    return EmbeddedBackend(Path(location), create=create)
