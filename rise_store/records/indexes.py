"""Indexed payload fields."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rise_store.records.base import Record


class FieldIndex(Record):
    """An index of a payload field, which makes filters on it fast."""

    field: str = Field(description="path in the payload")
    kind: Literal["keyword", "integer", "float", "datetime"]
    own: bool = Field(description="whether the store makes it by itself")
    new: bool = Field(False, description="whether it was made just now")
