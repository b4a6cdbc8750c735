"""What an ingestion leaves behind."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from rise_store.records.base import Metadata, Record
from rise_store.records.datasets import Dataset
from rise_store.records.examples import RowOrigin


class IngestTotals(Record):
    """What became of rows: of a block, or of a run so far."""

    new: int = Field(0, description="examples stored for the first time")
    replaced: int = Field(0, description="examples whose content had changed: stored anew")
    shared: int = Field(0, description="of the new and replaced ones, those that took the signature of an equal text")
    updated: int = Field(0, description="examples of unchanged content with other metadata or provenance: not encoded")
    unchanged: int = Field(0, description="examples stored already, to the byte: not encoded")
    recovered: int = Field(
        0,
        description="examples that the run had stored without a receipt: it was cut off, or another process does it",
    )
    superseded: int = Field(0, description="examples of this run that a later row of it replaced")
    refused: int = Field(0, description="examples that were erased, and may not come back")
    too_short: int = Field(0, description="rows of fewer than 2 tokens")
    rejected: int = Field(0, description="rows that cannot be used, too short and refused ones not included")
    tokens: int = Field(0, description="tokens encoded")

    @property
    def stored(self) -> int:
        """Examples of the run that the store holds."""
        return self.new + self.replaced + self.updated + self.recovered + self.unchanged

    @property
    def written(self) -> int:
        """Examples whose payload names the run: what its receipts promise."""
        return self.new + self.replaced + self.updated + self.recovered - self.superseded

    def __add__(self, other: IngestTotals) -> IngestTotals:
        return IngestTotals(**{name: getattr(self, name) + getattr(other, name) for name in IngestTotals.model_fields})


class Reject(Record):
    """A row that was not stored, and why: a line of a file of dead letters."""

    reason: str = Field(description="one line, with file and line")
    kind: Literal["rejected", "too_short", "refused"] = Field(
        "rejected", description="cannot be used; fewer than 2 tokens; or erased, and not to come back"
    )
    location: str = Field("", description="file:line")
    origin: RowOrigin | None = Field(None, description="where the row was read")
    row: Any = Field(None, description="what stood there: fields, or text; null where it is too long")


class Receipt(Record):
    """What proves that a block of examples is stored; written after the store acknowledged it."""

    run_id: str = ""
    first: int = Field(0, description="position of the block's first row in the run, from 1")
    last: int = Field(0, description="position of its last row")
    begins_at: str = Field("", description="file:line of the first row")
    ends_at: str = Field("", description="file:line of the last row")
    counts: IngestTotals = Field(default_factory=IngestTotals)
    outcomes: str = Field(
        "",
        description="what became of each row, run-length coded as in 120n3=1x: n new, r replaced, u updated, "
        "c recovered, = unchanged, f refused, s too short, x rejected",
    )
    unknown_licenses: dict[str, int] = Field(
        default_factory=dict, description="rows by a licence of their own that SPDX does not know; at most 100 licences"
    )
    ids_sha256: str = Field("", description="SHA-256 of the sorted ids of the points that the block stands for")
    started_at: str = Field("", description="RFC 3339, UTC")
    stored_at: str = Field("", description="when the store had acknowledged all of it; RFC 3339, UTC")
    seconds: float = Field(0.0, description="time spent on the block, waiting not included")
    created_with: str = Field("", description="version of rise_store")
    worker: str = Field("", description="host and process that stored it")
    rejects: tuple[Reject, ...] = Field((), description="rows that were not stored; at most 100 where it was kept")


class SourceManifest(Record):
    """What a source was when a run began."""

    uri: str = Field(description="path or address, without secrets")
    format: str = Field(description="jsonl, csv, parquet, text ...")
    files: int = Field(1, description="files in it")
    bytes: int | None = Field(None, description="size as it lies on disk; null where unknown")
    sha256: str | None = Field(
        None,
        description="of the file; of a folder, of its paths with theirs; null where it cannot be read twice",
    )


RunState = Literal["RUNNING", "STOPPED", "COMPLETE", "FAILED"]


class Run(Record):
    """One ingestion: its manifest, frozen when it began, and how it ended."""

    id: str
    dataset: Dataset
    space: str = Field(description="fingerprint of the space")
    mode: Literal["ingest", "watch"] = "ingest"
    state: RunState = "RUNNING"
    sources: tuple[SourceManifest, ...] = ()
    settings: Metadata = Field(default_factory=dict, description="what shapes the rows: mapping, keep_text ...")
    started_at: str = Field("", description="RFC 3339, UTC")
    finished_at: str | None = Field(None, description="RFC 3339, UTC")
    attempts: int = Field(1, description="processes that worked on it, one after the other or at once")
    host: str = ""
    created_with: str = Field("", description="version of rise_store")
    rows: int | None = Field(None, description="rows read in all; null until it closes")
    blocks: int | None = Field(None, description="receipts; null until it closes")
    counts: IngestTotals | None = Field(None, description="sum of the receipts; null until it closes")
    found: int | None = Field(None, description="stored examples that name the run when it closed; null until then")
    vanished: int = Field(0, description="examples of earlier versions of the dataset that it marked as vanished")
    last_receipt_at: str | None = Field(
        None, description="when it last wrote a receipt, to within some seconds while it is running; RFC 3339, UTC"
    )
    covered: int = Field(0, description="rows that had receipts then")
    message: str = Field("", description="why it stopped or failed, or what it left undone")


class IngestReport(Record):
    """Summary of one run of ingestion."""

    run_id: str
    state: RunState = "COMPLETE"
    dataset: str
    space: str = Field(description="fingerprint of the space")
    new: int
    replaced: int
    shared: int = Field(0, description="of the new and replaced ones, those that took the signature of an equal text")
    updated: int
    unchanged: int
    recovered: int = Field(0, description="examples that an earlier attempt of the run had stored without a receipt")
    refused: int = Field(0, description="examples that were erased, and may not come back")
    vanished: int = Field(0, description="examples of earlier versions of the dataset that were marked as vanished")
    resumed_rows: int = Field(0, description="rows that earlier attempts of the run had done")
    duplicates: int = Field(description="rows that repeat an earlier row of their file")
    rejected: int = Field(description="rows that were not stored, too short ones included")
    too_short: int = Field(description="rows of fewer than 2 tokens")
    tokens: int = Field(description="tokens encoded")
    seconds: float
    tokens_per_second: float
    model_waited: float = Field(0.0, description="share of the time that the model had nothing to do")
    stored: int = Field(description="examples in the space after the run")
    rejects: tuple[str, ...] = Field((), description="the first 100 reasons, each with its file and line")
    unknown_licenses: dict[str, int] = Field(
        default_factory=dict, description="rows by a licence of their own that SPDX does not know; at most 100 licences"
    )
    message: str = Field("", description="why it failed, or what it left undone; empty where all is well")
    rejects_file: str | None = Field(None, description="file of all rejected rows; null where there are none")


class RunCheck(Record):
    """A closed run held against what the store has now."""

    run_id: str
    agrees: bool = Field(description="whether nothing of the below is amiss")
    receipts: int = Field(description="receipts read")
    rows: int = Field(description="rows that they stand for")
    written: int = Field(description="examples whose payload named the run, by its receipts")
    found: int = Field(description="stored examples that name the run now")
    problems: tuple[str, ...] = Field((), description="one line each")
    notes: tuple[str, ...] = Field(
        (), description="differences that later runs of the dataset or erasures account for; one line each"
    )


class SignatureFile(Record):
    """A file of signatures that was written without a store."""

    path: str
    signatures: int
    dim: int = Field(description="coordinates of a signature")
    too_short: int = Field(description="rows of fewer than 2 tokens, left out")
    tokens: int
