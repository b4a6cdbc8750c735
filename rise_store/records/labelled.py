"""Queries whose right answers are known."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from rise_store.records.queries import Query


class LabelledQuery(Query):
    """A query with the stored examples that ought to rank high, which are its positives; all others are negatives."""

    relevant: str | dict[str, Any] | tuple[str, ...] = Field(
        description="a filter in the language of --where or as JSON, or a list of example ids"
    )
    location: str = Field("", description="file:line, for messages", exclude=True)
