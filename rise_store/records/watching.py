"""How a watch is doing: the status file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.ingestion import IngestTotals

WatchState = Literal["starting", "watching", "waiting", "stopped", "finished", "failed"]


class WatchedFile(Record):
    """How far a file was read."""

    name: str = Field(description="path or address")
    size: int = Field(description="bytes, when it was last looked at")
    offset: int = Field(description="bytes of it whose rows are stored; of a file that is read whole, 0 or its size")
    rows: int = Field(description="rows of it that are stored or were left out")
    error: str | None = Field(None, description="why it could not be read when it was last tried")


class WatchLag(Record):
    """Seconds from the arrival of a row to its being searchable."""

    now: float = Field(0.0, description="age of the oldest row that arrived and is not stored; 0 where there is none")
    last: float | None = Field(None, description="of the oldest row of the last block; null before the first")
    p95: float | None = Field(None, description="95th percentile over the last rows, 2,000 at most")


class WatchStatus(Record):
    """How a watch is doing."""

    state: WatchState = Field(description="waiting: the store cannot take anything at the moment; see `last_error`")
    run_id: str
    dataset: str
    space: str = Field(description="fingerprint of the space")
    store: str
    sources: tuple[str, ...]
    host: str
    pid: int
    since: str = Field(description="RFC 3339, UTC")
    updated_at: str = Field(description="when this was written; RFC 3339, UTC")
    counts: IngestTotals
    blocks: int = Field(0, description="blocks stored")
    lag: WatchLag = Field(default_factory=WatchLag)
    queue_rows: int = Field(0, description="rows read that wait for their block")
    queue_bytes: int = Field(0, description="bytes that have arrived in files and are not stored")
    queue_files: int = Field(0, description="files with something to be read")
    store_seconds: float | None = Field(None, description="that the store took for the last block")
    files_watched: int = 0
    files: tuple[WatchedFile, ...] = Field((), description="the files read last, 100 at most")
    errors: int = Field(0, description="failures of the store, and files that could not be read")
    last_error: str | None = None
    last_error_at: str | None = Field(None, description="RFC 3339, UTC")
