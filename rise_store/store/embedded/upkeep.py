"""What keeps a shard healthy beside reads and writes: free space, flushes, segments, the state file.

All facts about the engine in here were measured with qdrant-edge-py 0.9.0.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import qdrant_edge as edge

from rise_store.errors import StoreError
from rise_store.records import Space
from rise_store.store.embedded.checksums import Checksums
from rise_store.store.embedded.disk import MIB, free_bytes, require_free, size_bytes
from rise_store.store.embedded.engine import VECTOR, Engine, check_shard_files, engine_errors, shard_config
from rise_store.store.embedded.layout import SpaceState
from rise_store.store.embedded.trial import try_opening

# A search uses one thread a segment, so a few per core are wanted; each takes some 40 memory maps of the 65,530 that
# Linux allows a process.
SEGMENT_BYTES = 64 * MIB
_MOST_SEGMENTS = 64

# Each segment has a graph of its own, which a search walks from the start: few large ones are faster.
_GRAPH_SEGMENT_BYTES = 1_024 * MIB

_LOG_FILE_BYTES = 32 * MIB

# At most this many rows are replayed from the log after a crash, about 1.5 ms each.
_FLUSH_ROWS = 1_000

# The log encodes each float32 with a tag, whatever the segments make of it.
_LOG_COORDINATE_BYTES = 5
_GRAPH_ROW_BYTES = 512


class Upkeep:
    """The open shard in `folder`/points, and when to flush, seal, merge, purge and refuse.

    `StoreError` when it is damaged.
    """

    def __init__(self, folder: Path, space: Space, location: str) -> None:
        self._folder = folder
        self._dim = space.dim
        self._storage = space.storage
        self._row_bytes = row_bytes(space)
        self._location = location
        self._unflushed = 0
        self._state = SpaceState.read(folder)
        # What replaying the log, flushing and opening may take; opening on a disk without a free byte is a SIGBUS.
        self._headroom = 32 * MIB + _FLUSH_ROWS * self._row_bytes
        cleanly_closed = self._state.points is not None
        with engine_errors(location, "open a space"):
            require_free(folder, 16 * MIB if cleanly_closed else self._headroom, "open it", location)
            self._checksums = Checksums(folder)
            self._checksums.begin()
        if not self._checksums.clean:
            check_shard_files(folder / "points")
            try_opening(folder / "points")
        self.engine = Engine(folder / "points", location, self._config(self._least_segment_bytes))
        self._loaded: tuple[int, bool, bool] | None = (self._least_segment_bytes, False, False)
        try:
            self._check_complete()
        except BaseException:
            self.engine.close()
            raise

    def before_write(self, doing: str, *, rows: int, payload_bytes: int, replaces: bool) -> None:
        """Call before each write of `rows` vectors; `StoreFullError` when it could fill the disk."""
        needed = 2 * self._headroom + rows * (self._row_bytes + self._dim * _LOG_COORDINATE_BYTES) + 3 * payload_bytes
        try:
            require_free(self._folder, needed, doing, self._location)
        except StoreError:
            self._flush()  # so that the store can be opened again with what little space is left
            raise
        self._remember(SpaceState(points=None, untidy=self._state.untidy or replaces))

    def after_write(self, rows: int) -> None:
        """Call after each write of `rows` rows: flushes now and then, and seals the growing segment when it is full."""
        self._unflushed += rows
        if self._unflushed < _FLUSH_ROWS:
            return
        self._flush()
        if free_bytes(self._folder) < 2 * self._headroom + 3 * self._least_segment_bytes:
            return  # searches stay slower, but rows can still be stored
        with self.engine.using("merge segments") as shard:
            if shard.optimize():
                shard.flush()  # this removes the files of the old segments

    def tidy(self) -> None:
        """See `EmbeddedCollection.tidy`."""
        with self.engine.using("tidy") as shard:
            if self._state.merged:
                return
            segment_bytes = self._segment_bytes(shard)
            needed = 2 * self._headroom + self._merging_bytes(shard, segment_bytes)
            require_free(self._folder, needed, "tidy it", self._location)
            self._remember(SpaceState(points=None, untidy=self._state.untidy))
            self._optimize(segment_bytes, build=True)
            self._load(segment_bytes)
            self._remember(replace(self._state, merged=True))

    def compact(self) -> None:
        """See `EmbeddedCollection.compact`."""
        with self.engine.using("compact") as shard:
            if not self._state.untidy:
                return
            segment_bytes = self._segment_bytes(shard)
            # Any segment may be rewritten, and the old ones go only when all new ones are there.
            needed = 2 * self._headroom + self._merging_bytes(shard, segment_bytes)
            needed += size_bytes(self._folder) + 3 * _LOG_FILE_BYTES
            require_free(self._folder, needed, "compact it", self._location)
            self._remember(SpaceState(points=None, untidy=True))
            self._optimize(segment_bytes, purge=True)
            with self.engine.using("compact") as purged:
                drain_log(purged)
            self._remember(SpaceState(points=None, untidy=False))
            self._load(segment_bytes)

    def close(self) -> None:
        """Flush, note the number of points, and close; closing twice, or in a forked child, does nothing."""
        if self.engine.closed:
            return
        try:
            with self.engine.using("close") as shard:
                shard.flush()
                self._remember(replace(self._state, points=shard.count(edge.CountRequest(exact=True))))
        finally:
            self.engine.close()
        with engine_errors(self._location, "write its checksums"):
            self._checksums.finish()

    @property
    def _least_segment_bytes(self) -> int:
        return _GRAPH_SEGMENT_BYTES if self._storage.hnsw else SEGMENT_BYTES

    def _segment_bytes(self, shard: edge.EdgeShard) -> int:
        return max(self._least_segment_bytes, self._live_bytes(shard) // _MOST_SEGMENTS)

    def _merging_bytes(self, shard: edge.EdgeShard, segment_bytes: int) -> int:
        return 3 * min(segment_bytes, self._live_bytes(shard) + SEGMENT_BYTES)

    def _live_bytes(self, shard: edge.EdgeShard) -> int:
        return shard.count(edge.CountRequest(exact=True)) * self._row_bytes

    def _config(self, segment_bytes: int, *, purge: bool = False, build: bool = False) -> edge.EdgeConfig:
        return shard_config(self._dim, segment_bytes, self._storage, purge=purge, build=build)

    def _optimize(self, segment_bytes: int, *, purge: bool = False, build: bool = False) -> None:
        self._load(segment_bytes, purge=purge, build=build)
        with self.engine.using("merge segments") as shard:
            shard.optimize()
            shard.flush()
        self._unflushed = 0

    def _load(self, segment_bytes: int, *, purge: bool = False, build: bool = False) -> None:
        """Load the shard with these settings, unless it has them: loading takes about 45 us a row."""
        settings = (segment_bytes, purge, build and (self._storage.quantization is not None or self._storage.hnsw))
        if settings != self._loaded:
            self._loaded = None
            self.engine.reload(self._config(segment_bytes, purge=purge, build=build))
            self._loaded = settings

    def _flush(self) -> None:
        with self.engine.using("flush") as shard:
            shard.flush()
        self._unflushed = 0

    def _remember(self, state: SpaceState) -> None:
        if state != self._state:
            state.write(self._folder)
            self._state = state

    def _check_complete(self) -> None:
        # The engine has no checksums. Of a segment whose files are missing it may drop the rows, or count rows that
        # no search finds, without a word.
        with self.engine.using("count rows") as shard:
            points = shard.count(edge.CountRequest(exact=True))
            signatures = shard.count(
                edge.CountRequest(exact=True, filter=edge.Filter(must=[edge.HasVectorCondition(VECTOR)]))
            )
        expected = points if self._state.points is None else self._state.points
        if not points == signatures == expected:
            raise StoreError(
                f"the space in {self._folder} is damaged: of {max(expected, points):,} examples, {points:,} have a "
                f"payload and {signatures:,} a signature. Restore it from a copy, or ingest into a new store"
            )


def row_bytes(space: Space) -> int:
    """About how many bytes a row without its payload takes in a segment."""
    graph = _GRAPH_ROW_BYTES if space.storage.hnsw else 0
    return space.storage.bytes_per_vector(space.dim) + graph


def new_shard_config(space: Space) -> edge.EdgeConfig:
    """How a new shard of `space` is made."""
    return shard_config(space.dim, SEGMENT_BYTES, space.storage)


def drain_log(shard: edge.EdgeShard) -> None:
    """Push everything out of the write-ahead log, which keeps operations long after they were flushed.

    Deleted texts and vectors are in there. Removing its files would break the shard (see `check_shard_files`), so
    the log is filled with operations that change nothing. A flush drops all of its files but the open one and the
    last closed one, and no two of these operations fit into one file.
    """
    filler = "-" * (_LOG_FILE_BYTES // 2 + MIB)
    nothing = edge.Filter(must=[edge.FieldCondition(key="example_id", match=edge.MatchValue(filler))])
    for _ in range(3):
        shard.update(edge.UpdateOperation.delete_points_by_filter(nothing))
    shard.flush()
