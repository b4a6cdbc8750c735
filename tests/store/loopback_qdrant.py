"""A Qdrant server on this machine that speaks real gRPC and keeps points in the client's local mode.

It records what clients send, and fails, delays or refuses calls when told to. Run it to try commands by hand:

    python tests/store/loopback_qdrant.py --port 0
"""

# ruff: noqa: N802 - the methods of the services are named as Qdrant names them

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc as rpc

sys.path.insert(0, str(Path(__file__).parent))

from local_qdrant import LocalQdrant
from qdrant_client import grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

_INDEX_TYPES = {
    grpc.FieldType.FieldTypeKeyword: "keyword",
    grpc.FieldType.FieldTypeInteger: "integer",
    grpc.FieldType.FieldTypeFloat: "float",
    grpc.FieldType.FieldTypeDatetime: "datetime",
}
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass
class Call:
    """One call as it arrived."""

    method: str
    request: Any
    deadline_s: float | None
    metadata: dict[str, str]

    @property
    def rows(self) -> int:
        return len(self.request.points)

    @property
    def bytes(self) -> int:
        return int(self.request.ByteSize())


@dataclass
class Fault:
    """What happens to calls of a method ("*": of any), after `skip` of them went well."""

    method: str
    times: int
    status: rpc.StatusCode | None = None
    details: str = ""
    delay_s: float = 0.0
    afterwards: bool = False  # the call is carried out, but its answer is lost
    skip: int = 0
    retry_after_s: int | None = None  # told to the client


@dataclass
class LoopbackQdrant:
    """The server; `start` it, `stop` it, and `start` it again on the same port with the same points."""

    api_key: str | None = None
    local: LocalQdrant = field(default_factory=LocalQdrant)
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def start(self) -> LoopbackQdrant:
        # Without SO_REUSEPORT two servers would share a port in silence.
        options = [*_UNLIMITED, ("grpc.so_reuseport", 0)]
        self._server = rpc.server(ThreadPoolExecutor(8), options=options)
        handler = _Handler(self)
        grpc.add_PointsServicer_to_server(handler, self._server)
        grpc.add_CollectionsServicer_to_server(handler, self._server)
        grpc.add_QdrantServicer_to_server(handler, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()
        return self

    def stop(self) -> None:
        self._server.stop(grace=None).wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}?grpc_port={self.port}"

    def fail(self, method: str, times: int, status: rpc.StatusCode, details: str = "told to", **more: Any) -> None:
        """Let the next calls of a method end in this status."""
        self.faults.append(Fault(method, times, status, details, **more))

    def delay(self, method: str, times: int, seconds: float) -> None:
        """Let the next calls of a method take this long."""
        self.faults.append(Fault(method, times, delay_s=seconds))

    def of(self, method: str) -> list[Call]:
        """The calls of a method so far."""
        return [call for call in self.calls if call.method == method]

    def next_fault(self, method: str) -> Fault | None:
        for fault in self.faults:
            if fault.method in (method, "*") and fault.times > 0:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None


def _method(carry_out: Callable[[_Handler, Any], Any]) -> Callable[[_Handler, Any, rpc.ServicerContext], Any]:
    """A method of the service: recorded, perhaps failed, and with errors as a server reports them."""
    name = carry_out.__name__

    def handle(self: _Handler, request: Any, context: rpc.ServicerContext) -> Any:
        server = self.server
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        server.calls.append(Call(name, request, context.time_remaining(), metadata))
        if server.api_key is not None and name != "HealthCheck" and metadata.get("api-key") != server.api_key:
            given = metadata.get("api-key", "none")
            context.abort(rpc.StatusCode.UNAUTHENTICATED, f"Must provide an API key, but the request has {given}")
        fault = server.next_fault(name)
        if fault is not None:
            if fault.delay_s:
                time.sleep(fault.delay_s)
            if fault.status is not None:
                if fault.afterwards:
                    carry_out(self, request)
                if fault.retry_after_s is not None:
                    context.set_trailing_metadata([("retry-after", str(fault.retry_after_s))])
                context.abort(fault.status, fault.details)
        try:
            return carry_out(self, request)
        except KeyError as error:
            context.abort(rpc.StatusCode.NOT_FOUND, f"Not found: No point with id {error} found")
        except ValueError as error:
            missing = "not found" in str(error)
            context.abort(rpc.StatusCode.NOT_FOUND if missing else rpc.StatusCode.INVALID_ARGUMENT, str(error))

    return handle


class _Handler(grpc.PointsServicer, grpc.CollectionsServicer, grpc.QdrantServicer):
    """Both services have a method `Get`, whose requests tell which one is meant."""

    def __init__(self, server: LoopbackQdrant) -> None:
        self.server = server
        self.local = server.local

    @_method
    def HealthCheck(self, request: Any) -> Any:
        return grpc.HealthCheckReply(title="qdrant - vector search engine", version=self.local.version)

    @_method
    def Create(self, request: grpc.CreateCollection) -> Any:
        coarse, graph = request.quantization_config, request.hnsw_config
        self.local.create_collection(
            request.collection_name,
            vectors_config=GrpcToRest.convert_vectors_config(request.vectors_config),
            hnsw_config=GrpcToRest.convert_hnsw_config_diff(graph) if request.HasField("hnsw_config") else None,
            quantization_config=(
                GrpcToRest.convert_quantization_config(coarse) if request.HasField("quantization_config") else None
            ),
        )
        return grpc.CollectionOperationResponse(result=True)

    @_method
    def Update(self, request: grpc.UpdateCollection) -> Any:
        changes = GrpcToRest.convert_optimizers_config_diff(request.optimizers_config)
        self.local.update_collection(request.collection_name, optimizers_config=changes)
        return grpc.CollectionOperationResponse(result=True)

    @_method
    def CollectionExists(self, request: grpc.CollectionExistsRequest) -> Any:
        exists = self.local.collection_exists(request.collection_name)
        return grpc.CollectionExistsResponse(result=grpc.CollectionExists(exists=exists))

    @_method
    def Get(self, request: grpc.GetCollectionInfoRequest | grpc.GetPoints) -> Any:
        if isinstance(request, grpc.GetCollectionInfoRequest):
            info = RestToGrpc.convert_collection_info(self.local.get_collection(request.collection_name))
            return grpc.GetCollectionInfoResponse(result=info)
        records = self.local.retrieve(
            request.collection_name,
            [GrpcToRest.convert_point_id(id) for id in request.ids],
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            with_vectors=_with_vectors(request),
        )
        return grpc.GetResponse(result=[_record(record) for record in records])

    @_method
    def Upsert(self, request: grpc.UpsertPoints) -> Any:
        mode = GrpcToRest.convert_update_mode(request.update_mode) if request.HasField("update_mode") else None
        points = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self.local.upsert(request.collection_name, points, update_mode=mode)
        return _DONE

    @_method
    def Delete(self, request: grpc.DeletePoints) -> Any:
        self.local.delete(request.collection_name, GrpcToRest.convert_points_selector(request.points))
        return _DONE

    @_method
    def SetPayload(self, request: grpc.SetPayloadPoints) -> Any:
        fields = GrpcToRest.convert_payload(request.payload)
        selector = GrpcToRest.convert_points_selector(request.points_selector)
        self.local.set_payload(request.collection_name, fields, points=selector)
        return _DONE

    @_method
    def UpdateBatch(self, request: grpc.UpdateBatchPoints) -> Any:
        operations = [GrpcToRest.convert_points_update_operation(operation) for operation in request.operations]
        self.local.batch_update_points(request.collection_name, operations)
        return grpc.UpdateBatchResponse(result=[_DONE.result])

    @_method
    def CreateFieldIndex(self, request: grpc.CreateFieldIndexCollection) -> Any:
        kind = _INDEX_TYPES[request.field_type]
        self.local.create_payload_index(request.collection_name, request.field_name, kind)
        return _DONE

    @_method
    def Scroll(self, request: grpc.ScrollPoints) -> Any:
        records, after = self.local.scroll(
            request.collection_name,
            _filter(request),
            request.limit,
            offset=GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None,
            with_payload=GrpcToRest.convert_with_payload_selector(request.with_payload),
            with_vectors=_with_vectors(request),
        )
        return grpc.ScrollResponse(
            result=[_record(record) for record in records],
            next_page_offset=None if after is None else RestToGrpc.convert_extended_point_id(after),
        )

    @_method
    def Count(self, request: grpc.CountPoints) -> Any:
        count = self.local.count(request.collection_name, _filter(request)).count
        return grpc.CountResponse(result=grpc.CountResult(count=count))

    @_method
    def Query(self, request: grpc.QueryPoints) -> Any:
        return grpc.QueryResponse(result=self._answers(request.collection_name, [request])[0])

    @_method
    def QueryBatch(self, request: grpc.QueryBatchPoints) -> Any:
        answers = self._answers(request.collection_name, request.query_points)
        return grpc.QueryBatchResponse(result=[grpc.BatchResult(result=answer) for answer in answers])

    @_method
    def Facet(self, request: grpc.FacetCounts) -> Any:
        found = self.local.facet(
            request.collection_name, request.key, facet_filter=_filter(request), limit=request.limit
        )
        return grpc.FacetResponse(hits=[RestToGrpc.convert_facet_value_hit(hit) for hit in found.hits])

    def _answers(self, collection: str, queries: Any) -> list[list[Any]]:
        requests = [GrpcToRest.convert_query_points(query) for query in queries]
        found = self.local.query_batch_points(collection, requests)
        return [[_scored(point) for point in answer.points] for answer in found]


_DONE = grpc.PointsOperationResponse(
    result=grpc.UpdateResult(operation_id=0, status=grpc.UpdateStatus.Completed), time=0.0
)


def _record(record: models.Record) -> Any:
    record.payload = record.payload or {}  # which the client's conversions want
    return RestToGrpc.convert_retrieved_point(record)


def _scored(point: models.ScoredPoint) -> Any:
    point.payload = point.payload or {}
    return RestToGrpc.convert_scored_point(point)


def _filter(request: Any) -> Any:
    return GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None


def _with_vectors(request: Any) -> Any:
    return GrpcToRest.convert_with_vectors_selector(request.with_vectors) if request.HasField("with_vectors") else False


@contextmanager
def serving(**settings: Any) -> Iterator[LoopbackQdrant]:
    """A server until the block ends."""
    server = LoopbackQdrant(**settings).start()
    try:
        yield server
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of gRPC; 0 takes a free one")
    parser.add_argument("--api-key")
    arguments = parser.parse_args()
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with serving(port=arguments.port, api_key=arguments.api_key) as server:
        print(server.url, flush=True)
        done.wait()


if __name__ == "__main__":
    main()
