"""Sketch tables as a file: an npz archive without pickles, checked against the SHA-256 that its space states.

The same tables make the same bytes.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from rise_store.digests import arrays_sha256
from rise_store.errors import StoreError
from rise_store.store.backend import Tables


def tables_sha256(tables: Tables) -> str:
    """SHA-256 of the tables, hexadecimal: names in order, each with its dtype, shape and little-endian bytes."""
    for name, table in tables.items():
        if table.dtype.hasobject:
            raise StoreError(f"the table {name!r} holds Python objects. Tables are arrays of numbers")
    return arrays_sha256(tables)


def write_tables(target: Path | IO[bytes], tables: Tables) -> None:
    """Write the tables as an npz archive that `numpy.load` reads."""
    # numpy.savez takes the names as keyword arguments, so that some names would be taken for its own parameters.
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(tables):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(tables[name]), allow_pickle=False)


def read_tables(path: Path, sha256: str) -> dict[str, npt.NDArray[Any]]:
    """The tables at `path`; `StoreError` when the file is missing, is no such archive, or has another SHA-256."""
    return load_tables(path, sha256, path)


def load_tables(source: Path | IO[bytes], sha256: str, where: object) -> dict[str, npt.NDArray[Any]]:
    """Like `read_tables`, from a file that may be open; messages say that it is `where`."""
    tables: dict[str, npt.NDArray[Any]] = {}
    try:
        # numpy.load would take a file that is no archive for a pickle, and advise to trust it.
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    tables[name.removesuffix(".npy")] = np.lib.format.read_array(file, allow_pickle=False)
    # RuntimeError: of a name that is marked as encrypted.
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"the sketch tables in {where} cannot be read: {error}. {_REMEDY}") from error
    found = tables_sha256(tables)
    if found != sha256:
        raise StoreError(f"the sketch tables in {where} are damaged: SHA-256 {found}, expected {sha256}. {_REMEDY}")
    return tables


_REMEDY = "Restore them from a copy of the store; without its tables a space cannot be queried or extended"
