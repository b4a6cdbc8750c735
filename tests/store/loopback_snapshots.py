"""The REST interface of a Qdrant server for snapshots, as api.qdrant.tech documents it, over `LocalQdrant`.

A snapshot is a JSON text of the collection's points. What a real server writes is its own affair: the store only
passes it on.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from local_qdrant import LocalQdrant
from qdrant_client import models

_SETTINGS: dict[str, Any] = {
    "hnsw_config": models.HnswConfigDiff,
    "quantization_config": models.TurboQuantization,
}


@dataclass
class RestServer:
    """What the handler shares: the points, snapshots on the server, and how it misbehaves."""

    local: LocalQdrant
    api_key: str | None = None
    port: int = 0
    peers: int = 1
    remote_shards: list[dict[str, Any]] = field(default_factory=list)
    replicated: bool = False  # another node has a copy of our one shard
    corrupt: bool = False  # snapshots change on their way
    refuse_uploads_of: str | None = None
    snapshots: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def dump(self, name: str) -> bytes:
        records, _ = self.local.scroll(name, None, 100_000, with_vectors=True)
        points = [{"id": r.id, "vector": r.vector, "payload": r.payload} for r in records]
        created = self.local.created[name]
        config = created["vectors_config"]
        named = isinstance(config, dict)
        vectors = {k: v.model_dump(mode="json") for k, v in (config if named else {"": config}).items()}
        indexes = {field: kind.value for field, kind in self.local.indexes[name].items()}
        held = {"vectors": vectors, "named": named, "indexes": indexes, "points": points}
        for key in _SETTINGS:
            held[key] = created[key].model_dump(mode="json") if created.get(key) is not None else None
        return json.dumps(held).encode()

    def recover(self, name: str, data: bytes) -> None:
        held = json.loads(data)
        vectors = {key: models.VectorParams(**value) for key, value in held["vectors"].items()}
        if self.local.collection_exists(name):
            self.local.delete_collection(name)
        settings = {key: model(**held[key]) for key, model in _SETTINGS.items() if held[key] is not None}
        self.local.create_collection(name, vectors_config=vectors if held["named"] else vectors[""], **settings)
        for path, kind in held["indexes"].items():
            self.local.create_payload_index(name, path, kind)
        if held["points"]:
            self.local.upsert(name, [models.PointStruct(**point) for point in held["points"]])


def _handler(server: RestServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

        def do(self) -> None:
            url = urlsplit(self.path)
            server.requests.append((self.command, url.path))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if server.api_key is not None and self.headers.get("api-key") != server.api_key:
                return self.answer(401, text="Must provide an API key or an Authorization bearer token")
            if url.path == "/cluster":
                peers = {str(number): {"uri": "http://node"} for number in range(server.peers)}
                return self.answer(200, {"status": "enabled", "peers": peers})
            match = re.fullmatch(r"/collections/([^/]+)/(cluster|snapshots)(?:/([^/]+))?", url.path)
            if match is None:
                return self.answer(404, text="Not found")
            name, kind, snapshot = match.groups()
            if kind == "snapshots" and snapshot == "upload" and self.command == "POST":
                return self.upload(name, body, parse_qs(url.query))
            if not server.local.collection_exists(name):
                return self.answer(404, error=f"Not found: Collection `{name}` doesn't exist!")
            if kind == "cluster":
                local = [{"shard_id": 0, "points_count": 0, "state": "Active"}]
                copies = [{"shard_id": 0, "peer_id": 7, "state": "Active"}] if server.replicated else []
                remote = [*server.remote_shards, *copies]
                shards = {"shard_count": 1 + len(server.remote_shards), "remote_shards": remote}
                return self.answer(200, {"peer_id": 0, "local_shards": local, **shards})
            if self.command == "POST":
                data = server.dump(name)
                taken = f"{name}-0-2026-01-01-00-00-00.snapshot"
                server.snapshots[taken] = data
                checksum = hashlib.sha256(data).hexdigest()
                return self.answer(200, {"name": taken, "size": len(data), "checksum": checksum})
            if snapshot not in server.snapshots:
                return self.answer(404, error=f"Not found: Snapshot {snapshot} not found")
            if self.command == "DELETE":
                del server.snapshots[snapshot]
                return self.answer(200, True)
            data = server.snapshots[snapshot]
            return self.send(200, b"x" + data[1:] if server.corrupt else data)

        def upload(self, name: str, body: bytes, query: dict[str, list[str]]) -> None:
            boundary = self.headers["Content-Type"].partition("boundary=")[2].encode()
            part = body.split(b"--" + boundary)[1]
            head, _, data = part.partition(b"\r\n\r\n")
            data = data.removesuffix(b"\r\n")
            assert b'name="snapshot"' in head
            if query["checksum"] != [hashlib.sha256(data).hexdigest()] or query["priority"] != ["snapshot"]:
                return self.answer(400, error="Bad request: Snapshot checksum mismatch")
            if name == server.refuse_uploads_of:
                return self.answer(500, error="Service internal error: No space left on device")
            server.recover(name, data)
            return self.answer(200, True)

        def answer(self, code: int, result: Any = None, error: str | None = None, text: str | None = None) -> None:
            body = {"result": result, "status": "ok" if error is None else {"error": error}, "time": 0.0}
            self.send(code, json.dumps(body).encode() if text is None else text.encode())

        def send(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do  # noqa: N815

    return Handler


@contextmanager
def serving_rest(local: LocalQdrant, **settings: Any) -> Iterator[RestServer]:
    """The interface until the block ends."""
    server = RestServer(local, **settings)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
