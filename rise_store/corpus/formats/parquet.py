"""Parquet: one row an example, read batch by batch (extra `parquet`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rise_store.corpus.arrow_rows import ROWS_A_BATCH, batch_rows, require_distinct, require_pyarrow
from rise_store.corpus.sealed_files import SealedFiles
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
        self._address = os.fspath(path)
        self._remote = "://" in self._address
        self.name = os.fsencode(self._address).decode("utf-8", "replace")
        self._arrow = require_pyarrow(self.name)
        self._sealed = None if self._remote else SealedFiles(self.name, [Path(self._address)])
        self._rows_read = 0
        self.total_bytes: int | None = None
        with self._open() as file:
            self.columns: tuple[str, ...] | None = require_distinct(tuple(file.schema_arrow.names), self.name)
            self._rows: int = file.metadata.num_rows

    @property
    def bytes_read(self) -> int:
        """The share of the file that the rows read so far are."""
        return (self.total_bytes or 0) * self._rows_read // max(self._rows, 1)

    def manifest(self) -> SourceManifest:
        """What the file is at this moment; without SHA-256 where it is not local."""
        digest = self._sealed.seal() if self._sealed else None
        size = self._sealed.size() if self._sealed else self.total_bytes
        return SourceManifest(uri=self.name, format="parquet", bytes=size, sha256=digest)

    def __iter__(self) -> Iterator[RawRow | RejectedRow]:
        self._rows_read = 0
        with self._open() as file:
            for batch in file.iter_batches(batch_size=ROWS_A_BATCH):
                first = self._rows_read + 1
                self._rows_read += batch.num_rows
                yield from batch_rows(batch, first, self.name)
        if self._sealed:
            self._sealed.check()

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            with self._bytes() as source, self._arrow.parquet.ParquetFile(source, pre_buffer=False) as file:
                yield file
        except FileNotFoundError:
            raise InputError(f"{self.name}: no such file; check the path") from None
        except self._arrow.ArrowException as error:  # before OSError, which some of them are
            raise self._damaged(error) from None
        except OSError as error:
            if error.errno is None:  # pyarrow's word for damaged data
                raise self._damaged(error) from None
            raise InputError(f"{self.name}: cannot be read: {error.strerror or error}") from None

    def _damaged(self, error: Exception) -> InputError:
        where = f" after {self._rows_read:,} rows" if self._rows_read else ""
        problem = " ".join(str(error).split())[:200].rstrip(".")
        return InputError(f"{self.name}: cannot be read as Parquet{where}: {problem}; get the file again")

    @contextmanager
    def _bytes(self) -> Iterator[Any]:
        """The file's bytes, for random access."""
        if not self._remote:
            with Path(self._address).open("rb") as local:
                self.total_bytes = os.fstat(local.fileno()).st_size
                yield local
            return
        import fsspec

        try:
            opened = fsspec.open(self._address, "rb")
            self.total_bytes = opened.fs.size(opened.path)
        except (ImportError, ValueError) as error:  # a missing package, an unknown scheme
            raise InputError(f"{self.name}: {' '.join(str(error).split())}") from None
        with opened as remote:
            yield remote
