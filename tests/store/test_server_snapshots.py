"""Snapshots of stores on servers, against the documented REST interface."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loopback_qdrant import LoopbackQdrant, serving
from loopback_snapshots import RestServer, serving_rest
from store_examples import FINGERPRINT, TABLES, make_point, make_space

from rise_store.errors import StoreError
from rise_store.store import open_store
from rise_store.store.server import ServerBackend, retry
from rise_store.store.server.snapshots import download, upload

KEY = "s3cret-key-of-the-test"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("RISE_STORE_API_KEY", KEY)


@contextmanager
def both_interfaces(**settings: Any) -> Iterator[tuple[LoopbackQdrant, RestServer]]:
    with serving(api_key=KEY) as server, serving_rest(server.local, api_key=KEY, **settings) as rest:
        yield server, rest


def url(server: LoopbackQdrant, rest: RestServer, name: str = "tales") -> str:
    return f"http://127.0.0.1:{rest.port}/{name}?grpc_port={server.port}"


def fill(location: str) -> None:
    with open_store(location, create=True) as store:
        for number, fingerprint in enumerate((FINGERPRINT, "5ace0002")):
            space = make_space(fingerprint, created_at=f"2026-01-0{number + 1}T00:00:00Z")
            store.create_space(space, TABLES).upsert([make_point(n) for n in range(10 + number)])


def take(location: str, folder: Path) -> list[Any]:
    with open_store(location) as store:
        assert isinstance(store, ServerBackend)
        return download(store, folder)


def test_a_store_moves_to_another_server_under_another_name(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        files = take(url(server, rest), tmp_path)
        assert rest.snapshots == {}
    assert [file.path for file in files] == [
        "catalogue.snapshot",
        f"{FINGERPRINT}.snapshot",
        "5ace0002.snapshot",
    ]
    for file in files:
        data = (tmp_path / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    with both_interfaces() as (server, rest):
        steps: list[tuple[int, int]] = []
        sent = upload(url(server, rest, "copy"), tmp_path, lambda done, total: steps.append((done, total)))
        assert {(file.path, file.sha256) for file in sent} == {(file.path, file.sha256) for file in files}
        assert sent[-1].path == "catalogue.snapshot"
        assert steps[-1][0] == steps[-1][1] == sum(file.bytes for file in files)
        with open_store(url(server, rest, "copy")) as store:
            assert [space.fingerprint for space in store.spaces()] == [FINGERPRINT, "5ace0002"]
            assert [store.open_collection(space.fingerprint).count() for space in store.spaces()] == [10, 11]
            assert store.tables(FINGERPRINT).keys() == TABLES.keys()


def test_a_snapshot_that_arrives_damaged_is_refused_and_not_left_on_the_server(tmp_path: Path) -> None:
    with both_interfaces(corrupt=True) as (server, rest):
        fill(url(server, rest))
        with pytest.raises(StoreError, match=r"tales\.catalogue .*arrived damaged.*Take it again"):
            take(url(server, rest), tmp_path)
        assert rest.snapshots == {}


def test_a_collection_on_several_nodes_is_refused(tmp_path: Path) -> None:
    shards = [{"shard_id": 1, "peer_id": 7, "state": "Active"}]
    with both_interfaces(remote_shards=shards) as (server, rest):
        fill(url(server, rest))
        with pytest.raises(StoreError, match="spread over several nodes"):
            take(url(server, rest), tmp_path)


def test_a_replica_elsewhere_is_no_obstacle(tmp_path: Path) -> None:
    with both_interfaces(replicated=True) as (server, rest):
        fill(url(server, rest))
        assert len(take(url(server, rest), tmp_path)) == 3


def test_restoring_that_is_cut_short_leaves_no_store_and_can_be_repeated(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        take(url(server, rest), tmp_path)
    with both_interfaces(refuse_uploads_of=f"tales.{FINGERPRINT}") as (server, rest):
        with pytest.raises(StoreError, match=r"refused POST .*500 .*No space left on device") as error:
            upload(url(server, rest), tmp_path)
        assert "\n" not in str(error.value)
        assert KEY not in str(error.value)
        with pytest.raises(StoreError, match="there is no rise_store store"):
            open_store(url(server, rest))
        rest.refuse_uploads_of = None
        upload(url(server, rest), tmp_path)
        with open_store(url(server, rest)) as store:
            assert store.open_collection(FINGERPRINT).count() == 10


def test_a_store_is_not_overwritten(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        take(url(server, rest), tmp_path)
        with pytest.raises(StoreError, match=r"there is a store 'tales' at .* already"):
            upload(url(server, rest), tmp_path)


def test_a_cluster_takes_no_snapshot(tmp_path: Path) -> None:
    (tmp_path / "catalogue.snapshot").write_bytes(b"")
    with both_interfaces(peers=3) as (server, rest):
        with pytest.raises(StoreError, match="is one of 3 nodes"):
            upload(url(server, rest), tmp_path)
        assert server.local.created == {}


def test_a_folder_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no catalogue\.snapshot"):
        upload("http://localhost:6333", tmp_path)


def test_a_rest_interface_that_is_down_is_named(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        location = url(server, rest).replace(str(rest.port), "1", 1)
        with pytest.raises(StoreError, match=r"REST interface .*http://127\.0\.0\.1:1\) failed"):
            take(location, tmp_path)


def test_a_key_that_is_refused_over_rest_is_not_told(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        rest.api_key = "another"
        with pytest.raises(StoreError, match=r"401 Must provide an API key.*Set RISE_STORE_API_KEY") as error:
            take(url(server, rest), tmp_path)
        assert KEY not in str(error.value)
