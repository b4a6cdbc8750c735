"""The public surface of `rise_store.store`."""

from __future__ import annotations

from pathlib import Path

from store_examples import run_python

import rise_store.store as store
from rise_store.store import Backend, Collection
from rise_store.store.embedded.backend import EmbeddedBackend
from rise_store.store.embedded.collection import EmbeddedCollection
from rise_store.store.server.backend import ServerBackend
from rise_store.store.server.collection import ServerCollection


def test_exported_names() -> None:
    assert store.__all__ == [
        "KEYWORD_FIELDS",
        "OWN_FIELDS",
        "And",
        "Approximation",
        "Backend",
        "Catalogue",
        "Collection",
        "DateRange",
        "Document",
        "Equals",
        "Erasure",
        "Exists",
        "Filter",
        "Hit",
        "Identity",
        "In",
        "IndexKind",
        "Not",
        "Or",
        "Payload",
        "PerChannel",
        "Point",
        "Prefix",
        "Range",
        "RowNorm",
        "Scalar",
        "Scaling",
        "SearchRequest",
        "StoredPoint",
        "Tables",
        "Tombstones",
        "Vector",
        "build_payload",
        "describe_example",
        "open_store",
        "point_id",
        "resolve_field",
        "tables_sha256",
        "with_flags",
    ]
    assert all(hasattr(store, name) for name in store.__all__)


def test_the_engines_keep_the_contract() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")} | set(getattr(kind, "__annotations__", {}))

    for collection in (EmbeddedCollection, ServerCollection):
        assert public(Collection) - {"space"} <= public(collection)
    for backend in (EmbeddedBackend, ServerBackend):
        assert public(Backend) - {"location"} <= public(backend)


def test_importing_the_store_imports_no_client_of_a_server() -> None:
    script = (
        "import sys, rise_store.store; print([m for m in sys.modules if m.split('.')[0] in ('grpc', 'qdrant_client')])"
    )
    assert run_python(script).strip() == "[]"


def test_modules_can_be_read_in_one_sitting() -> None:
    for path in Path(store.__file__).parent.glob("*.py"):
        assert len(path.read_text().splitlines()) < 250, path.name
