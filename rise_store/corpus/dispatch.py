"""Which reader a name stands for."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, get_args

from rise_store.corpus.compression import split_compression
from rise_store.corpus.folders import expand
from rise_store.corpus.formats.csv import CsvFile
from rise_store.corpus.formats.hf_datasets import HUB_PREFIX, HfDataset, is_saved_dataset
from rise_store.corpus.formats.jsonl import JsonLines
from rise_store.corpus.formats.parquet import ParquetFile
from rise_store.corpus.formats.text import TextFiles
from rise_store.corpus.locations import public_name
from rise_store.corpus.remote import address_filename
from rise_store.corpus.sources import Source
from rise_store.errors import InputError

Format = Literal["jsonl", "csv", "tsv", "text", "parquet"]
"""Formats of files."""

FORMATS: tuple[Format, ...] = get_args(Format)

_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
}

_READERS: dict[Format, Callable[[str, str | None], Source]] = {
    "jsonl": lambda name, encoding: JsonLines(name, encoding=encoding),
    "csv": lambda name, encoding: CsvFile(name, encoding=encoding),
    "tsv": lambda name, encoding: CsvFile(name, encoding=encoding, delimiter="\t"),
    "text": lambda name, encoding: TextFiles.at(name, encoding=encoding),
    "parquet": lambda name, encoding: ParquetFile(name),
}


def format_of(filename: str) -> Format | None:
    """The format that a file name tells, compressed or not; None for a suffix that nobody knows."""
    name, compression = split_compression(filename)
    format = _SUFFIXES.get(os.path.splitext(name)[1].lower())
    return None if format == "parquet" and compression != "none" else format


def check_format(format: str | None) -> Format | None:
    """A format as it was given. Raises `InputError` for one that nobody knows."""
    if format is None or format in FORMATS:
        return format
    raise InputError(f"unknown format {format!r}; known are {', '.join(FORMATS)}")


def open_source(
    name: str | os.PathLike[str], format: str | None = None, encoding: str | None = None, split: str | None = None
) -> list[Source]:
    """The sources that one name stands for.

    A file is read in the format that its suffix tells, and as JSON Lines where that is unknown. A folder or pattern
    stands for its files: all of them where a format is given, else those whose format is known. Each file with rows
    is a source of its own, in the order of their paths; behind them the text files are one together.

    Args:
        name: a path, a pattern, an address, `-`, or a dataset of Hugging Face: a saved one's folder, or its name.
        format: of all files, in place of what their suffixes tell.
        encoding: of text, CSV and JSON Lines.
        split: of a dataset of Hugging Face.

    Raises:
        InputError: nothing there that can be read, or a package that it needs is not installed.
    """
    given = check_format(format)
    if os.fspath(name).startswith(HUB_PREFIX) or is_saved_dataset(name):
        return [HfDataset(name, split)]
    folder = expand(name)
    if folder is None:
        public = public_name(name)
        filename = address_filename(public) if "://" in public else public
        return [_READERS[given or format_of(filename) or "jsonl"](os.fspath(name), encoding)]
    sources, documents = [], []
    for file in folder.files:
        kind = given or format_of(file.relative)
        if kind == "text":
            documents.append(file)
        elif kind is not None:
            sources.append(_READERS[kind](file.address, encoding))
    if documents:
        sources.append(TextFiles(folder.name, documents, encoding=encoding))
    if not sources:
        known = " ".join(sorted(_SUFFIXES))
        raise InputError(
            f"{folder.name}: holds no file of a known format ({known}); name it with --input-format to read all files"
        )
    return sources
