"""Checks of signatures and queries before they reach the engine, which takes NaN, Inf and numbers that overflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rise_store.errors import SignatureError
from rise_store.store.backend import Point, Vector
from rise_store.store.payload import describe_example

_LARGEST_FLOAT16 = 65_504.0


def check_signatures(points: Sequence[Point], dim: int) -> None:
    """`SignatureError`, naming the example, unless every vector is float32 [dim], finite and within float16."""
    for point in points:
        vector = point.vector
        if vector.dtype != np.float32 or vector.shape != (dim,):
            found = f"{vector.dtype} {list(vector.shape)}"
            raise SignatureError(_about(point, f"is {found}, but the space takes float32 [{dim}]"))
        # An Inf would top every query, and so would a number that becomes one when it is stored as float16.
        if not (vector.min() >= -_LARGEST_FLOAT16 and vector.max() <= _LARGEST_FLOAT16):
            finite = bool(np.isfinite(vector).all())
            raise SignatureError(_about(point, "is beyond the range of float16" if finite else "holds NaN or Inf"))


def check_queries(queries: npt.NDArray[np.floating], dim: int) -> Vector:
    """`queries` as contiguous float32 [n, dim]; `SignatureError` for another shape, NaN or Inf."""
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise SignatureError(f"the queries are {list(queries.shape)}, but the space takes [n, {dim}]")
    with np.errstate(over="ignore"):  # what overflows is refused below
        rows = np.ascontiguousarray(queries, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise SignatureError("a query holds NaN or Inf. Check the model's outputs, or use float32 instead of float16")
    return rows


def scaled_queries(rows: Vector) -> tuple[Vector, npt.NDArray[np.float64]]:
    """Rows [n, dim] times a power of two each, with largest magnitude in [0.5, 1), and the factors [n] to undo it.

    The engine rounds queries to float16 (qdrant-edge-py 0.9.0). Without scaling, a query of length 1e-5 lost 1% of
    its scores, and one of length 1e9 got none.
    """
    _, exponents = np.frexp(np.abs(rows).max(axis=1))
    return np.ldexp(rows, -exponents[:, None]), np.ldexp(1.0, exponents)


def channel_halves(vector: Vector, dim_rh: int) -> Vector:
    """[2, dim]: `vector` [dim] with its channel RH alone, and with its channel GH alone; zeros elsewhere."""
    halves = np.stack([vector, vector])
    halves[0, dim_rh:] = 0.0
    halves[1, :dim_rh] = 0.0
    return halves


def _about(point: Point, problem: str) -> str:
    name = describe_example(point.payload, point.id)
    return f"the signature of {name} {problem}. Nothing of its batch was stored; encode it again or leave it out"
