"""How the files of a watch are read, and which of them line by line as they grow."""

from __future__ import annotations

from collections.abc import Iterator

from rise_store.corpus import RejectedRow, SourceOptions, open_examples, open_sources
from rise_store.corpus.chat import ChatRenderer
from rise_store.corpus.compression import split_compression
from rise_store.corpus.dispatch import Format, check_format, format_of
from rise_store.corpus.folders import FoundFile
from rise_store.corpus.formats import TextFiles
from rise_store.corpus.sources import RawRow
from rise_store.errors import InputError
from rise_store.ingest.watch.seen import Seen
from rise_store.records import Example, Metadata


class Formats:
    """How files are read, with the options of the user."""

    def __init__(self, options: SourceOptions, render_chat: ChatRenderer | None = None) -> None:
        """Raises `InputError` for options that mean no files."""
        if options.get("sql") is not None:
            raise InputError("a query cannot be watched; ingest it, again and again if need be")
        self._options = options
        self._given = check_format(options.get("format"))
        self._reader = open_examples([], **options)
        self._reader.render_chat = render_chat

    @property
    def settings(self) -> Metadata:
        """What shapes the rows beside the files."""
        told = {"format": self._given, "encoding": self.encoding}
        return {**self._reader.settings, **{name: value for name, value in told.items() if value is not None}}

    @property
    def encoding(self) -> str | None:
        """Of text, CSV and JSON Lines; None for what a byte order mark says, or UTF-8."""
        return self._options.get("encoding")

    def format_of(self, name: str) -> Format | None:
        """The format of a file of a folder; None where it is not read."""
        return self._given or format_of(name.rpartition("/")[2])

    def grows(self, name: str) -> bool:
        """Whether a file is read line by line as it grows; the others are read as wholes."""
        file = name.rpartition("/")[2]
        return (self.format_of(file) or "jsonl") == "jsonl" and split_compression(file)[1] == "none"

    def example(self, row: RawRow | RejectedRow) -> Example | RejectedRow:
        """The example that a row stands for."""
        return row if isinstance(row, RejectedRow) else self._reader.example(row)

    def whole(self, file: Seen) -> Iterator[Example | RejectedRow]:
        """The examples of a file that is read as a whole; ids may repeat.

        Raises:
            InputError: it cannot be read.
        """
        if self.format_of(file.name) == "text":
            found = [FoundFile(file.relative or file.name, file.address)]
            reader = self._reader.like(
                [TextFiles(file.name, found, encoding=self.encoding, followed=True)], distinct=False
            )
        else:
            reader = self._reader.like(open_sources([file.address], **self._options), distinct=False)
        return iter(reader)
