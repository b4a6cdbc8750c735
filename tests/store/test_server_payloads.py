"""What crosses the wire: payloads as far as gRPC carries them, vectors from their bytes, and batches."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import uuid4

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from rise_store.errors import InputError
from rise_store.store.batches import batches
from rise_store.store.json_values import MAX_DEPTH, decode
from rise_store.store.server.payloads import MOST_LEVELS, to_wire
from rise_store.store.server.points import to_message

SORTED = orjson.OPT_SORT_KEYS
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def across(payload: dict[str, Any]) -> dict[str, Any]:
    """The payload after a journey in the message that nests it deepest, and back."""
    sent = grpc.UpdateBatchPoints(
        operations=[
            RestToGrpc.convert_update_operation(
                models.OverwritePayloadOperation(
                    overwrite_payload=models.SetPayload(payload=to_wire(payload, "example"), points=[str(uuid4())])
                )
            )
        ]
    )
    arrived = grpc.UpdateBatchPoints.FromString(sent.SerializeToString())
    return decode(GrpcToRest.convert_payload(arrived.operations[0].overwrite_payload.payload))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the first text takes seconds to draw
@given(st.dictionaries(st.sampled_from(["metadata", "text", "x"]), JSON))
def test_payloads_come_back_exactly(payload: dict[str, Any]) -> None:
    # Objects have no order on the wire. Text tells 1, 1.0 and true apart, which are equal to Python.
    assert orjson.dumps(across(payload), option=SORTED) == orjson.dumps(payload, option=SORTED)


@pytest.mark.parametrize("levels", [1, MOST_LEVELS - 1, MOST_LEVELS, MOST_LEVELS + 1, MAX_DEPTH - 1])
def test_so_do_those_that_are_nested_deeply(levels: int) -> None:
    value: Any = 1
    for level in range(levels):
        value = {"a": value, "level": level} if level % 2 else [value]
    assert across({"metadata": value, "text": "t"}) == {"metadata": value, "text": "t"}


def test_what_filters_see_is_as_much_as_the_wire_carries() -> None:
    carried = to_wire({"metadata": {"large": 2**64 - 1, "small": -(2**63), "list": [1, 2**63]}, "text": "t"}, "example")
    assert carried["metadata"] == {"large": float(2**64), "small": -(2**63), "list": [1, float(2**63)]}
    assert carried["exact"].keys() == {"metadata"}
    assert to_wire({"text": "t", "n": 2**63 - 1}, "example") == {"text": "t", "n": 2**63 - 1}


def test_what_cannot_be_stored_is_refused_as_in_a_folder() -> None:
    with pytest.raises(InputError, match=r"row-1: metadata\.x is nan"):
        to_wire({"metadata": {"x": float("nan")}}, "row-1")


@pytest.mark.parametrize("dim", [1, 31, 32, 352, 24_576])
def test_a_vector_is_the_message_that_the_client_would_make(dim: int) -> None:
    vector = np.random.default_rng(dim).standard_normal(2 * dim).astype(np.float32)[::2]
    id, payload = uuid4(), {"text": "t", "tokens": 3}
    by_client = RestToGrpc.convert_point_struct(
        models.PointStruct(id=str(id), vector={"signature": vector.tolist()}, payload=payload)
    )
    assert to_message(id, vector, payload) == by_client


@given(
    sizes=st.lists(st.integers(0, 20), max_size=40),
    rows=st.integers(1, 6),
    most_bytes=st.none() | st.integers(1, 30),
)
def test_batches_are_bounded_and_lose_nothing(sizes: list[int], rows: int, most_bytes: int | None) -> None:
    cut = list(batches(sizes, rows, most_bytes=most_bytes, size=lambda size: size))
    assert [size for batch in cut for size in batch] == sizes
    for batch in cut:
        assert 1 <= len(batch) <= rows
        assert most_bytes is None or sum(batch) <= most_bytes or len(batch) == 1
    for before, after in pairwise(cut):  # none could have taken the next item too
        assert len(before) == rows or (most_bytes is not None and sum(before) + after[0] > most_bytes)
