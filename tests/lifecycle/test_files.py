"""The two file formats hold any payload, whatever the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rise_store.lifecycle.npz_file import NpzReader, write_npz
from rise_store.lifecycle.parquet_file import ParquetReader, write_parquet
from rise_store.records import EstimatorConfig, ModelReference, Space
from rise_store.store import StoredPoint, tables_sha256, with_flags

TABLES = {"a": np.arange(5, dtype=np.int32), "b c": np.array([1, -1], dtype=np.int8)}
SPACE = Space(
    fingerprint="5ace",
    model=ModelReference(name="naïve/模型"),
    architecture="None",
    hidden_size=7,
    vocabulary_size=11,
    estimator=EstimatorConfig(kr=3, kh=1, kg=1),
    tables_sha256=tables_sha256(TABLES),
    created_at="2026-01-01T00:00:00Z",
    created_with="0.1.0",
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PAYLOADS = st.fixed_dictionaries(
    {"example_id": TEXT, "dataset": TEXT, "content_sha256": TEXT},
    optional={
        "license": TEXT,
        "text": TEXT,
        "tokens": st.integers(0, 2**40),
        "channel_norms": st.fixed_dictionaries({"rh": st.floats(0, 1), "gh": st.floats(0, 1)}),
        "metadata": st.dictionaries(TEXT, JSON, min_size=1, max_size=3),
        "a field of later": JSON,
    },
).map(with_flags)
VECTORS = st.lists(st.floats(-1, 1, width=16), min_size=4, max_size=4)


@pytest.mark.parametrize("format_", ["npz", "parquet"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(rows=st.lists(st.tuples(st.uuids(), PAYLOADS, VECTORS), max_size=6), split=st.integers(1, 6))
def test_what_is_written_is_read(
    format_: str, rows: list[tuple[UUID, dict[str, Any], list[float]]], split: int, tmp_path: Path
) -> None:
    points = [StoredPoint(id_, payload, np.array(vector, np.float32)) for id_, payload, vector in rows]
    pages = iter([points[start : start + split] for start in range(0, len(points), split)])
    path = tmp_path / f"file.{format_}"
    if format_ == "npz":
        assert write_npz(path, SPACE, TABLES, len(points), pages) == len(points)
    else:
        assert write_parquet(path, SPACE, TABLES, pages) == len(points)
    with (NpzReader if format_ == "npz" else ParquetReader)(path) as reader:
        assert reader.space == SPACE
        assert reader.rows == len(points)
        assert tables_sha256(reader.tables) == SPACE.tables_sha256
        read = [row for page in reader.pages() for row in page]
    assert [(row.id, row.payload, row.vector.tolist()) for row in read] == [
        (id_, payload, vector) for id_, payload, vector in rows
    ]
    assert [repr(row.payload) for row in read if format_ == "npz"] == [
        repr(payload) for _, payload, _ in rows if format_ == "npz"
    ]
