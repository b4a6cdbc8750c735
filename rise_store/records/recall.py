"""How much of the exact answer an approximate search finds, measured on the rows of a store."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.queries import ApproximateSearch
from rise_store.records.spaces import Storage


class RecallMeasurement(Record):
    """One way to search: what it finds of the exact answer, and what it costs."""

    approximate: ApproximateSearch | None = Field(description="the setting; null: exact search")
    recall: float = Field(description="mean share of the exact top k that it finds, 0 to 1")
    recall_low: float = Field(description="lower end of the 95 % interval of that mean (Wilson)")
    milliseconds: float = Field(description="median time of a search with one query")


class RecallReport(Record):
    """Recall and time of each approximate setting that a space has, and which one to use."""

    space: str = Field(description="fingerprint of the space")
    storage: Storage
    examples: int = Field(description="stored examples that the filter let through")
    where: str | None = Field(None, description="the filter, in the language of --where")
    queries: int = Field(description="stored signatures that were drawn at random and asked with")
    k: int = Field(description="length of the answers, the query's own row left out")
    at_least: float = Field(description="recall that a setting must reach to be recommended")
    measurements: tuple[RecallMeasurement, ...] = Field(description="exact search first")
    recommended: ApproximateSearch | None = Field(description="what to use; null: exact search")
    reason: str = Field(description="why, in a sentence")
