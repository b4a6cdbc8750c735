"""Migration between engines: a folder, the server backend over local mode, and a server over gRPC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rise_store import AttributionStore
from rise_store.lifecycle import migrate_spaces
from rise_store.signature import SignatureEncoder
from rise_store.store import Backend, open_store
from rise_store.store.server import ServerBackend
from rise_store.store.server.connection import Connection
from tests.ingest.examples import OpenStore
from tests.lifecycle.material import TALES, synthetic_collection, vector_of
from tests.store.local_qdrant import LocalQdrant
from tests.store.loopback_qdrant import serving


def assert_equal(one: Backend, other: Backend) -> None:
    """The same spaces with the same tables, points and payloads; signatures up to the rounding of float16."""
    assert other.spaces() == one.spaces()
    for space in one.spaces():
        fingerprint = space.fingerprint
        tables, copies = one.tables(fingerprint), other.tables(fingerprint)
        assert tables.keys() == copies.keys()
        for name, table in tables.items():
            np.testing.assert_array_equal(copies[name], table)
        points = list(one.open_collection(fingerprint).scroll(with_vectors=True))
        others = list(other.open_collection(fingerprint).scroll(with_vectors=True))
        assert [(point.id, point.payload) for point in others] == [(point.id, point.payload) for point in points]
        for point, copy in zip(points, others, strict=True):
            np.testing.assert_allclose(vector_of(copy), vector_of(point), atol=1e-3)


def test_from_a_folder_to_a_server_and_back(store: OpenStore, folder: Path, encoder: SignatureEncoder) -> None:
    with ServerBackend(Connection(LocalQdrant(), "local mode"), create=True) as server:
        (there,) = migrate_spaces(store.backend, server, store.backend.spaces()).spaces
        assert (there.copied, there.checked) == (12, 12)
        assert_equal(store.backend, server)
        (again,) = migrate_spaces(store.backend, server, store.backend.spaces()).spaces
        assert (again.copied, again.unchanged) == (0, 12)
        answer = OpenStore(server).attribute(TALES[3]["text"], k=1, model=encoder).results[0]
        assert (answer.example_id, answer.score) == ("row-3", pytest.approx(1, abs=2e-3))
        AttributionStore(server).migrate_to(folder / "back")
    with open_store(folder / "back") as back:
        assert_equal(store.backend, back)
        assert OpenStore(back).ingest(TALES, dataset="tales", model=encoder).unchanged == 8


def test_over_the_wire(folder: Path) -> None:
    with open_store(folder / "from", create=True) as source:
        synthetic_collection(source, 300, 1_024).create_index("metadata.page", "integer")
        with serving() as server:
            (space,) = AttributionStore(source).migrate_to(server.url).spaces
            assert (space.copied, space.checked) == (300, 200)
            with open_store(server.url) as there:
                assert_equal(source, there)
                assert there.open_collection(space.space).indexes()["metadata.page"] == "integer"


def test_other_verbs_on_a_server(store: OpenStore, folder: Path) -> None:
    with ServerBackend(Connection(LocalQdrant(), "local mode"), create=True) as server:
        migrate_spaces(store.backend, server, store.backend.spaces())
        remote = OpenStore(server)
        assert remote.delete(dataset="notes", yes=True).deleted == 4
        assert remote.annotate("license = MIT", set={"metadata.reviewed": True}).changed == 4
        assert remote.delete(where="reviewed = true").matched == 4
        assert len(remote.compact().spaces) == 1
        assert remote.export(folder / "e.npz").examples == 8
        assert remote.import_file(folder / "e.npz").unchanged == 8
