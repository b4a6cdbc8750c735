"""Stores on a Qdrant server, spoken to over gRPC."""

from __future__ import annotations

from rise_store.store.server.backend import ServerBackend
from rise_store.store.server.connection import connect


def open_server(url: str, *, create: bool = False) -> ServerBackend:
    """Open the store at `url`; see `rise_store.store.open_store`."""
    connection = connect(url)
    assert connection.address is not None
    return ServerBackend(connection, connection.address.name, create=create)
