"""The engines that the contract suite runs against."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from local_qdrant import LocalQdrant
from loopback_qdrant import serving
from qdrant_client import QdrantClient
from store_examples import quick_folder

from rise_store.store import Backend, open_store
from rise_store.store.server import ServerBackend
from rise_store.store.server.connection import Address, Connection, api_key, connect

REAL_SERVER = os.environ.get("RISE_STORE_TEST_QDRANT_URL")
ENGINES = ["embedded", "local", "wire", *(["server"] if REAL_SERVER else [])]


@contextmanager
def open_engine(name: str) -> Iterator[Backend]:
    """An empty store of an engine.

    embedded: a folder; local: the server backend over the client's local mode; wire: over gRPC, to a server in this
    process; server: a real one, at RISE_STORE_TEST_QDRANT_URL, in a store of its own that is removed again.
    """
    match name:
        case "embedded":
            with quick_folder() as folder, open_store(folder / "store", create=True) as store:
                yield store
        case "local":
            with ServerBackend(Connection(LocalQdrant(), "local mode"), create=True) as store:
                yield store
        case "wire":
            with serving() as server, open_store(server.url, create=True) as store:
                yield store
        case "server":
            assert REAL_SERVER is not None
            own = f"test-{uuid4().hex}"
            try:
                with ServerBackend(connect(REAL_SERVER), own, create=True) as store:
                    yield store
            finally:
                remove_store(REAL_SERVER, own)


def remove_store(url: str, name: str) -> None:
    """Delete the collections of a store."""
    address = Address.parse(url)
    client = QdrantClient(
        host=address.host, port=address.rest_port, grpc_port=address.grpc_port, https=address.scheme == "https",
        prefer_grpc=True, check_compatibility=False, headers={"api-key": api_key() or ""},
    )  # fmt: skip
    for collection in client.get_collections().collections:
        if collection.name.startswith(f"{name}."):
            client.delete_collection(collection.name)
    client.close()
