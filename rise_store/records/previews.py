"""How a corpus would be read."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.ingestion import Reject


class PreviewField(Record):
    """A field of the rows, and what becomes of it."""

    name: str
    rows: int = Field(description="rows that have it")
    use: str = Field(description="fields of an example that it goes to, metadata, or empty where it is left out")


class PreviewRow(Record):
    """How one row would be read."""

    location: str = Field(description="file:line")
    rejected: str | None = Field(None, description="why it would not be stored; the other fields then are empty")
    key: str | None = Field(None, description="key of the example within its dataset")
    license: str | None = Field(None, description="SPDX id of this row; null where it is the dataset's")
    source_uri: str | None = Field(None, description="where this row came from; null where it is the dataset's")
    metadata: tuple[str, ...] = Field((), description="names of its metadata fields")
    text: str = Field("", description="beginning of the text that is encoded")
    characters: int | None = Field(None, description="length of the text that is encoded")
    tokens: int | None = Field(None, description="null where no model was named")
    chunks: int | None = Field(None, description="null where no model was named")


class Preview(Record):
    """How the first rows of a corpus would be read, tokenized and chunked, and what would be rejected."""

    sources: tuple[str, ...] = Field(description="names of the files, queries and streams")
    model: str | None = Field(None, description="whose tokenizer was used; null where none was named")
    rows: int = Field(description="rows that were looked at")
    complete: bool = Field(description="whether these are all rows of the sources")
    usable: int = Field(description="rows that would be stored")
    rejected: int = Field(description="rows that would not be stored, too short ones included")
    too_short: int = Field(0, description="rows of fewer than 2 tokens")
    duplicates: int = Field(0, description="rows that repeat an earlier row")
    characters: int = Field(0, description="of the texts that would be encoded")
    tokens: int | None = Field(None, description="of the texts that would be encoded; null where no model was named")
    chunks: int | None = Field(None, description="that would be encoded; null where no model was named")
    stopped: str | None = Field(None, description="what ended the reading early; null where nothing did")
    fields: tuple[PreviewField, ...] = Field((), description="the first 200 fields that the rows have")
    missing: tuple[str, ...] = Field((), description="fields that the mapping names and none of the rows has")
    examples: tuple[PreviewRow, ...] = Field((), description="the first rows")
    rejects: tuple[Reject, ...] = Field((), description="the first 20 rejected rows behind these")
