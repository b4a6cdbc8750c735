"""Signatures and payloads in Qdrant: the store knows no torch and no model.

`open_store` gives a `Backend`, which holds spaces; each space has a `Collection` of points.
"""

from __future__ import annotations

import os
from pathlib import Path

from rise_store.errors import StoreError
from rise_store.store.backend import Backend, Collection, Hit, Payload, Point, StoredPoint, Tables, Vector
from rise_store.store.embedded import EmbeddedBackend
from rise_store.store.filters import And, Equals, Filter, Or, Scalar
from rise_store.store.payload import KEYWORD_FIELDS, OWN_FIELDS, build_payload, point_id, resolve_field
from rise_store.store.tables import tables_sha256

__all__ = [
    "KEYWORD_FIELDS",
    "OWN_FIELDS",
    "And",
    "Backend",
    "Collection",
    "Equals",
    "Filter",
    "Hit",
    "Or",
    "Payload",
    "Point",
    "Scalar",
    "StoredPoint",
    "Tables",
    "Vector",
    "build_payload",
    "open_store",
    "point_id",
    "resolve_field",
    "tables_sha256",
]


def open_store(location: str | os.PathLike[str], create: bool = False) -> Backend:
    """Open the store in the folder `location`, or with `create` make one where there is none.

    `StoreInUseError` when a process has it open; `StoreError` when the folder is missing, is no store, or has an
    unknown format, and for the address of a server.
    """
    if str(location).startswith(("http://", "https://")):
        raise StoreError(f"{location} is a server, and stores on servers are not supported yet. Name a folder")
    return EmbeddedBackend(Path(location), create=create)
