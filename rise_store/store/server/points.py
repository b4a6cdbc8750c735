"""Points as the client takes and gives them."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import numpy as np
from qdrant_client import grpc, models
from qdrant_client.conversions.conversion import RestToGrpc

from rise_store.store.backend import Payload, Vector
from rise_store.store.server.schema import VECTOR

_DATA_TAG = b"\x0a"  # field 1, bytes: the packed numbers of a DenseVector


def to_model(id: UUID, vector: Vector, payload: Payload) -> models.PointStruct:
    """A point to upsert as the client's model."""
    return models.PointStruct(id=str(id), vector={VECTOR: vector.tolist()}, payload=payload)


def to_message(id: UUID, vector: Vector, payload: Payload) -> grpc.PointStruct:
    """A point to upsert as the message that is sent.

    It is made from the vector's bytes, 0.01 ms a row of 24,576; through Python floats it would take 0.5 ms, and
    through the client's model 0.9 ms (qdrant-client 1.20.0).
    """
    data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    dense = grpc.DenseVector.FromString(_DATA_TAG + _varint(len(data)) + data)
    return grpc.PointStruct(
        id=grpc.PointId(uuid=str(id)),
        vectors=grpc.Vectors(vectors=grpc.NamedVectors(vectors={VECTOR: grpc.Vector(dense=dense)})),
        payload=cast(Any, RestToGrpc.convert_payload(payload)),
    )


def vector_of(record: models.Record) -> Vector | None:
    """The signature of a record, None where it was not asked for."""
    vectors: Any = record.vector
    return np.array(vectors[VECTOR], dtype=np.float32) if vectors else None


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
