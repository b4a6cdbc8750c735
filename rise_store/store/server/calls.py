"""The calls that a collection makes over its connection, one a method, each with its retries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from qdrant_client import grpc, models

from rise_store.store.backend import IndexKind, Payload, Vector
from rise_store.store.server.connection import Connection
from rise_store.store.server.points import to_message, to_model
from rise_store.store.server.schema import VECTOR, index_schema


class Calls:
    """The collection `name` as the server has it: ids are strings and paths are spelled as Qdrant does."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name

    def upsert(self, rows: Sequence[tuple[UUID, Vector, Payload]]) -> None:
        """Insert or replace points; returns once they are in the server's log and can be searched."""
        if not self.connection.over_grpc:
            points = [to_model(*row) for row in rows]
            self.connection.call("store rows", lambda client: client.upsert(self.name, points, wait=True))
            return
        request = grpc.UpsertPoints(collection_name=self.name, wait=True, points=[to_message(*row) for row in rows])
        deadline_s = self.connection.deadline_s
        self.connection.call("store rows", lambda client: client.grpc_points.Upsert(request, timeout=deadline_s))

    def insert(self, id: UUID, document: Payload) -> None:
        """Insert a document of the catalogue unless there is one of this id."""
        point = models.PointStruct(id=str(id), vector=[0.0], payload=document)
        self.put([point], models.UpdateMode.INSERT_ONLY)

    def put(self, documents: Sequence[models.PointStruct], mode: models.UpdateMode | None = None) -> None:
        """Insert or replace documents of the catalogue, or what the mode says."""
        self.connection.call(
            "write the catalogue",
            lambda client: client.upsert(self.name, list(documents), wait=True, update_mode=mode),
        )

    def overwrite_payloads(self, payloads: Sequence[tuple[UUID, Payload]]) -> None:
        """Replace payloads of stored points."""
        operations = [
            models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload=payload, points=[str(id)]))
            for id, payload in payloads
        ]
        self.connection.call(
            "store payloads", lambda client: client.batch_update_points(self.name, operations, wait=True)
        )

    def set_payload(self, fields: Payload, filter: models.Filter | None) -> None:
        """Set these fields in the payloads of all points that the filter lets through."""
        selector = models.FilterSelector(filter=filter or models.Filter())
        self.connection.call(
            "mark rows", lambda client: client.set_payload(self.name, fields, points=selector, wait=True)
        )

    def delete(self, selector: models.PointIdsList | models.FilterSelector) -> None:
        """Delete points."""
        self.connection.call("delete rows", lambda client: client.delete(self.name, selector, wait=True))

    def retrieve(self, ids: Sequence[UUID], *, payload: Any = True, vectors: bool = False) -> list[models.Record]:
        """The stored ones among `ids`."""
        wanted: list[Any] = [str(id) for id in ids]
        return self.connection.call(
            "read rows",
            lambda client: client.retrieve(self.name, wanted, with_payload=payload, with_vectors=vectors),
        )

    def scroll(
        self, filter: models.Filter | None, limit: int, start: Any, payload: Any, vectors: bool
    ) -> tuple[list[models.Record], Any]:
        """A page of points in the order of their ids from `start` on, and where the next page starts."""
        return self.connection.call(
            "read rows",
            lambda client: client.scroll(
                self.name, filter, limit, offset=start, with_payload=payload, with_vectors=vectors
            ),
        )

    def search(self, requests: Sequence[models.QueryRequest]) -> list[list[models.ScoredPoint]]:
        """Answers to several requests."""
        found = self.connection.call("search", lambda client: client.query_batch_points(self.name, requests))
        return [answer.points for answer in found]

    def score(self, query: models.NearestQuery, ids: Sequence[UUID], params: Any) -> list[models.ScoredPoint]:
        """The stored ones among `ids` with their scores."""
        only = models.Filter(must=[models.HasIdCondition(has_id=[str(id) for id in ids])])
        found = self.connection.call(
            "search",
            lambda client: client.query_points(
                self.name,
                query,
                using=VECTOR,
                query_filter=only,
                search_params=params,
                limit=len(ids),
                with_payload=False,
            ),
        )
        return found.points

    def sample(self, size: int) -> list[UUID]:
        """Ids of points at random."""
        random = models.SampleQuery(sample=models.Sample.RANDOM)
        found = self.connection.call(
            "sample rows", lambda client: client.query_points(self.name, random, limit=size, with_payload=False)
        )
        return [UUID(str(point.id)) for point in found.points]

    def count(self, filter: models.Filter | None) -> int:
        """Exact number of points."""
        return self.connection.call("count rows", lambda client: client.count(self.name, filter, exact=True)).count

    def facet(self, path: str, limit: int, filter: models.Filter | None) -> dict[str, int]:
        """Exact counts by value."""
        found = self.connection.call(
            "count by value",
            lambda client: client.facet(self.name, path, facet_filter=filter, limit=limit, exact=True),
        )
        return {str(hit.value): hit.count for hit in found.hits}

    def create_index(self, path: str, kind: IndexKind) -> None:
        """Index a payload field."""
        schema = index_schema(kind)
        self.connection.call(
            "index a field", lambda client: client.create_payload_index(self.name, path, schema, wait=True)
        )

    def info(self) -> models.CollectionInfo:
        """What the server says of the collection."""
        return self.connection.call("look at a collection", lambda client: client.get_collection(self.name))

    def update(self, optimizers: models.OptimizersConfigDiff) -> None:
        """Change settings of the optimizer."""
        self.connection.call(
            "set the optimizer", lambda client: client.update_collection(self.name, optimizers_config=optimizers)
        )

    def exists(self) -> bool:
        """Whether the server has the collection."""
        return self.connection.call("look for a collection", lambda client: client.collection_exists(self.name))

    def create(self, schema: dict[str, Any]) -> bool:
        """Create the collection unless it exists; several may do this at once. Whether this call is known to have."""
        return self.connection.call("create a collection", lambda client: self._create(client, schema))

    def _create(self, client: Any, schema: dict[str, Any]) -> bool:
        try:
            client.create_collection(self.name, **schema)
        except Exception:
            # Somebody else was faster, or an earlier try of ours succeeded and its answer was lost.
            if not client.collection_exists(self.name):
                raise
            return False
        return True
