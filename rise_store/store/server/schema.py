"""How collections are made on a server: what a space's `Storage` means there, shards, replicas and indexes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from qdrant_client import models

from rise_store.errors import ConfigError
from rise_store.records import Storage
from rise_store.store.backend import IndexKind

VECTOR = "signature"
TURBO8_SINCE = (1, 20)

# What Qdrant starts a collection with. Stated, so that `compact` can put them back.
DELETED_THRESHOLD = 0.2
VACUUM_MIN_VECTORS = 1_000

_DATATYPES = {
    "float16": models.Datatype.FLOAT16,
    "turbo8": models.Datatype.TURBO8,
    "turbo4": models.Datatype.TURBO4,
}
_BITS = {4: models.TurboQuantBitSize.BITS4, 2: models.TurboQuantBitSize.BITS2, 1: models.TurboQuantBitSize.BITS1}
_KINDS: dict[str, IndexKind] = {"keyword": "keyword", "integer": "integer", "float": "float", "datetime": "datetime"}


@dataclass(frozen=True, slots=True)
class Placement:
    """Over how many shards rows are spread, and on how many nodes each shard is kept."""

    shards: int = 1
    replicas: int = 1

    @classmethod
    def from_environment(cls) -> Placement:
        """From RISE_STORE_SHARDS and RISE_STORE_REPLICAS, 1 each by default; `ConfigError` for anything else."""
        return cls(_number("RISE_STORE_SHARDS"), _number("RISE_STORE_REPLICAS"))

    @property
    def write_consistency(self) -> int:
        """Replicas that must have a row before it counts as stored: most of them, so that one lost node loses none."""
        return self.replicas // 2 + 1


def space_schema(dim: int, storage: Storage, placement: Placement) -> dict[str, Any]:
    """The arguments of `create_collection` for signatures of `dim` coordinates."""
    return {
        "vectors_config": {
            VECTOR: models.VectorParams(
                size=dim,
                distance=models.Distance.DOT,
                datatype=_DATATYPES[storage.vectors],
                # Mapped files: a search that reads every row uses what memory there is as a cache, and needs no more.
                on_disk=True,
            )
        },
        # m=0 builds no graph: by default one would be built from about 200 rows of default width on.
        "hnsw_config": models.HnswConfigDiff(m=_links(storage), ef_construct=100),
        "quantization_config": _coarse(storage),
        "optimizers_config": models.OptimizersConfigDiff(
            deleted_threshold=DELETED_THRESHOLD, vacuum_min_vector_number=VACUUM_MIN_VECTORS
        ),
        "on_disk_payload": True,
        "shard_number": placement.shards,
        **_replication(placement),
    }


def catalogue_schema(placement: Placement) -> dict[str, Any]:
    """The arguments of `create_collection` for documents, whose vectors mean nothing."""
    return {
        "vectors_config": models.VectorParams(size=1, distance=models.Distance.DOT),
        "hnsw_config": models.HnswConfigDiff(m=0),
        "shard_number": 1,
        **_replication(placement),
    }


def schema_difference(found: models.CollectionInfo, dim: int, storage: Storage) -> str | None:
    """How a collection differs from what a space of this storage needs; None where it does not."""
    vectors = found.config.params.vectors
    vector = vectors.get(VECTOR) if isinstance(vectors, dict) else None
    if vector is None:
        return f"it has no vector {VECTOR!r}"
    if (vector.size, vector.distance) != (dim, models.Distance.DOT):
        return f"it takes {vector.distance} vectors of {vector.size} coordinates, not {dim}"
    if vector.datatype != _DATATYPES[storage.vectors]:
        return f"it keeps vectors as {vector.datatype}, not {storage.vectors}"
    if found.config.hnsw_config.m != _links(storage):
        return f"its graph has {found.config.hnsw_config.m} links a row, not {_links(storage)}"
    if _bits(found.config.quantization_config) != _bits(_coarse(storage)):
        bits = "no coarse copy" if storage.quantization is None else f"a coarse copy of {storage.quantization} bits"
        return f"its coarse copy is not that of the space, which has {bits}"
    return None


def index_schema(kind: IndexKind) -> models.PayloadSchemaType:
    """An index type of ours as the server calls it."""
    return models.PayloadSchemaType(kind)


def index_kind(found: models.PayloadSchemaType) -> IndexKind | None:
    """Our name of an index type of the server; None for one that we have no use for."""
    return _KINDS.get(found.value)


def _links(storage: Storage) -> int:
    return 16 if storage.hnsw else 0


def _coarse(storage: Storage) -> models.TurboQuantization | None:
    if storage.quantization is None:
        return None
    bits = _BITS[storage.quantization]
    return models.TurboQuantization(turbo=models.TurboQuantQuantizationConfig(bits=bits, always_ram=True))


def _bits(coarse: object) -> object:
    """What tells coarse copies apart: the bits of ours, the whole configuration of others."""
    return coarse.turbo.bits if isinstance(coarse, models.TurboQuantization) else coarse


def _replication(placement: Placement) -> dict[str, int]:
    return {
        "replication_factor": placement.replicas,
        "write_consistency_factor": placement.write_consistency,
    }


def _number(variable: str) -> int:
    text = os.environ.get(variable) or "1"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1_000:
        raise ConfigError(f"{variable} is {text!r}; give a number from 1 to 1000")
    return int(text)
