"""A space of a store -> one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rise_store.errors import ConfigError, StoreError
from rise_store.lifecycle.npz_file import write_npz
from rise_store.lifecycle.pages import Progress, in_pages, rows_a_page
from rise_store.lifecycle.parquet_file import write_parquet
from rise_store.records import ExportReport
from rise_store.store import Collection, Filter, StoredPoint, Tables
from rise_store.whole_files import check_writable, whole_file

FORMATS = (".npz", ".parquet")


def export_collection(
    collection: Collection,
    tables: Tables,
    out: Path,
    *,
    where: Filter | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write signatures, payloads, the space and its tables; see `npz_file` and `parquet_file` for what is where.

    Memory does not grow with the store. The file appears whole or not at all.

    Args:
        collection: of one space.
        tables: the space's sketch tables.
        out: a file that ends in .npz or .parquet.
        where: which examples; all of them if None.
        progress: is told rows done and rows in all.

    Raises:
        ConfigError: another ending, or pyarrow is not installed.
        InputError: the file cannot be written.
        StoreError: the store changed meanwhile.
    """
    format_of(out)
    check_writable(out)
    space = collection.space
    rows = collection.count(where)
    pages = _pages(collection, where, rows, progress)
    with whole_file(out) as draft:
        if out.suffix == ".npz":
            written = write_npz(draft, space, tables, rows, pages)
        else:
            written = write_parquet(draft, space, tables, pages)
        if written != rows:
            raise StoreError(f"the store changed during the export, from {rows} rows to {written}. Export again")
        size = draft.stat().st_size
    return ExportReport(path=str(out), format=out.suffix[1:], space=space.fingerprint, examples=rows, size_bytes=size)


def format_of(path: Path) -> str:
    """`.npz` or `.parquet`; `ConfigError` for another ending."""
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path} ends in neither .npz nor .parquet, so its format is unknown; rename it")
    return path.suffix


def _pages(
    collection: Collection, where: Filter | None, rows: int, progress: Progress | None
) -> Iterator[Sequence[StoredPoint]]:
    done = 0
    for page in in_pages(collection.scroll(where, with_vectors=True), rows_a_page(collection.space.dim)):
        yield page
        done += len(page)
        if progress is not None:
            progress(done, rows)
