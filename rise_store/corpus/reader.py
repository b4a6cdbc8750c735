"""Sources of rows -> examples."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rise_store.corpus.chat import ChatRenderer, chat_field, chat_messages
from rise_store.corpus.field_check import FieldCheck, check_columns, check_content
from rise_store.corpus.formats import JsonLines
from rise_store.corpus.key_index import KeyIndex
from rise_store.corpus.lines import MAX_LINE_BYTES
from rise_store.corpus.mapping import FieldMapping
from rise_store.corpus.plain_values import printable_value
from rise_store.corpus.rows import parse_row
from rise_store.corpus.sources import RawRow, RejectedRow, Source, TableSource
from rise_store.errors import InputError
from rise_store.records import Example, Metadata, SourceManifest


class ExampleReader:
    """Iterates over the examples of sources, and over the rows that are none.

    A row that cannot be used comes as a `RejectedRow`, and reading goes on behind it: what its reader, the mapping or
    `parse_row` refuses. A row that repeats an earlier one of the sources, metadata included, is skipped and counted in
    `duplicates`. A row without an `id` that repeats an earlier text with other metadata is rejected, since both would
    have the same key.

    `total_bytes` is the size of the sources as they lie on disk (None when one of them does not know its size) and
    `bytes_read` how much of that was read, which goes from 0 to `total_bytes`.

    A chat row becomes a text through `render_chat`, which whoever loads the model sets (ingestion does); while it is
    None, chat rows are rejected.

    Iterating raises `InputError` where going on would lose data: a file that is damaged or cannot be read, an `id`
    that stands for two different rows of the sources, and a field of the mapping that none of the first rows has.
    """

    render_chat: ChatRenderer | None = None
    on_row: Callable[[RawRow | RejectedRow], None] | None = None  # is shown each row as its source gives it

    def __init__(
        self,
        sources: Iterable[str | os.PathLike[str] | Source],
        max_line_bytes: int = MAX_LINE_BYTES,
        *,
        distinct: bool = True,
        mapping: FieldMapping | None = None,
        chat_template: str | None = None,
        settings: Metadata | None = None,
    ) -> None:
        """A path stands for a JSON Lines file.

        `distinct=False` lets keys repeat; `chat_template` takes the place of the model's own (Jinja); `settings` says
        what else shapes the rows and may be kept in a run's manifest.

        Raises `InputError` when one of the files cannot be opened, or is a table that lacks a column of the mapping.
        """
        self._distinct = distinct
        self.mapping = mapping or FieldMapping()
        self._chat_template = chat_template
        self._settings = settings or {}
        self._sources: list[Source] = [
            JsonLines(source, max_line_bytes) if isinstance(source, str | os.PathLike) else source for source in sources
        ]
        sizes = [source.total_bytes for source in self._sources]
        known = [size for size in sizes if size is not None]
        self.total_bytes = sum(known) if len(known) == len(sizes) else None
        self.duplicates = 0
        self._begun: list[Source] = []
        for source in self._sources:
            self._check_columns(source)

    @property
    def distinct(self) -> bool:
        """Whether keys are checked to stand for one row each."""
        return self._distinct

    @property
    def bytes_read(self) -> int:
        """Bytes of the sources, compressed as they are, that were read so far."""
        return sum(source.bytes_read for source in self._begun)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sources, for messages."""
        return tuple(source.name for source in self._sources)

    @property
    def settings(self) -> Metadata:
        """What shapes the rows beside the sources, for the manifest of a run; empty where nothing does."""
        template = self._chat_template
        chat = {"chat_template": hashlib.sha256(template.encode()).hexdigest()} if template is not None else {}
        return {**self._settings, **self.mapping.settings, **chat}

    def manifests(self) -> tuple[SourceManifest, ...]:
        """What the sources are at this moment; see `Source.manifest`."""
        return tuple(source.manifest() for source in self._sources)

    def __iter__(self) -> Iterator[Example | RejectedRow]:
        self.duplicates = 0
        self._begun = []
        index = KeyIndex()
        fields = FieldCheck(self.mapping)
        location = ""
        for number, source in enumerate(self._sources):
            self._begun.append(source)
            columns_known = False
            for row in source:
                if not columns_known:  # a query has none before it runs
                    self._check_columns(source)
                    columns_known = True
                if self.on_row is not None:
                    self.on_row(row)
                location = row.location
                if isinstance(row, RejectedRow):
                    yield row
                    continue
                fields.saw(row.fields, location)
                read = self.example(row)
                if isinstance(read, Example) and self._distinct:
                    yield from self._unless_known(read, row, number, index)
                else:
                    yield read
        fields.finish(location)

    def _check_columns(self, source: Source) -> None:
        if isinstance(source, TableSource) and source.columns is not None:
            check_columns(self.mapping, source.columns, source.name)

    def like(self, sources: Iterable[Source], *, distinct: bool = True) -> ExampleReader:
        """A reader of other sources that reads their rows in the same way."""
        reader = ExampleReader(sources, distinct=distinct, mapping=self.mapping, chat_template=self._chat_template)
        reader.render_chat = self.render_chat
        return reader

    def example(self, row: RawRow) -> Example | RejectedRow:
        """The example that a row stands for, or why it stands for none."""
        try:
            return parse_row(self._own_layout(row), row.location, row.origin)
        except InputError as error:
            return RejectedRow(row.location, str(error), row.origin, printable_value(row.fields))

    def _own_layout(self, row: RawRow) -> Any:
        """The fields of a row as `parse_row` reads them."""
        try:
            fields = self.mapping(row.fields)
            chat = chat_field(fields)
            if chat is None:
                check_content(self.mapping, fields, row.fields)
            if chat is None or self.render_chat is None:
                return fields
            text = self.render_chat(chat_messages(fields[chat], chat), self._chat_template)
            return {name: value for name, value in fields.items() if name != chat} | {"text": text}
        except InputError as error:
            raise InputError(f"{row.location}: {error}") from None

    def _unless_known(
        self, example: Example, row: RawRow, source: int, index: KeyIndex
    ) -> Iterator[Example | RejectedRow]:
        before = index.add(example, source, row.origin.row)
        if before is None:
            yield example
            return
        if before.same:
            self.duplicates += 1
            return
        there = f"{self._sources[before.file].name}:{before.line}"
        if example.id:
            raise InputError(
                f'{row.location}: "id" {example.id[:60]!r} stands for another row at {there}; '
                "give each row an id of its own"
            )
        reason = (
            f'{row.location}: the same text stands at {there} with other metadata; give the rows an "id" to keep both'
        )
        yield RejectedRow(row.location, reason, row.origin, printable_value(row.fields))


def read_jsonl(path: str | os.PathLike[str]) -> ExampleReader:
    """The examples of one JSON Lines file, plain, `.gz` or `.zst`; `-` is standard input.

    Raises `InputError` when the file cannot be opened; see `ExampleReader` for what iterating yields and raises.
    """
    return ExampleReader([path])


def read_examples(paths: Iterable[str | os.PathLike[str]]) -> ExampleReader:
    """The examples of several JSON Lines files, one file after the other; see `read_jsonl`."""
    return ExampleReader(paths)
