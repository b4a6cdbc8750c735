"""What was erased and may not come back."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record


class TombstoneSet(Record):
    """The tombstones of one erasure."""

    id: str = Field(description="of the erasure")
    erased_at: str = Field(description="RFC 3339, UTC")
    reason: str = Field(description="as it was given; empty where none was")
    examples: int = Field(description="examples that were erased, whatever they were")


class TombstoneReport(Record):
    """The tombstones of a store; they disclose nothing about what they stand for."""

    sets: tuple[TombstoneSet, ...]
    examples: int = Field(description="examples of all sets together")
    lifted: TombstoneSet | None = Field(None, description="the set that was lifted, or would be; null: none was named")
    dry_run: bool = Field(True, description="whether nothing was written")
