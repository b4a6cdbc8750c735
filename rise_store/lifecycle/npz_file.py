"""Signatures with payloads and space as an .npz that `numpy.load` reads without pickles.

space             JSON text of the Space record, 0-d
tables/<name>     the sketch tables
ids               (n) point ids as text
signatures        (n, dim) float16, or float32 where the store keeps turbo-quantized vectors
payloads          bytes of n JSON texts, one after the other
payload_offsets   (n + 1) int64: payload i is `payloads[payload_offsets[i]:payload_offsets[i + 1]]`
"""

from __future__ import annotations

import math
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import ValidationError

from rise_store.errors import InputError
from rise_store.lifecycle.pages import rows_a_page
from rise_store.lifecycle.rows import Row
from rise_store.records import Space
from rise_store.store import StoredPoint, Tables

_ID_DTYPE = np.dtype("<U36")
_TABLES = "tables/"
# RuntimeError is what an archive raises that claims to be encrypted, as one flipped bit can.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def write_npz(path: Path, space: Space, tables: Tables, rows: int, pages: Iterator[Sequence[StoredPoint]]) -> int:
    """Write `rows` rows, page by page; returns how many there were, which the caller compares.

    Ids, payloads and offsets wait in temporary files beside `path`, as an archive takes one array at a time.
    """
    dtype = signature_dtype(space)
    written = offset = 0
    with zipfile.ZipFile(path, "w") as archive, ExitStack() as stack:
        ids, payloads, offsets = (
            stack.enter_context(tempfile.TemporaryFile(dir=path.absolute().parent)) for _ in range(3)
        )
        _write_array(archive, "space", np.array(space.model_dump_json()))
        for name in sorted(tables):
            _write_array(archive, _TABLES + name, np.ascontiguousarray(tables[name]))
        offsets.write(np.int64(0).tobytes())
        with archive.open("signatures.npy", "w", force_zip64=True) as file:
            _write_header(file, dtype, (rows, space.dim))
            for page in pages:
                written += len(page)
                for point in page:
                    assert point.vector is not None
                    file.write(point.vector.astype(dtype).tobytes())
                    payload = orjson.dumps(point.payload)
                    payloads.write(payload)
                    offset += len(payload)
                    offsets.write(np.int64(offset).tobytes())
                    ids.write(np.array(str(point.id), _ID_DTYPE).tobytes())
        for name, part, part_dtype, length in (
            ("ids", ids, _ID_DTYPE, written),
            ("payloads", payloads, np.dtype(np.uint8), offset),
            ("payload_offsets", offsets, np.dtype("<i8"), written + 1),
        ):
            part.seek(0)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                _write_header(file, part_dtype, (length,))
                shutil.copyfileobj(part, file)
    return written


def signature_dtype(space: Space) -> np.dtype[Any]:
    """What holds the stored vectors of a space without loss."""
    return np.dtype("<f2" if space.storage.vectors == "float16" else "<f4")


class NpzReader:
    """An exported .npz, open until the `with` block ends; `InputError` when it is none or is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        try:
            self._archive = self._stack.enter_context(zipfile.ZipFile(path))
            names = {name.removesuffix(".npy") for name in self._archive.namelist()}
            missing = {"space", "ids", "signatures", "payloads", "payload_offsets"} - names
            if missing:
                raise InputError(
                    f"{path} has no array {sorted(missing)[0]!r}, so it is no export of a store. Write one with "
                    "rise-store export"
                )
            self.space = Space.model_validate_json(str(self._array("space")))
            self.tables: Mapping[str, npt.NDArray[Any]] = {
                name.removeprefix(_TABLES): self._array(name) for name in names if name.startswith(_TABLES)
            }
            self._columns = {name: self._column(name) for name in ("ids", "signatures", "payloads", "payload_offsets")}
            self.rows = self._check_shapes()
        except BaseException as error:
            self._stack.close()
            if isinstance(error, (*_DAMAGED, ValidationError)):
                raise self._damaged(error) from error
            raise

    def __enter__(self) -> NpzReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pages(self) -> Iterator[list[Row]]:
        """The rows, in the order of the file."""
        size = rows_a_page(self.space.dim)
        try:
            start = int(self._columns["payload_offsets"].read(1)[0])
            for first in range(0, self.rows, size):
                count = min(size, self.rows - first)
                ids = self._columns["ids"].read(count)
                vectors = self._columns["signatures"].read(count).reshape(count, self.space.dim).astype(np.float32)
                offsets = [start, *self._columns["payload_offsets"].read(count).tolist()]
                blob = self._columns["payloads"].read(offsets[-1] - start).tobytes()
                texts = [blob[one - start : other - start] for one, other in pairwise(offsets)]
                start = offsets[-1]
                yield [
                    self._row(first + number, ids[number], vectors[number], texts[number]) for number in range(count)
                ]
        except _DAMAGED as error:
            raise self._damaged(error) from error

    def _row(self, number: int, id_: str, vector: npt.NDArray[np.float32], text: bytes) -> Row:
        location = f"{self._path} row {number}"
        try:
            payload = orjson.loads(text)
            if not isinstance(payload, dict):
                raise ValueError("it is no object")
            return Row(UUID(str(id_)), vector, payload, location)
        except ValueError as error:
            raise InputError(f"{location}: the id or payload cannot be read: {error}") from error

    def _check_shapes(self) -> int:
        for name, kinds, meant in (
            ("ids", "U", "texts"), ("signatures", "f", "floats"), ("payloads", "u", "bytes"),
            ("payload_offsets", "iu", "whole numbers"),
        ):  # fmt: skip
            found = self._columns[name].dtype
            if found.kind not in kinds or (name == "payloads" and found.itemsize != 1):
                raise InputError(f"{self._path}: {name} are {found}, not {meant}; export it anew")
        shape = self._columns["ids"].shape
        rows = shape[0] if shape else 0
        expected: dict[str, tuple[int, ...]] = {
            "ids": (rows,),
            "signatures": (rows, self.space.dim),
            "payload_offsets": (rows + 1,),
            "payloads": (math.prod(self._columns["payloads"].shape),),
        }
        for name, shape in expected.items():
            column = self._columns[name]
            if column.shape != shape:
                raise InputError(f"{self._path}: {name} has shape {column.shape}, expected {shape}; export it anew")
        return rows

    def _array(self, name: str) -> npt.NDArray[Any]:
        with self._archive.open(f"{name}.npy") as file:
            array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array

    def _column(self, name: str) -> _Column:
        return _Column(self._stack.enter_context(self._archive.open(f"{name}.npy")))

    def _damaged(self, error: Exception) -> InputError:
        problem = " ".join(str(error).split())
        return InputError(f"{self._path} cannot be read as an export: {problem}. Export it anew")


class _Column:
    """An array in an archive, read from front to back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        self.shape, fortran, self.dtype = read(file)
        if fortran or self.dtype.hasobject:
            raise ValueError("an array is in Fortran order or holds Python objects")
        self._width = int(np.prod(self.shape[1:], dtype=np.int64))

    def read(self, rows: int) -> npt.NDArray[Any]:
        """The next `rows` rows, flat."""
        wanted = rows * self._width * self.dtype.itemsize
        data = self._file.read(wanted) if wanted >= 0 else b""
        if len(data) != wanted:
            raise EOFError("it ends too early")
        return np.frombuffer(data, self.dtype)


def _write_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _write_header(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
