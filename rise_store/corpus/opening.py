"""Names that a user gives -> sources -> examples."""

from __future__ import annotations

import os
from collections.abc import Sequence

from typing_extensions import TypedDict, Unpack

from rise_store.corpus.dispatch import open_source
from rise_store.corpus.reader import ExampleReader
from rise_store.corpus.sources import Source


class SourceOptions(TypedDict, total=False):
    """How sources are read; every key may be left out."""

    format: str | None  # one of `FORMATS`, of all names; by default told by their suffixes
    encoding: str | None  # of text, CSV and JSON Lines; by default UTF-8, or what a byte order mark says


def open_sources(names: Sequence[str | os.PathLike[str]], **options: Unpack[SourceOptions]) -> list[Source]:
    """The sources that names stand for: files, folders, patterns, addresses, datasets; see `open_source`.

    Raises:
        InputError: a source that does not exist, cannot be opened, or needs a package that is not installed.
    """
    format, encoding = options.get("format"), options.get("encoding")
    return [source for name in names for source in open_source(name, format, encoding)]


def open_examples(names: Sequence[str | os.PathLike[str]], **options: Unpack[SourceOptions]) -> ExampleReader:
    """The examples of sources, one after the other; see `open_sources` and `ExampleReader`."""
    return ExampleReader(open_sources(names, **options))
