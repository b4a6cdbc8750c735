"""What both engines do alike around a search: vectors, scales, and the numbers in a scaled score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rise_store.records import Space
from rise_store.store.backend import RowNorm, SearchRequest, Vector
from rise_store.store.vectors import channel_halves, check_queries, scaled_queries

NORM_RH, NORM_GH = "channel_norms.rh", "channel_norms.gh"
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


def request_vectors(requests: Sequence[SearchRequest], space: Space) -> Vector:
    """Their vectors, checked, [n, dim]."""
    return np.concatenate([check_queries(np.asarray(request.vector)[None], space.dim) for request in requests])


def row_norm_parts(vector: Vector, norm: RowNorm) -> tuple[Vector, tuple[float, float], float]:
    """What `RowNorm` needs: the vector to search [dim], two weights, and the scale of the whole.

    The score is scale times its dot product over the length of the row's norms, weighted.
    """
    rows, scales = scaled_queries(vector[None])
    largest = max(abs(norm.rh), abs(norm.gh))  # squares of ratios to it neither overflow nor vanish together
    return rows[0], (norm.rh / largest, norm.gh / largest), float(scales[0]) / largest


def channel_parts(vector: Vector, space: Space) -> tuple[Vector, tuple[float, float], float]:
    """What `PerChannel` needs: two vectors to search [2, dim], two weights, and the scale of the whole.

    The score is scale times the sum of the weighted dot products, each over the row's norm of its channel.
    """
    # Each half is scaled by itself, since a long one would take the bits of a short one.
    halves, scales = scaled_queries(channel_halves(vector, space.estimator.dim_rh))
    scale = max((float(own) for own, half in zip(scales, halves, strict=True) if half.any()), default=1.0)
    return halves, (float(scales[0]) / scale, float(scales[1]) / scale), scale


def least_engine_score(least: float | None, scale: float = 1.0) -> float | None:
    """Just below `least` in the engine's measure: it leaves out hits at its threshold, unless a formula made the score.

    None where every score is above it.
    """
    bound = -_LARGEST_FLOAT32 if least is None else least / scale
    if bound <= -_LARGEST_FLOAT32:
        return None
    return float(np.nextafter(np.float32(min(bound, _LARGEST_FLOAT32)), np.float32(-np.inf)))
