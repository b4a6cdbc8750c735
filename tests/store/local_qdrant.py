"""A Qdrant server's logic without a server: the client's local mode, and what it lacks of a server's behaviour."""

from __future__ import annotations

import threading
from typing import Any

from qdrant_client import QdrantClient, models


class LocalQdrant(QdrantClient):
    """Local mode that remembers payload indexes, wants one for facets, and takes one call at a time."""

    def __init__(self, version: str = "1.20.0") -> None:
        super().__init__(":memory:", force_disable_check_same_thread=True)
        self.version = version
        self.created: dict[str, dict[str, Any]] = {}  # the arguments of create_collection, which local mode ignores
        self.updates: list[dict[str, Any]] = []  # those of update_collection
        self.indexes: dict[str, dict[str, models.PayloadSchemaType]] = {}
        self.lock = threading.RLock()  # local mode is not safe for threads

    def info(self) -> models.VersionInfo:
        return models.VersionInfo(title="qdrant - vector search engine", version=self.version, commit=None)

    def create_collection(self, collection_name: str, **arguments: Any) -> bool:
        with self.lock:
            done = super().create_collection(collection_name, **arguments)
            self.created[collection_name] = arguments
            self.indexes[collection_name] = {}
            return done

    def delete_collection(self, collection_name: str, **arguments: Any) -> bool:
        with self.lock:
            self.created.pop(collection_name, None)
            self.indexes.pop(collection_name, None)
            return super().delete_collection(collection_name, **arguments)

    def update_collection(self, collection_name: str, **arguments: Any) -> bool:
        with self.lock:
            self.updates.append(arguments)
            return super().update_collection(collection_name, **arguments)

    def get_collection(self, collection_name: str, **arguments: Any) -> models.CollectionInfo:
        with self.lock:
            info = super().get_collection(collection_name, **arguments)
            info.payload_schema = {
                field: models.PayloadIndexInfo(data_type=kind, points=0)
                for field, kind in self.indexes[collection_name].items()
            }
            created = self.created[collection_name]
            if created.get("hnsw_config") is not None:
                info.config.hnsw_config.m = created["hnsw_config"].m
            info.config.quantization_config = created.get("quantization_config")
            return info

    # Local mode says with a warning that indexes and search parameters do nothing there, as the store knows.

    def create_payload_index(
        self, collection_name: str, field_name: str, field_schema: Any = None, **arguments: Any
    ) -> models.UpdateResult:
        with self.lock:
            super().get_collection(collection_name)
            self.indexes[collection_name][field_name] = models.PayloadSchemaType(field_schema)
            return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)

    def query_points(self, collection_name: str, *positional: Any, **arguments: Any) -> models.QueryResponse:
        with self.lock:
            arguments.pop("search_params", None)
            return super().query_points(collection_name, *positional, **arguments)

    def query_batch_points(self, collection_name: str, requests: Any, **arguments: Any) -> list[models.QueryResponse]:
        with self.lock:
            plain = [request.model_copy(update={"params": None}) for request in requests]
            return super().query_batch_points(collection_name, plain, **arguments)

    def facet(self, collection_name: str, key: str, **arguments: Any) -> models.FacetResponse:
        with self.lock:
            if self.indexes[collection_name].get(key) != models.PayloadSchemaType.KEYWORD:
                raise ValueError(f"Bad request: No appropriate index for faceting: `{key}`")
            return super().facet(collection_name, key, **arguments)


def _one_at_a_time(name: str) -> Any:
    def locked(self: LocalQdrant, *positional: Any, **arguments: Any) -> Any:
        with self.lock:
            return getattr(QdrantClient, name)(self, *positional, **arguments)

    return locked


for _name in (
    "upsert",
    "delete",
    "set_payload",
    "retrieve",
    "scroll",
    "count",
    "batch_update_points",
    "collection_exists",
):
    setattr(LocalQdrant, _name, _one_at_a_time(_name))
