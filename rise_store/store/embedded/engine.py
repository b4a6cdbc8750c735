"""The embedded Qdrant engine behind a guard: one call at a time, in one process, with our errors.

All facts about the engine in here were measured with qdrant-edge-py 0.9.0.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as edge

from rise_store.errors import RiseStoreError, StoreError, StoreFullError, StoreInUseError
from rise_store.records import Storage
from rise_store.store.backend import IndexKind
from rise_store.store.embedded.forks import abandon_when_forked
from rise_store.store.paths import engine_path
from rise_store.store.payload import INDEXED_FIELDS

VECTOR = "signature"
FLOAT16 = Storage()

_INDEX_TYPES: dict[IndexKind, edge.PayloadSchemaType] = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "datetime": edge.PayloadSchemaType.Datetime,
}
_DATATYPES = {
    "float16": edge.VectorStorageDatatype.Float16,
    "turbo8": edge.VectorStorageDatatype.Turbo8,
    "turbo4": edge.VectorStorageDatatype.Turbo4,  # type: ignore[attr-defined]  # missing from the engine's stubs
}
_BITS = {4: edge.TurboQuantBitSize.Bits4, 2: edge.TurboQuantBitSize.Bits2, 1: edge.TurboQuantBitSize.Bits1}
_BUILD_KILOBYTES = 1_024  # of a growing segment, below which an exact scan takes no time worth saving
_PLAIN_KILOBYTES = 10_000  # of a segment or of what a filter leaves of it, below which no graph is walked
_FULL_MARKS = ("No space left on device", "StorageFull", "File too large", "Disk quota exceeded", "QuotaExceeded")
_SYSTEM_REMEDY = "Check the disk, and who may read and write the folder"
_REMEDY = "If this happens again, the store is damaged: restore it from a copy, or ingest into a new one"


def shard_config(
    dim: int, segment_bytes: int, storage: Storage = FLOAT16, *, purge: bool = False, build: bool = False
) -> edge.EdgeConfig:
    """How the engine keeps signatures of `dim` coordinates, with segments of about `segment_bytes`.

    With `purge`, `optimize` rewrites every segment that holds a deleted or replaced point; without, none. With
    `build`, it makes coarse copies and graphs for all rows but a few, not only for those in full segments.
    """
    kilobytes = max(1, segment_bytes // 1024)
    builds = build and (storage.quantization is not None or storage.hnsw)
    coarse = edge.TurboQuantQuantizationConfig(bits=_BITS[storage.quantization]) if storage.quantization else None
    return edge.EdgeConfig(
        vectors={
            VECTOR: edge.EdgeVectorParams(
                size=dim, distance=edge.Distance.Dot, datatype=_DATATYPES[storage.vectors], quantization_config=coarse
            )
        },
        # m=0 builds no graph. By default `optimize` would build one above 10 MB, about 200 rows of default width.
        hnsw_config=edge.HnswIndexConfig(
            m=16 if storage.hnsw else 0, ef_construct=100, full_scan_threshold=_PLAIN_KILOBYTES
        ),
        optimizers=edge.EdgeOptimizersConfig(
            deleted_threshold=1e-9 if purge else 1.0,
            vacuum_min_vector_number=1,
            # `optimize` merges small segments up to `max_segment_size`, as long as that leaves fewer and more than this
            # number, and seals the growing one beyond `indexing_threshold`.
            default_segment_number=1,
            max_segment_size=kilobytes,
            # Replaced payloads of the growing segment leave bytes behind but no deleted point: seal it always.
            indexing_threshold=1 if purge else min(kilobytes, _BUILD_KILOBYTES) if builds else kilobytes,
        ),
        wal_enabled=True,
    )


def create_shard(folder: Path, location: str, config: edge.EdgeConfig) -> None:
    """Create an empty shard in `folder`, with the indexes of our fields, and close it."""
    folder.mkdir()
    with engine_errors(location, "create a space"):
        shard = edge.EdgeShard.create(str(folder), config)
        # Facets need an index, and one made before the first row costs no pass over the rows.
        for field, kind in INDEXED_FIELDS.items():
            shard.update(create_index(field, kind))
        shard.flush()
        shard.close()


def create_index(field: str, kind: IndexKind) -> edge.UpdateOperation:
    """The operation that indexes a payload field; one that has this index already stays as it is."""
    return edge.UpdateOperation.create_field_index(engine_path(field), _INDEX_TYPES[kind])


def index_kind(found: edge.PayloadSchemaType) -> IndexKind:
    """Our name of an index type of the engine."""
    return next(kind for kind, type in _INDEX_TYPES.items() if type == found)


class Engine:
    """One open shard. Use it through `with engine.using("search") as shard`."""

    def __init__(self, folder: Path, location: str, config: edge.EdgeConfig) -> None:
        self._folder = folder
        self._location = location
        self._pid = os.getpid()
        self._mutex = threading.RLock()
        self._shard: edge.EdgeShard | None = None
        self.failed = False  # an error of `reload` closed it
        self._load(config)
        abandon_when_forked(self)

    @contextmanager
    def using(self, doing: str) -> Iterator[edge.EdgeShard]:
        """The shard, for this thread alone until the block ends; what the engine raises becomes a `StoreError`."""
        if os.getpid() != self._pid:  # before the mutex, which a thread of the parent may hold for ever in this process
            raise StoreError(
                f"the store at {self._location} was opened in process {self._pid} and cannot be used in its forked "
                "child. Open stores after forking, or start workers by spawn"
            )
        with self._mutex:
            if self._shard is None:
                raise StoreError(f"the store at {self._location} is closed. Open it again")
            with engine_errors(self._location, doing):
                yield self._shard

    def reload(self, config: edge.EdgeConfig) -> None:
        """Close the shard and load it with other settings; call it inside `using`."""
        with self.using("reload") as shard:
            shard.flush()
            self._shard = None
            try:
                shard.close()
                self._load(config)
            except BaseException:
                self.failed = True
                raise

    def close(self) -> None:
        """Flush and close; closing twice, or in a forked child, does nothing."""
        if self.closed:
            return
        with self.using("close") as shard:
            try:
                shard.flush()
            finally:
                self._shard = None
                shard.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed, failed to load, or belongs to a parent process."""
        return self._shard is None

    def abandon(self) -> None:
        """In a forked child: never touch the shard again, nor free it, which would flush into the parent's files."""
        if self._shard is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._shard))
            self._shard = None

    def _load(self, config: edge.EdgeConfig) -> None:
        check_shard_files(self._folder)
        with engine_errors(self._location, "open a space"):
            self._shard = edge.EdgeShard.load(str(self._folder), config)


def check_shard_files(folder: Path) -> None:
    """`StoreError` when parts of a shard are missing that the engine would replace by empty ones, in silence."""
    # Without its log the engine numbers operations from 0 again, and ignores updates of all points stored before.
    if not any((folder / "wal").glob("open-*")) or not any((folder / "segments").glob("*/segment.json")):
        raise StoreError(f"files are missing below {folder}. {_REMEDY}")


@contextmanager
def engine_errors(location: str, doing: str) -> Iterator[None]:
    """Turn whatever the engine raises into a `StoreError` that says where and what to do."""
    try:
        yield
    except RiseStoreError:
        raise
    except Exception as error:
        raise _translated(error, location, doing) from error
    except BaseException as error:
        # A panic of the engine is a BaseException that no module exports; the name is all there is to know it by.
        if type(error).__name__ != "PanicException":
            raise
        raise _translated(error, location, doing) from error


def _translated(error: BaseException, location: str, doing: str) -> StoreError:
    reason = " ".join(str(error).split())[:400] or type(error).__name__
    if any(mark in reason for mark in _FULL_MARKS):
        return StoreFullError(
            f"the disk under the store at {location} is full: could not {doing} ({reason}). Everything that was "
            "acknowledged is kept. Free some space and run the same command again: it resumes where it stopped"
        )
    if "WouldBlock" in reason:
        return StoreInUseError(
            f"the store at {location} is in use by another process, perhaps one forked from the process that had it "
            "open. Wait until it ends, or stop it, then try again"
        )
    # The engine passes errors of the system on as text, like "Permission denied (os error 13)".
    remedy = _SYSTEM_REMEDY if isinstance(error, OSError) or "os error" in reason else _REMEDY
    return StoreError(f"the store at {location} could not {doing}: {reason}. {remedy}")
