"""What a store on a server knows beside its points: one collection of documents.

Each document is a point with a payload and a vector that means nothing. Its id follows from what it is, so that it
exists once, however often and by however many it is written:

kind "store"     format, created_at, created_with
kind "space"     fingerprint, and the Space record as JSON text; written last, it makes the space exist
other kinds      key, owner, and the document as JSON text: see `documents.py`
kind "tables"    fingerprint, sha256 of the sketch tables, part, and data: a part of their npz archive, compressed and
                 in base64, of at most 1 MiB

The points of a space are in a collection of their own, NAME.<fingerprint>; the catalogue is NAME.catalogue.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zlib
from datetime import datetime, timezone
from typing import Any
from uuid import UUID, uuid5

import numpy.typing as npt
from pydantic import ValidationError
from qdrant_client import models

from rise_store.errors import StoreError
from rise_store.records import Space
from rise_store.store.backend import Tables
from rise_store.store.server.calls import Calls
from rise_store.store.server.connection import Connection
from rise_store.store.server.schema import Placement, catalogue_schema
from rise_store.store.tables import load_tables, write_tables
from rise_store.version import __version__

CATALOGUE = "catalogue"  # the part of its name where collections of spaces have a fingerprint
KINDS = ("store", "space", "tables")
FORMAT_VERSION = 2  # since 2, there may be tombstones among the documents, which older releases would not honour
_OLDER_FORMATS = (1,)
PART_BYTES = 700_000  # of the archive: in base64 less than 1 MiB, even where it cannot be compressed

_FINGERPRINT = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")
_NAMESPACE = UUID("0e6a4c55-6f0f-4d0c-9d55-1d2a1c1b7c86")  # of the ids of documents; may never change
_PAGE_DOCUMENTS = 8  # of up to 1 MiB


class SpaceRecords:
    """What makes the store `name` on a server and its spaces: documents in its catalogue."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self.collection = f"{name}.{CATALOGUE}"
        self._calls = Calls(connection, self.collection)

    def collection_of(self, fingerprint: str) -> str:
        """The name of the collection of a space, whether or not it exists; `StoreError` for what is no fingerprint."""
        if not _FINGERPRINT.fullmatch(fingerprint) or fingerprint == CATALOGUE:
            raise StoreError(f"{fingerprint!r} is not the fingerprint of a space: use letters and digits")
        return f"{self._name}.{fingerprint}"

    def exists(self) -> bool:
        """Whether there is such a store on the server; `StoreError` when it has an unknown format."""
        if not self._calls.exists():
            return False
        header = self._document(_id("store"))
        if header is None:  # the process that was creating it died, or is not done
            return False
        if header.get("format") not in (*_OLDER_FORMATS, FORMAT_VERSION):
            raise StoreError(
                f"the store at {self._connection.location} has format {header.get('format')!r}; this rise_store "
                f"({__version__}) reads format {FORMAT_VERSION}. Use the release that wrote it: "
                f"{header.get('created_with', 'unknown')}"
            )
        return True

    def create(self, placement: Placement) -> None:
        """Make the store, unless it exists; several may do this at once."""
        self._calls.create(catalogue_schema(placement))
        for field in ("kind", "fingerprint", "owner"):
            self._calls.create_index(field, "keyword")
        header = {
            "kind": "store",
            "format": FORMAT_VERSION,
            "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "created_with": __version__,
        }
        self._calls.insert(_id("store"), header)

    def upgrade(self) -> None:
        """Have older releases refuse a store of theirs; call it before something is written that they do not know."""
        header = self._document(_id("store"))
        if header is not None and header.get("format") in _OLDER_FORMATS:
            point = models.PointStruct(id=str(_id("store")), vector=[0.0], payload={**header, "format": FORMAT_VERSION})
            self._calls.put([point])

    def spaces(self) -> list[Space]:
        """The spaces, oldest first; `StoreError` when the record of one is damaged."""
        found = [self._read_space(document) for document in self._documents(kind="space")]
        return sorted(found, key=lambda space: (space.created_at, space.fingerprint))

    def find_space(self, fingerprint: str) -> Space | None:
        """The space of this fingerprint, None where there is none."""
        self.collection_of(fingerprint)
        document = self._document(_id("space", fingerprint))
        return None if document is None else self._read_space(document)

    def space(self, fingerprint: str) -> Space:
        """The space of this fingerprint; `StoreError` when there is none."""
        space = self.find_space(fingerprint)
        if space is None:
            known = ", ".join(space.fingerprint for space in self.spaces()) or "none"
            raise StoreError(
                f"the store at {self._connection.location} has no space {fingerprint!r}. Its spaces: {known}"
            )
        return space

    def commit(self, space: Space) -> None:
        """Make the space exist, whose collection and tables do; `StoreError` when somebody else made it first."""
        document = {"kind": "space", "fingerprint": space.fingerprint, "record": space.model_dump_json()}
        self._calls.insert(_id("space", space.fingerprint), document)
        if self.find_space(space.fingerprint) != space:
            raise self.already_there(space.fingerprint)

    def already_there(self, fingerprint: str) -> StoreError:
        """The error of creating a space that exists."""
        return StoreError(
            f"the store at {self._connection.location} already has the space {fingerprint}. Open it instead"
        )

    def write_tables(self, space: Space, tables: Tables) -> None:
        """Keep the sketch tables of a space. The same tables make the same parts, so several may do this at once."""
        archive = io.BytesIO()
        write_tables(archive, tables)
        data = archive.getvalue()
        for part, first in enumerate(range(0, len(data), PART_BYTES)):
            packed = zlib.compress(data[first : first + PART_BYTES])
            document = {
                "kind": "tables",
                "fingerprint": space.fingerprint,
                "sha256": space.tables_sha256,
                "part": part,
                "data": base64.b64encode(packed).decode(),
            }
            self._calls.insert(_id("tables", space.fingerprint, space.tables_sha256, part), document)

    def read_tables(self, space: Space) -> dict[str, npt.NDArray[Any]]:
        """The sketch tables of a space; `StoreError` when they are damaged."""
        documents = self._documents(kind="tables", fingerprint=space.fingerprint)
        where = f"{self.collection} at {self._connection.location}"
        try:
            parts = {d["part"]: d["data"] for d in documents if d["sha256"] == space.tables_sha256}
            data = b"".join(zlib.decompress(base64.b64decode(parts[part])) for part in sorted(parts))
        except (KeyError, TypeError, binascii.Error, zlib.error):
            data = b""  # is no archive, which the next line says
        return load_tables(io.BytesIO(data), space.tables_sha256, where)

    def _read_space(self, document: dict[str, Any]) -> Space:
        fingerprint = document.get("fingerprint")
        try:
            space = Space.model_validate_json(document.get("record") or "")
        except ValidationError as error:
            raise StoreError(
                f"the record of space {fingerprint} in {self.collection} at {self._connection.location} is damaged: "
                f"{error.errors()[0]['msg']}. Restore it from a snapshot, or use the release that wrote it"
            ) from error
        if space.fingerprint != fingerprint:
            raise StoreError(
                f"the record of space {fingerprint} in {self.collection} at {self._connection.location} belongs to "
                f"the space {space.fingerprint}. Restore it from a snapshot"
            )
        return space

    def _document(self, id: UUID) -> dict[str, Any] | None:
        found = self._calls.retrieve([id])
        return dict(found[0].payload or {}) if found else None

    def _documents(self, **fields: str) -> list[dict[str, Any]]:
        conditions = [models.FieldCondition(key=k, match=models.MatchValue(value=v)) for k, v in fields.items()]
        wanted = models.Filter(must=list(conditions))
        documents: list[dict[str, Any]] = []
        start: Any = None
        while True:
            page, start = self._calls.scroll(wanted, _PAGE_DOCUMENTS, start, True, False)
            documents += [dict(record.payload or {}) for record in page]
            if start is None:
                return documents


def _id(*what: object) -> UUID:
    return uuid5(_NAMESPACE, json.dumps(what, separators=(",", ":")))
