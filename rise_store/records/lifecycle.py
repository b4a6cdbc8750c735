"""What deleting, compacting, annotating, exporting, importing and migrating leave behind."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Metadata, Record


class ExampleSummary(Record):
    """Enough of a stored example to recognise it."""

    example_id: str
    dataset: str
    license: str | None = None
    text: str | None = Field(None, description="at most its first 200 characters")


class DeleteReport(Record):
    """What a deletion found, and whether it acted."""

    matched: int = Field(description="examples that the conditions name")
    deleted: int = Field(description="examples that are gone; 0 of a dry run")
    dry_run: bool
    sample: tuple[ExampleSummary, ...] = Field(description="at most 5 of them")
    datasets: dict[str, int] = Field(description="matched examples by dataset")
    unknown_ids: tuple[str, ...] = Field((), description="example ids that were named and are not stored")
    erasure: str | None = Field(None, description="id of the tombstones; null where none were made")
    tombstones: int = Field(0, description="examples that may not come back and could before")
    equal_elsewhere: int = Field(
        0, description="stored examples whose content equals one that was given a tombstone; they are kept"
    )


class CompactedSpace(Record):
    """A space that was compacted."""

    space: str = Field(description="fingerprint of the space")
    examples: int
    before_bytes: int | None = Field(description="bytes on disk before; null where unknown")
    after_bytes: int | None = Field(description="bytes on disk after; null where unknown")


class CompactReport(Record):
    """What compacting freed."""

    spaces: tuple[CompactedSpace, ...]


class AnnotateReport(Record):
    """What a change of payload fields did."""

    matched: int = Field(description="examples that the filter let through")
    changed: int = Field(description="those whose payload is another one now, or would be after a dry run")
    unchanged: int = Field(description="those that had these values already")
    dry_run: bool
    set: Metadata = Field(default_factory=dict, description="payload path -> value")
    unset: tuple[str, ...] = Field((), description="payload paths that were removed")


class ExportReport(Record):
    """A file of signatures with their payloads and their space."""

    path: str
    format: str = Field(description="npz or parquet")
    space: str = Field(description="fingerprint of the space")
    examples: int
    size_bytes: int


class ImportReport(Record):
    """What an import stored."""

    source: str
    space: str = Field(description="fingerprint of the space")
    created_space: bool = Field(description="whether the store had no such space before")
    new: int = Field(description="examples stored for the first time")
    replaced: int = Field(description="examples that were stored with another signature or payload")
    unchanged: int = Field(description="examples that were stored already, equal")
    rejected: int = Field(0, description="rows that cannot be stored")
    refused: int = Field(0, description="examples that were erased, and may not come back")
    rejects: tuple[str, ...] = Field((), description="the first 100 reasons, each with its file and row")
    stored: int = Field(description="examples in the space after the import")


class MigratedSpace(Record):
    """A space that was copied, and how it was checked."""

    space: str = Field(description="fingerprint of the space")
    examples: int = Field(description="examples in the source")
    copied: int
    unchanged: int = Field(description="examples that the target had already, equal")
    refused: int = Field(0, description="examples that were erased, in one of the stores, and were not copied")
    only_in_target: int = Field(description="examples that the target has and the source has not")
    checked: int = Field(description="examples at random whose signature and payload were compared afterwards")
    largest_error: float = Field(description="largest distance of two signatures among them; a signature's length is 1")


class MigrationReport(Record):
    """What a migration copied."""

    source: str
    target: str
    spaces: tuple[MigratedSpace, ...]
    documents: int = Field(0, description="datasets, runs, receipts, tombstones ... that were copied")
    seconds: float
