"""Stores on a Qdrant server, spoken to over gRPC."""

# ruff: noqa: E402

from __future__ import annotations

import os

# Before gRPC is imported: it would log to stderr what errors of ours say in one line.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from rise_store.store.server.backend import ServerBackend
from rise_store.store.server.connection import connect

__all__ = ["ServerBackend", "connect", "open_server"]


def open_server(url: str, *, create: bool = False) -> ServerBackend:
    """Open the store at `url`; see `rise_store.store.open_store`."""
    connection = connect(url)
    assert connection.address is not None
    return ServerBackend(connection, connection.address.name, create=create)
