"""Signatures and payloads in Qdrant: the store knows no torch and no model.

`open_store` gives a `Backend`, which holds spaces; each space has a `Collection` of points.
"""

from __future__ import annotations

import os
from pathlib import Path

from rise_store.store.backend import (
    Approximation,
    Backend,
    Catalogue,
    Collection,
    Document,
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
from rise_store.store.location import is_server
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
from rise_store.store.tombstones import Erasure, Identity, Tombstones

__all__ = [
    "KEYWORD_FIELDS",
    "OWN_FIELDS",
    "And",
    "Approximation",
    "Backend",
    "Catalogue",
    "Collection",
    "DateRange",
    "Document",
    "Equals",
    "Erasure",
    "Exists",
    "Filter",
    "Hit",
    "Identity",
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
    "Tombstones",
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
    """Open the store at `location`, or with `create` make one where there is none.

    `location` is a folder, or a Qdrant server: `http(s)://host[:port][/NAME][?grpc_port=PORT]`.
    `StoreInUseError` when a process has the folder open; `StoreError` when it is missing, is no store, or has an
    unknown format, and when the server cannot be used; `ConfigError` for a URL that is none.
    """
    if is_server(str(location)):
        from rise_store.store.server import open_server  # here, because folders need no client of a server

        return open_server(str(location), create=create)
    return EmbeddedBackend(Path(location), create=create)
