"""Rows that `verify` calls whole: of unit length, with their channel norms, and made from a number and a version."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from store_examples import DIM, make_id, make_payload, make_space

from rise_store.records import ChannelNorms
from rise_store.store import Payload, Point


def whole_vector(number: int, version: int = 0) -> npt.NDArray[np.float32]:
    """A vector [dim] of unit length that tells its number and version."""
    vector = np.random.default_rng((number, version)).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def whole_payload(number: int, version: int = 0, **fields: Any) -> Payload:
    """The payload of `whole_point(number, version)`: the number is in `tokens`, the version in `chunks`."""
    vector, split = whole_vector(number, version), make_space().estimator.dim_rh
    norms = ChannelNorms(rh=float(np.linalg.norm(vector[:split])), gh=float(np.linalg.norm(vector[split:])))
    return make_payload(number, **{"tokens": number, "chunks": version, "channel_norms": norms, **fields})


def whole_point(number: int, version: int = 0, **fields: Any) -> Point:
    """The point of example row-`number` in this version."""
    return Point(make_id(number), whole_vector(number, version), whole_payload(number, version, **fields))
