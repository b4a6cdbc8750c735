"""The server backend: a store on a Qdrant server, which many processes may use at once."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import numpy.typing as npt

from rise_store.errors import StoreError
from rise_store.records import Space
from rise_store.store.backend import Tables
from rise_store.store.payload import INDEXED_FIELDS
from rise_store.store.server.calls import Calls
from rise_store.store.server.catalogue import SpaceRecords
from rise_store.store.server.collection import ServerCollection
from rise_store.store.server.connection import DEFAULT_NAME, Connection
from rise_store.store.server.documents import ServerCatalogue
from rise_store.store.server.schema import TURBO8_SINCE, Placement, schema_difference, space_schema
from rise_store.store.tables import tables_sha256


class ServerBackend:
    """The store `name` on the server behind `connection`, which `close` closes.

    With `create` a store that is not there is made with its first space, or when the store is left in peace.
    `StoreError` when the server cannot be used, is older than Qdrant 1.19, has no such store (without `create`), or
    one of an unknown format.
    """

    def __init__(self, connection: Connection, name: str = DEFAULT_NAME, *, create: bool = False) -> None:
        self.location = connection.location
        self.connection = connection
        self._records = SpaceRecords(connection, name)
        self._mutex = threading.RLock()
        self._collections: dict[str, ServerCollection] = {}
        self._documents: ServerCatalogue | None = None
        try:
            self._placement = Placement.from_environment()
            self._version = connection.server_version()
            self._made = self._records.exists()
            if not self._made and not create:
                raise StoreError(
                    f"there is no rise_store store {name!r} on the server at {self.location}. Check the URL; ingesting "
                    "creates a store"
                )
        except BaseException:
            connection.close()
            raise

    def spaces(self) -> list[Space]:
        """The spaces of the store, oldest first."""
        return self._records.spaces() if self._is_made() else []

    def create_space(self, space: Space, tables: Tables) -> ServerCollection:
        """Create the collection of a new space and keep its sketch tables in the catalogue; all or nothing.

        A crash on the way leaves an empty collection that belongs to no space; creating the space again takes it over.
        `StoreError` for one with rows, such as a restore that was cut short leaves.
        """
        found = tables_sha256(tables)
        if found != space.tables_sha256:
            raise StoreError(
                f"the tables of space {space.fingerprint} have SHA-256 {found}, but the space states "
                f"{space.tables_sha256}. Create the space with the tables that it was made with"
            )
        collection = self._records.collection_of(space.fingerprint)
        self._check_storage(space)
        with self._mutex:
            self._make()
            if self._records.find_space(space.fingerprint) is not None:
                raise self._records.already_there(space.fingerprint)
            self._create_collection(collection, space)
            self._records.write_tables(space, tables)
            self._records.commit(space)
            return self.open_collection(space.fingerprint)

    def open_collection(self, fingerprint: str) -> ServerCollection:
        """The collection of a space; `StoreError` when the store has none of that fingerprint, or it is gone."""
        with self._mutex:
            if self.connection.closed or fingerprint not in self._collections:
                space = self._space(fingerprint)
                collection = self._records.collection_of(fingerprint)
                if not Calls(self.connection, collection).exists():
                    raise StoreError(
                        f"the server at {self.location} has lost the collection {collection} of space {fingerprint}. "
                        "Restore it from a snapshot"
                    )
                self._collections[fingerprint] = ServerCollection(space, self.connection, collection)
            return self._collections[fingerprint]

    def tables(self, fingerprint: str) -> dict[str, npt.NDArray[Any]]:
        """The sketch tables that were kept with a space; `StoreError` when they are damaged."""
        return self._records.read_tables(self._space(fingerprint))

    def catalogue(self) -> ServerCatalogue:
        """The catalogue of the store, which is made with it."""
        with self._mutex:
            self._make()
            if self._documents is None:
                self._documents = ServerCatalogue(self._records, Calls(self.connection, self._records.collection))
            return self._documents

    def catalogue_bytes(self) -> None:
        """None: a server does not say how much disk a collection takes."""
        return

    def close(self) -> None:
        """Hang up; closing twice is fine. A store that was to be created and got no space is made now, empty."""
        with self._mutex:
            if self.connection.closed:
                return
            try:
                self._make()
            finally:
                self.connection.close()

    def __enter__(self) -> ServerBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.connection.close()  # a model that could not be loaded should leave no trace

    def _is_made(self) -> bool:
        # Somebody else may have made it by now.
        self._made = self._made or self._records.exists()
        if self._made and self.connection.closed:
            raise StoreError(f"the store at {self.location} is closed. Open it again")
        return self._made

    def _make(self) -> None:
        if not self._is_made():
            self._records.create(self._placement)
            self._made = True

    def _space(self, fingerprint: str) -> Space:
        if not self._is_made():
            self._records.collection_of(fingerprint)
            raise StoreError(f"the store at {self.location} has no space {fingerprint!r}. Its spaces: none")
        return self._records.space(fingerprint)

    def _check_storage(self, space: Space) -> None:
        if space.storage.vectors == "turbo8" and self._version is not None and self._version < TURBO8_SINCE:
            said, wanted = (".".join(map(str, version)) for version in (self._version, TURBO8_SINCE))
            raise StoreError(
                f"the server at {self.location} is Qdrant {said}, but turbo8 storage needs {wanted}. Upgrade it, or "
                "choose float16 or turbo4"
            )

    def _create_collection(self, name: str, space: Space) -> None:
        calls = Calls(self.connection, name)
        made_now = calls.create(space_schema(space.dim, space.storage, self._placement))
        found = calls.info()
        # Of a collection that was there before, nobody knows how it was made, nor whose rows are in it.
        difference = None if made_now else schema_difference(found, space.dim, space.storage)
        if difference is None and (rows := calls.count(None)):
            difference = f"it holds {rows:,} rows, which could be ones that were deleted since"
        if difference is not None:
            if self._records.find_space(space.fingerprint) is not None:  # made, perhaps filled, since we looked
                raise self._records.already_there(space.fingerprint)
            # Deleting it here could take it from somebody who is creating the space at this moment.
            raise StoreError(
                f"the server at {self.location} has a collection {name} that belongs to no space and cannot be used: "
                f"{difference}. If nobody is creating or restoring that space now, delete the collection and try again"
            )
        # Facets need an index, and one made before the first row costs no pass over the rows.
        for field, kind in INDEXED_FIELDS.items():
            if field not in found.payload_schema:
                calls.create_index(field, kind)
