"""Names that a user gives -> sources -> examples."""

from __future__ import annotations

import os
from collections.abc import Sequence

from typing_extensions import TypedDict, Unpack

from rise_store.corpus.formats import JsonLines
from rise_store.corpus.reader import ExampleReader
from rise_store.corpus.sources import Source


class SourceOptions(TypedDict, total=False):
    """How sources are read; every key may be left out."""

    format: str | None  # jsonl, ...; by default told by the name


def open_sources(names: Sequence[str | os.PathLike[str]], **options: Unpack[SourceOptions]) -> list[Source]:
    """The sources that names stand for.

    Raises:
        InputError: a source that does not exist, cannot be opened, or needs a package that is not installed.
    """
    return [JsonLines(name) for name in names]


def open_examples(names: Sequence[str | os.PathLike[str]], **options: Unpack[SourceOptions]) -> ExampleReader:
    """The examples of sources, one after the other; see `open_sources` and `ExampleReader`."""
    reader = ExampleReader(open_sources(names, **options))
    reader.settings = {name: value for name, value in options.items() if value is not None}
    return reader
