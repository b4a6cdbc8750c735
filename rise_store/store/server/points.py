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


def to_point(id: UUID, vector: Vector, payload: Payload, *, over_grpc: bool) -> models.PointStruct:
    """A point to upsert: a gRPC message where the client speaks gRPC, else the client's model.

    The message is made from the vector's bytes, 0.01 ms a row of 24,576; through Python floats it takes 0.5 ms, and
    through the client's model 0.9 ms (qdrant-client 1.20.0).
    """
    if not over_grpc:
        return models.PointStruct(id=str(id), vector={VECTOR: vector.tolist()}, payload=payload)
    data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    dense = grpc.DenseVector.FromString(_DATA_TAG + _varint(len(data)) + data)
    point = grpc.PointStruct(
        id=grpc.PointId(uuid=str(id)),
        vectors=grpc.Vectors(vectors=grpc.NamedVectors(vectors={VECTOR: grpc.Vector(dense=dense)})),
        payload=cast(Any, RestToGrpc.convert_payload(payload)),
    )
    return cast(models.PointStruct, point)


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
