"""Spaces, points and processes for the tests of the store."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

import rise_store.store
from rise_store.records import ChannelNorms, EstimatorConfig, ModelReference, Space, Storage
from rise_store.store import Payload, Point, Tables, build_payload, point_id, tables_sha256

DIM = 24
FINGERPRINT = "5ace0001"
TABLES: dict[str, npt.NDArray[Any]] = {
    "hidden_bucket": np.arange(7, dtype=np.int64) % 3,
    "hidden_sign": np.array([1, -1, 1, 1, -1, -1, 1], dtype=np.int8),
}


def make_space(
    fingerprint: str = FINGERPRINT,
    dim: int = DIM,
    created_at: str = "2026-01-01T00:00:00Z",
    tables: Tables = TABLES,
    **storage: Any,
) -> Space:
    """A space of `dim` coordinates with the given tables and `storage`."""
    return Space(
        fingerprint=fingerprint,
        model=ModelReference(name="tiny"),
        architecture="TinyForCausalLM",
        hidden_size=7,
        vocabulary_size=11,
        estimator=EstimatorConfig(kr=dim - 1, kh=1, kg=1),
        tables_sha256=tables_sha256(tables),
        created_at=created_at,
        created_with="0.1.0",
        storage=Storage(**storage),
    )


def make_vector(number: int, dim: int = DIM) -> npt.NDArray[np.float32]:
    """A vector [dim] of multiples of 1/16: float16 holds them and float32 their dot products exactly."""
    return (np.random.default_rng(number).integers(-8, 9, dim) / 16).astype(np.float32)


def make_id(number: int, dataset: str = "books") -> UUID:
    """The point id of `make_point(number)`."""
    return point_id(FINGERPRINT, dataset, f"row-{number}")


def make_payload(number: int, dataset: str = "books", **fields: Any) -> Payload:
    """The payload of `make_point(number)`."""
    filled: dict[str, Any] = {
        "content_sha256": f"{number:064x}",
        "run_id": "run-1",
        "ingested_at": "2026-01-01T00:00:00Z",
        "tokens": 10 + number,
        "chunks": 1,
        "channel_norms": ChannelNorms(rh=0.6, gh=0.8),
        "text": f"text of row {number}",
    }
    return build_payload(example_id=f"row-{number}", dataset=dataset, **{**filled, **fields})


def make_point(number: int, dim: int = DIM, dataset: str = "books", **fields: Any) -> Point:
    """The point of example row-`number`; `fields` replace those of its payload."""
    return Point(make_id(number, dataset), make_vector(number, dim), make_payload(number, dataset, **fields))


def dot_products(query: npt.NDArray[np.float32], numbers: range | list[int]) -> dict[UUID, float]:
    """What an exact search must find for the points of these numbers."""
    return {make_id(number): float(make_vector(number).astype(float) @ query.astype(float)) for number in numbers}


def start_python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start `script` in a process of its own, with this module and the package importable; read its stdout by line."""
    folders = [str(Path(__file__).parent), str(Path(rise_store.store.__file__).parents[2])]
    return subprocess.Popen(
        [sys.executable, "-u", "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_python(script: str, *arguments: object) -> str:
    """Run `script` to its end; its stdout. Fails when it does not exit with 0."""
    process = start_python(script, *arguments)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, f"exit {process.returncode}\n{output}\n{errors}"
    return output


def kill_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """Read `lines` lines, kill -9 the process at once, and return all that it had printed by then."""
    assert process.stdout is not None
    assert process.stderr is not None
    whole = "".join([process.stdout.readline() for _ in range(lines)])
    process.send_signal(signal.SIGKILL)
    whole += process.stdout.read()  # communicate() would skip what the file object holds in its buffer
    errors = process.stderr.read()
    assert process.wait(timeout=60) == -signal.SIGKILL, errors
    process.stdout.close()
    process.stderr.close()
    return whole.splitlines() if whole.endswith("\n") else whole.splitlines()[:-1]


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A temporary folder, in memory where there is room: the store waits for the disk some 200 times a space."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
    with tempfile.TemporaryDirectory(dir=memory if roomy else None, prefix="rise_store-test-") as folder:
        yield Path(folder)
