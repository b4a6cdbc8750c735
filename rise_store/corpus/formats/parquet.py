"""Parquet: one row an example, read batch by batch (extra `parquet`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rise_store.corpus.arrow_rows import ROWS_A_BATCH, batch_rows, require_distinct
from rise_store.corpus.byte_source import ByteSource
from rise_store.corpus.extras import require_extra
from rise_store.corpus.locations import locate
from rise_store.corpus.sources import RawRow, RejectedRow
from rise_store.errors import InputError
from rise_store.records import SourceManifest


class ParquetFile:
    """The rows of one Parquet file, local or at an address that fsspec opens. A `Source` and a `TableSource`.

    Structs become objects, lists lists, and dates, times and decimals what `plain_value` makes of them. A row with a
    value that cannot be read is rejected; damaged data ends the reading.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises `InputError` when the file cannot be opened, is no Parquet, or pyarrow is missing."""
        self._location = locate(path)
        self.name = self._location.name
        if not self._location.is_rereadable:
            raise InputError(f"{self.name}: Parquet is read from files only, not from a pipe; write it to a file")
        self._arrow = require_extra("pyarrow", "parquet", self.name)
        self._parquet = require_extra("pyarrow.parquet", "parquet", self.name)
        self.total_bytes = self._location.size
        self._rows_read = 0
        self._promised: object = None  # the version of the file that the manifest describes
        with self._open() as file:
            self.columns: tuple[str, ...] | None = require_distinct(tuple(file.schema_arrow.names), self.name)
            self._rows: int = file.metadata.num_rows

    @property
    def bytes_read(self) -> int:
        """The share of the file that the rows read so far are."""
        return (self.total_bytes or 0) * self._rows_read // max(self._rows, 1)

    def manifest(self) -> SourceManifest:
        """What the file is at this moment."""
        manifest = ByteSource(self._location).manifest("parquet")
        self._promised = self._location.version()
        return manifest

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        self._rows_read = 0
        with self._open() as file:
            for batch in file.iter_batches(batch_size=ROWS_A_BATCH):
                first = self._rows_read + 1
                self._rows_read += batch.num_rows
                yield from batch_rows(batch, first, self.name)
        if self._promised is not None and self._location.version() != self._promised:
            raise InputError(f"{self.name}: changed while it was read; run the same command again")

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            with self._location.open() as source, self._parquet.ParquetFile(source, pre_buffer=False) as file:
                yield file
        except InputError:
            raise
        except self._arrow.ArrowException as error:  # before OSError, which some of them are
            raise self._damaged(error) from None
        except OSError as error:
            if error.errno is None:  # pyarrow's word for damaged data
                raise self._damaged(error) from None
            raise self._location.explained(error) from None

    def _damaged(self, error: Exception) -> InputError:
        where = f" after {self._rows_read:,} rows" if self._rows_read else ""
        problem = " ".join(str(error).split())[:200].rstrip(".")
        return InputError(f"{self.name}: cannot be read as Parquet{where}: {problem}; get the file again")
