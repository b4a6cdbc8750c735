"""An exported file -> a space of a store."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from rise_store.errors import InputError
from rise_store.lifecycle.export import format_of
from rise_store.lifecycle.npz_file import NpzReader
from rise_store.lifecycle.pages import Progress
from rise_store.lifecycle.parquet_file import ParquetReader
from rise_store.lifecycle.rows import Row, Written, target_collection, write_rows
from rise_store.records import ImportReport
from rise_store.store import Backend, Tombstones


def import_file(
    backend: Backend, source: Path, *, new_space: bool = False, progress: Progress | None = None
) -> ImportReport:
    """Store the rows of a file that `export_collection` wrote; creates its space where the store has none.

    Idempotent: rows that are there, equal, are only counted. Every row is checked before its page is written.

    Args:
        backend: the store.
        source: an .npz or .parquet file.
        new_space: allow a second space beside another one.
        progress: is told rows done and rows in all.

    Raises:
        InputError: the file is no export or damaged; for a bad row, its number. The pages before it are stored.
        ConfigError: another ending, or pyarrow is not installed.
        SpaceMismatchError: the store has another space, and `new_space` is False.
    """
    reader_of = NpzReader if format_of(source) == ".npz" else ParquetReader
    if not source.is_file():
        raise InputError(f"there is no file {source}")
    with reader_of(source) as reader:
        pages = _checked(reader)
        first = list(islice(pages, 1))  # before a space is made for it
        collection, created = target_collection(backend, reader.space, reader.tables, str(source), new_space=new_space)
        tombstones = Tombstones(backend.catalogue())
        written = Written()
        done = 0
        for page in chain(first, pages):
            written += write_rows(collection, page, tombstones)
            done += len(page)
            if progress is not None:
                progress(done, reader.rows)
        collection.tidy()
    return ImportReport(
        source=str(source),
        space=reader.space.fingerprint,
        created_space=created,
        new=written.new,
        replaced=written.replaced,
        unchanged=written.unchanged,
        refused=written.refused,
        stored=collection.count(),
    )


def _checked(reader: NpzReader | ParquetReader) -> Iterator[list[Row]]:
    for page in reader.pages():
        for row in page:
            row.check(reader.space)
        yield page
