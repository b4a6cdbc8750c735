"""The embedded backend: a folder on disk, one process at a time, no server."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt

from rise_store.errors import StoreError
from rise_store.records import Space
from rise_store.store.backend import Tables
from rise_store.store.embedded.catalogue import EmbeddedCatalogue
from rise_store.store.embedded.checksums import Checksums
from rise_store.store.embedded.collection import EmbeddedCollection
from rise_store.store.embedded.disk import MIB, require_free, size_bytes
from rise_store.store.embedded.engine import create_shard, engine_errors
from rise_store.store.embedded.layout import SpaceState, StoreFolder, check_location
from rise_store.store.embedded.lock import StoreLock
from rise_store.store.embedded.upkeep import new_shard_config
from rise_store.store.tables import read_tables, tables_sha256, write_tables


class EmbeddedBackend:
    """The store in the folder `root`, open until `close`.

    `StoreInUseError` when another process has it open, or this one; `StoreError` when the folder is not a store, has
    an unknown format or, without `create`, does not exist.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self.location = str(root)
        check_location(root, create=create)
        self._mutex = threading.RLock()
        self._collections: dict[str, EmbeddedCollection] = {}
        self._catalogue: EmbeddedCatalogue | None = None
        self._closed = False
        self._failed = False
        with engine_errors(self.location, "open the folder"):
            root.mkdir(parents=True, exist_ok=True)
        self._lock = StoreLock(root)
        try:
            self._folder = StoreFolder(root)
            self._made_here = not self._folder.exists
            with engine_errors(self.location, "open the folder"):
                self._folder.prepare(create=create)
        except BaseException:
            self._lock.release()
            raise

    def spaces(self) -> list[Space]:
        """The spaces of the store, oldest first."""
        self._check_open()
        with engine_errors(self.location, "list its spaces"):
            return self._folder.spaces()

    def create_space(self, space: Space, tables: Tables) -> EmbeddedCollection:
        """Create the collection of a new space and keep its sketch tables beside it; all or nothing."""
        found = tables_sha256(tables)
        if found != space.tables_sha256:
            raise StoreError(
                f"the tables of space {space.fingerprint} have SHA-256 {found}, but the space states "
                f"{space.tables_sha256}. Create the space with the tables that it was made with"
            )
        with self._mutex:
            self._check_open()
            # The empty indexes take 88 MiB where files have no holes, as on tmpfs (qdrant-edge-py 0.9.0).
            needed = 128 * MIB + sum(table.nbytes for table in tables.values())
            with engine_errors(self.location, "create a space"):
                require_free(self._folder.root, needed, "create a space", self.location)
                with self._folder.new_space(space) as draft:
                    write_tables(draft / "tables.npz", tables)
                    SpaceState(points=0, untidy=False).write(draft)
                    create_shard(draft / "points", self.location, new_shard_config(space))
                    Checksums(draft).finish()
            return self.open_collection(space.fingerprint)

    def open_collection(self, fingerprint: str) -> EmbeddedCollection:
        """The collection of a space; `StoreError` when the store has none of that fingerprint, or it is damaged."""
        with self._mutex:
            self._check_open()
            known = self._collections.get(fingerprint)
            if known is None or known.failed:
                space = self._folder.space(fingerprint)
                folder = self._folder.space_folder(fingerprint)
                known = self._collections[fingerprint] = EmbeddedCollection(space, folder, self.location)
            return known

    def tables(self, fingerprint: str) -> dict[str, npt.NDArray[Any]]:
        """The sketch tables that were kept with a space; `StoreError` when they are damaged."""
        self._check_open()
        space = self._folder.space(fingerprint)
        return read_tables(self._folder.space_folder(fingerprint) / "tables.npz", space.tables_sha256)

    def catalogue(self) -> EmbeddedCatalogue:
        """The catalogue of the store, which is made when it is first asked for; `StoreError` when it is damaged."""
        with self._mutex:
            self._check_open()
            if self._catalogue is None:
                self._catalogue = EmbeddedCatalogue(self._folder.catalogue, self.location)
            return self._catalogue

    def catalogue_bytes(self) -> int:
        """Bytes that the catalogue takes on disk, 0 before there is one; it need not be fit to be opened."""
        return size_bytes(self._folder.catalogue)

    def close(self) -> None:
        """Flush and release the store; closing twice is fine."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            errors: list[BaseException] = []
            try:
                opened: list[EmbeddedCollection | EmbeddedCatalogue] = list(self._collections.values())
                if self._catalogue is not None:
                    opened.append(self._catalogue)
                for part in opened:
                    try:
                        part.close()
                    except BaseException as error:  # after Ctrl-C too the others are closed and the lock is released
                        errors.append(error)
                if self._failed and self._made_here:
                    self._folder.remove_if_empty()  # a model that could not be loaded should leave no trace
            finally:
                self._lock.release()
        if errors:
            raise min(errors, key=lambda error: isinstance(error, StoreError))  # Ctrl-C before what went wrong

    def __enter__(self) -> EmbeddedBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._failed = kind is not None
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store at {self.location} is closed. Open it again")
