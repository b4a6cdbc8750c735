"""What an ingestion leaves behind."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record


class Receipt(Record):
    """What proves that a block of examples is stored; written after the store acknowledged it."""

    new: int = Field(0, description="examples stored for the first time")
    replaced: int = Field(0, description="examples whose content had changed: encoded and stored anew")
    updated: int = Field(0, description="examples of unchanged content with other metadata or provenance: not encoded")
    unchanged: int = Field(0, description="examples stored already, to the byte: not encoded")
    tokens: int = Field(0, description="tokens encoded")
    too_short: tuple[str, ...] = Field((), description="examples of fewer than 2 tokens, not stored: why and where")
    rejects: tuple[str, ...] = Field((), description="examples that cannot be stored: why and where")


class IngestTotals(Record):
    """What became of the examples of a run so far."""

    new: int = 0
    replaced: int = 0
    updated: int = 0
    unchanged: int = 0
    tokens: int = Field(0, description="tokens encoded")
    too_short: int = Field(0, description="rows of fewer than 2 tokens")
    rejected: int = Field(0, description="rows that cannot be used, too short ones not included")

    @property
    def stored(self) -> int:
        """Examples of the run that the store holds."""
        return self.new + self.replaced + self.updated + self.unchanged


class IngestReport(Record):
    """Summary of one run of ingestion."""

    run_id: str
    dataset: str
    space: str = Field(description="fingerprint of the space")
    new: int
    replaced: int
    updated: int
    unchanged: int
    duplicates: int = Field(description="rows that repeat an earlier row of their file")
    rejected: int = Field(description="rows that were not stored, too short ones included")
    too_short: int = Field(description="rows of fewer than 2 tokens")
    tokens: int = Field(description="tokens encoded")
    seconds: float
    tokens_per_second: float
    stored: int = Field(description="examples in the space after the run")
    rejects: tuple[str, ...] = Field((), description="the first 100 reasons, each with its file and line")


class SignatureFile(Record):
    """A file of signatures that was written without a store."""

    path: str
    signatures: int
    dim: int = Field(description="coordinates of a signature")
    too_short: int = Field(description="rows of fewer than 2 tokens, left out")
    tokens: int
