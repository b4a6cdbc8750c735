"""Signatures with payloads and space as Parquet, one row group a page (extra `parquet`).

Columns: `id`, the payload fields of their own types, `channel_norm_rh` and `channel_norm_gh`, `metadata` as JSON text,
`extra` as JSON text for payload fields that have no column, `signature` as a list of fixed size. The file's metadata
holds the Space record (`rise_store.space`, JSON) and the sketch tables (`rise_store.table.<name>`, base64 of .npy).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import ValidationError

from rise_store.errors import ConfigError, InputError
from rise_store.lifecycle.npz_file import signature_dtype
from rise_store.lifecycle.pages import rows_a_page
from rise_store.lifecycle.rows import Row
from rise_store.records import Space
from rise_store.store import Payload, StoredPoint, Tables, with_flags

_TEXT_COLUMNS = (
    "example_id", "dataset", "dataset_version", "source_uri", "license", "content_sha256", "record_sha256", "run_id",
    "ingested_at", "text",
)  # fmt: skip
_INTEGER_COLUMNS = ("tokens", "chunks")
_SPACE, _TABLE = b"rise_store.space", b"rise_store.table."


def write_parquet(path: Path, space: Space, tables: Tables, pages: Iterator[Sequence[StoredPoint]]) -> int:
    """Write rows page by page; returns how many there were.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    arrow, parquet = _pyarrow()
    schema = _schema(arrow, space, tables)
    written = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for page in pages:
            written += len(page)
            writer.write_table(_table(arrow, schema, space, page))
    return written


class ParquetReader:
    """An exported Parquet file, open until the `with` block ends; `InputError` when it is none or is damaged.

    `ConfigError` when pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._arrow, parquet = _pyarrow()
        self._path = path
        try:
            self._file = parquet.ParquetFile(path)
        except (OSError, self._arrow.ArrowException) as error:
            raise self._damaged(error) from error
        try:
            described = self._file.schema_arrow.metadata or {}
            if _SPACE not in described or not self._has_signatures():
                raise InputError(
                    f"{path} says nothing of a signature space, so it is no export of a store. Write one with "
                    "rise-store export"
                )
            self.space = Space.model_validate_json(described[_SPACE])
            self.tables: Mapping[str, npt.NDArray[Any]] = {
                key.removeprefix(_TABLE).decode(): _array(value)
                for key, value in described.items()
                if key.startswith(_TABLE)
            }
            self.rows: int = self._file.metadata.num_rows
        except BaseException as error:
            self._file.close()
            if isinstance(error, ValueError | ValidationError):
                raise self._damaged(error) from error
            raise

    def __enter__(self) -> ParquetReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def pages(self) -> Iterator[list[Row]]:
        """The rows, in the order of the file."""
        number = 0
        try:
            for batch in self._file.iter_batches(batch_size=rows_a_page(self.space.dim)):
                columns = {name: batch.column(name).to_pylist() for name in batch.schema.names if name != "signature"}
                vectors = self._vectors(batch.column("signature"), number)
                yield [
                    self._row(number + row, vectors[row], {name: values[row] for name, values in columns.items()})
                    for row in range(batch.num_rows)
                ]
                number += batch.num_rows
        except (OSError, self._arrow.ArrowException) as error:
            raise self._damaged(error) from error

    def _has_signatures(self) -> bool:
        types, schema = self._arrow.types, self._file.schema_arrow
        if "signature" not in schema.names:
            return False
        kind = schema.field("signature").type
        is_list = types.is_fixed_size_list(kind) or types.is_list(kind)
        return bool(is_list and types.is_floating(kind.value_type))

    def _vectors(self, column: Any, first: int) -> npt.NDArray[np.float32]:
        flat = column.flatten()
        if column.null_count or flat.null_count or len(flat) != len(column) * self.space.dim:
            raise InputError(
                f"{self._path}, rows from {first} on: a signature is missing or has not {self.space.dim} coordinates"
            )
        values: npt.NDArray[np.float32] = flat.to_numpy(zero_copy_only=False).astype(np.float32)
        return values.reshape(len(column), self.space.dim)

    def _row(self, number: int, vector: npt.NDArray[np.float32], fields: dict[str, Any]) -> Row:
        location = f"{self._path} row {number}"
        try:
            payload: Payload = {
                name: fields[name] for name in (*_TEXT_COLUMNS, *_INTEGER_COLUMNS) if fields.get(name) is not None
            }
            norms = (fields.get("channel_norm_rh"), fields.get("channel_norm_gh"))
            if None not in norms:
                payload["channel_norms"] = {"rh": norms[0], "gh": norms[1]}
            if fields.get("metadata") is not None:
                payload["metadata"] = orjson.loads(fields["metadata"])
            if fields.get("extra") is not None:
                payload |= orjson.loads(fields["extra"])
            return Row(UUID(str(fields.get("id"))), vector, with_flags(payload), location)
        except (ValueError, TypeError) as error:
            raise InputError(f"{location}: the id or payload cannot be read: {error}") from error

    def _damaged(self, error: Exception) -> InputError:
        problem = " ".join(str(error).split())
        return InputError(f"{self._path} cannot be read as an export: {problem}. Export it anew")


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet needs pyarrow: pip install 'rise-store[parquet]'; .npz needs nothing") from error
    return pyarrow, pyarrow.parquet


def _schema(arrow: Any, space: Space, tables: Tables) -> Any:
    element = arrow.float16() if signature_dtype(space).itemsize == 2 else arrow.float32()
    fields = [
        arrow.field("id", arrow.string(), nullable=False),
        *(arrow.field(name, arrow.string()) for name in _TEXT_COLUMNS),
        *(arrow.field(name, arrow.int64()) for name in _INTEGER_COLUMNS),
        arrow.field("channel_norm_rh", arrow.float64()),
        arrow.field("channel_norm_gh", arrow.float64()),
        arrow.field("metadata", arrow.string()),
        arrow.field("extra", arrow.string()),
        arrow.field("signature", arrow.list_(element, space.dim)),
    ]
    described = {_SPACE: space.model_dump_json().encode()}
    described |= {_TABLE + name.encode(): _encoded(tables[name]) for name in sorted(tables)}
    return arrow.schema(fields, metadata=described)


def _table(arrow: Any, schema: Any, space: Space, page: Sequence[StoredPoint]) -> Any:
    vectors = np.stack([point.vector for point in page if point.vector is not None]).astype(signature_dtype(space))
    columns: dict[str, Any] = {
        "id": [str(point.id) for point in page],
        "channel_norm_rh": [point.payload.get("channel_norms", {}).get("rh") for point in page],
        "channel_norm_gh": [point.payload.get("channel_norms", {}).get("gh") for point in page],
        "metadata": [_json(point.payload.get("metadata")) for point in page],
        "extra": [_json(_extra(point.payload)) for point in page],
    }
    for name in (*_TEXT_COLUMNS, *_INTEGER_COLUMNS):
        columns[name] = [point.payload.get(name) for point in page]
    arrays = [arrow.array(columns[field.name], field.type) for field in schema if field.name != "signature"]
    signatures = arrow.FixedSizeListArray.from_arrays(arrow.array(vectors.reshape(-1)), space.dim)
    return arrow.Table.from_arrays([*arrays, signatures], schema=schema)


def _extra(payload: Payload) -> Payload | None:
    with_column = {
        *_TEXT_COLUMNS,
        *_INTEGER_COLUMNS,
        "channel_norms",
        "metadata",
        "flags",
    }  # flags follow from metadata
    return {name: value for name, value in payload.items() if name not in with_column} or None


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _encoded(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return base64.b64encode(buffer.getvalue())


def _array(text: bytes) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.lib.format.read_array(io.BytesIO(base64.b64decode(text)), allow_pickle=False)
    return array
