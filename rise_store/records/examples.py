"""Training records."""

from __future__ import annotations

import hashlib

from pydantic import Field

from rise_store.records.base import Metadata, Record


class RowOrigin(Record):
    """Where a row was read."""

    file: str = Field(description="path or address of the file, query or stream")
    row: int = Field(description="number of the row in it, from 1; in a text file the line")
    start: int | None = Field(None, description="first byte of the row in the file, decompressed; null where unknown")
    end: int | None = Field(None, description="first byte behind the row; null where unknown")


class Example(Record):
    """One training record: a text, a prompt with its completion, or an instruction triple."""

    id: str = Field("", description="key within the dataset; by default derived from the content")
    text: str | None = Field(None, description="plain text")
    prompt: str | None = Field(None, description="what comes before the completion")
    completion: str | None = Field(None, description="what follows the prompt, concatenated as it is")
    instruction: str | None = Field(None, description="instruction of an instruction row")
    input: str | None = Field(None, description="input of an instruction row")
    output: str | None = Field(None, description="output of an instruction row")
    license: str | None = Field(None, description="SPDX id of this row, where it differs from the dataset's")
    source_uri: str | None = Field(None, description="where this row came from, where it differs from the dataset's")
    metadata: Metadata = Field(default_factory=dict, description="the record's own fields, kept as they are")
    location: str = Field("", description="file:line, for messages", exclude=True)
    origin: RowOrigin | None = Field(None, description="where the row was read", exclude=True)

    @property
    def content(self) -> str:
        """The text that is encoded (DESIGN section 2.9): the first of text, prompt + completion, instruction triple.

        `text` is stripped; prompt and completion are concatenated as they are; the non-empty ones of
        instruction, input and output are joined by newlines and stripped. Empty when the row has none.
        """
        if self.text is not None and self.text.strip():
            return self.text.strip()
        if self.prompt or self.completion:
            return (self.prompt or "") + (self.completion or "")
        return "\n".join(part for part in (self.instruction, self.input, self.output) if part).strip()

    @property
    def content_sha256(self) -> str:
        """SHA-256 of `content` in UTF-8, hexadecimal."""
        return hashlib.sha256(self.content.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def key(self) -> str:
        """The example key: `id`, or the first 32 hex digits of the content hash when there is none."""
        return self.id or self.content_sha256[:32]
