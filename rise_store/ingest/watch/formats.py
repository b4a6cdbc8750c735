"""Which files are read, and which of them line by line as they grow."""

from __future__ import annotations

from rise_store.corpus import ExampleReader, SourceOptions, open_sources

_LINES = (".jsonl", ".ndjson")
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz")
_WHOLE = (".csv", ".tsv", ".parquet", ".txt", ".md", ".markdown")


class Formats:
    """How files are read, with the options of the user."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        self._format = options.get("format")

    def wanted(self, name: str) -> bool:
        """Whether a file of a folder is read: one of a known format."""
        name = name.lower()
        for suffix in _COMPRESSED:
            name = name.removesuffix(suffix)
        return name.endswith((*_LINES, *_WHOLE))

    def grows(self, name: str) -> bool:
        """Whether a file is read line by line as it grows; the others are read as wholes."""
        name = name.lower()
        if name.endswith(_COMPRESSED):
            return False
        return self._format == "jsonl" or (self._format is None and not name.endswith(_WHOLE))

    def open_whole(self, name: str) -> ExampleReader:
        """The examples of a file that is read as a whole."""
        return ExampleReader(open_sources([name], **self._options), distinct=False)
