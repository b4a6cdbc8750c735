"""The catalogue of an embedded store: an SQLite file beside the spaces.

Documents have no vectors, and want what the engine of the spaces has not: several writes that happen whole or not at
all, and errors in place of a SIGBUS. It is opened in a few milliseconds, and only when it is asked for.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from rise_store.errors import StoreError, StoreFullError
from rise_store.store.batches import batches
from rise_store.store.catalogue import Document, Entry, pack
from rise_store.store.embedded.checksums import REMEDY, Checksums
from rise_store.store.embedded.disk import size_bytes, sync
from rise_store.store.embedded.engine import engine_errors
from rise_store.store.embedded.forks import abandon_when_forked

FILE = "documents.sqlite"

_PAGE_DOCUMENTS = 100  # read at once, of any size
_SETTINGS = (
    "locking_mode = EXCLUSIVE",  # the lock of the store keeps others out; so no index of the log lies in shared memory
    "journal_mode = WAL",
    "secure_delete = ON",
    "temp_store = MEMORY",
)
_TABLES = """
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS documents (
        kind TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (kind, key)
    );
    CREATE INDEX IF NOT EXISTS documents_by_owner ON documents (kind, owner, key);
    COMMIT;
"""
_PUT = """
    INSERT INTO documents (kind, key, owner, record) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, key) DO UPDATE SET owner = excluded.owner, record = excluded.record
"""
_INSERT = "INSERT INTO documents (kind, key, owner, record) VALUES (?, ?, ?, ?) ON CONFLICT (kind, key) DO NOTHING"
_REMEDY = f"Signatures are not concerned: queries work. {REMEDY}"


class EmbeddedCatalogue:
    """The catalogue in `folder`, made when it is not there; `StoreError` when it is damaged. See `Catalogue`."""

    def __init__(self, folder: Path, location: str) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._location = location
        self._pid = os.getpid()
        self._mutex = threading.RLock()
        with engine_errors(location, "open its catalogue"):
            folder.mkdir(exist_ok=True)
            self._checksums = Checksums(folder)
            self._checksums.begin()
            if self._checksums.sums and not self._path.exists():
                raise StoreError(f"{self._path} is missing: it was there when the store was closed. {_REMEDY}")
        self._connection: sqlite3.Connection | None = self._connect()
        abandon_when_forked(self)

    def put(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """See `Catalogue.put`; all of them, or none."""
        self._write(_PUT, kind, documents, owner, "NORMAL")

    def insert(self, kind: str, documents: Mapping[str, Document], *, owner: str = "") -> None:
        """See `Catalogue.insert`; all of them, or none, and durable against a cut of power too."""
        self._write(_INSERT, kind, documents, owner, "FULL")

    def get(self, kind: str, keys: Iterable[str]) -> dict[str, Document]:
        """See `Catalogue.get`."""
        found: dict[str, Document] = {}
        for batch in batches(filter(_is_unicode, keys), _PAGE_DOCUMENTS):
            marks = ", ".join("?" * len(batch))
            with self._using("read its catalogue") as connection:
                query = f"SELECT key, record FROM documents WHERE kind = ? AND key IN ({marks})"
                rows = connection.execute(query, (kind, *batch)).fetchall()
            found.update((key, self._parsed(kind, key, record)) for key, record in rows)
        return found

    def scan(self, kind: str, *, owner: str | None = None) -> Iterator[tuple[str, Document]]:
        """See `Catalogue.scan`."""
        for entry in self._entries([("kind = ?", kind)] + ([] if owner is None else [("owner = ?", owner)])):
            yield entry.key, entry.document

    def entries(self) -> Iterator[Entry]:
        """See `Catalogue.entries`."""
        return self._entries([])

    def count(self, kind: str, *, owner: str | None = None) -> int:
        """See `Catalogue.count`."""
        owned = "" if owner is None else " AND owner = ?"
        with self._using("read its catalogue") as connection:
            query = f"SELECT count(*) FROM documents WHERE kind = ?{owned}"
            (number,) = connection.execute(query, (kind,) if owner is None else (kind, owner)).fetchone()
        return int(number)

    def remove(self, kind: str, keys: Iterable[str]) -> None:
        """See `Catalogue.remove`."""
        names = [(kind, key) for key in keys if _is_unicode(key)]
        with self._using("write its catalogue") as connection, _transaction(connection):
            connection.executemany("DELETE FROM documents WHERE kind = ? AND key = ?", names)

    def compact(self) -> None:
        """See `Catalogue.compact`."""
        with self._using("compact its catalogue") as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def size_bytes(self) -> int:
        """Bytes that it takes on disk."""
        return size_bytes(self._folder)

    def close(self) -> None:
        """Write everything to its file and close; closing twice, or in a forked child, does nothing."""
        if self._connection is None:
            return
        with self._using("close its catalogue") as connection:
            self._connection = None
            connection.close()
        with engine_errors(self._location, "write the checksums of its catalogue"):
            self._checksums.finish()

    def abandon(self) -> None:
        """In a forked child: never touch the file again, nor free the connection, which would empty the log."""
        if self._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        with self._errors("open its catalogue"):
            is_new = not self._path.exists()
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                for setting in _SETTINGS:
                    connection.execute(f"PRAGMA {setting}")
                if not is_new and not self._checksums.clean:
                    ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
                    if found != "ok":
                        raise self._damaged(found)
                connection.executescript(_TABLES)
            except BaseException:
                connection.close()
                raise
            if is_new:
                sync(self._folder)
                sync(self._folder.parent)
            return connection

    def _write(self, statement: str, kind: str, documents: Mapping[str, Document], owner: str, synced: str) -> None:
        rows = [(kind, key, owner, record) for key, record in pack(kind, documents, owner).items()]
        with self._using("write its catalogue") as connection:
            # NORMAL hands the log to the system, FULL waits for the disk.
            connection.execute(f"PRAGMA synchronous = {synced}")
            with _transaction(connection):
                connection.executemany(statement, rows)

    def _entries(self, conditions: list[tuple[str, str]]) -> Iterator[Entry]:
        # Within a kind the key alone: SQLite would walk the index by owner from its start for each page.
        behind = "key > ?" if conditions else "(kind, key) > (?, ?)"
        last: tuple[str, ...] | None = None
        while True:
            wanted = [condition for condition, _ in conditions] + ([] if last is None else [behind])
            where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
            values = (*(value for _, value in conditions), *(last or ()), _PAGE_DOCUMENTS)
            query = f"SELECT kind, key, owner, record FROM documents {where} ORDER BY kind, key LIMIT ?"
            with self._using("read its catalogue") as connection:
                rows = connection.execute(query, values).fetchall()
            for kind, key, owner, record in rows:
                last = (key,) if conditions else (kind, key)
                yield Entry(kind, key, owner, self._parsed(kind, key, record))
            if len(rows) < _PAGE_DOCUMENTS:
                return

    @contextmanager
    def _using(self, doing: str) -> Iterator[sqlite3.Connection]:
        if os.getpid() != self._pid:  # before the mutex, which a thread of the parent may hold for ever in this process
            raise StoreError(
                f"the store at {self._location} was opened in process {self._pid} and cannot be used in its forked "
                "child. Open stores after forking, or start workers by spawn"
            )
        with self._mutex:
            if self._connection is None:
                raise StoreError(f"the store at {self._location} is closed. Open it again")
            with self._errors(doing):
                yield self._connection

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise StoreFullError(
                    f"the disk under the store at {self._location} is full: could not {doing}. Everything that was "
                    "acknowledged is kept. Free some space and run the same command again: it resumes where it stopped"
                ) from error
            raise StoreError(
                f"the store at {self._location} could not {doing}: {error} ({self._path}). Check the disk, and who may "
                "read and write the folder"
            ) from error
        except sqlite3.Error as error:
            raise self._damaged(str(error)) from error

    def _parsed(self, kind: str, key: str, record: str) -> Document:
        try:
            document = orjson.loads(record)
        except orjson.JSONDecodeError as error:
            raise self._damaged(f"the {kind} {key!r} is no JSON") from error
        if not isinstance(document, dict):
            raise self._damaged(f"the {kind} {key!r} is no document")
        return document

    def _damaged(self, problem: str) -> StoreError:
        return StoreError(f"{self._path} is damaged: {problem}. {_REMEDY}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_unicode(key: str) -> bool:
    """Whether a key can be stored: one with lone surrogates names no document."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
