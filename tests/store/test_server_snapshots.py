"""Snapshots of stores on servers, against the documented REST interface."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loopback_qdrant import LoopbackQdrant, serving
from loopback_snapshots import RestServer, serving_rest
from store_examples import FINGERPRINT, TABLES, make_point, make_space

from rise_store.errors import StoreError
from rise_store.records import SnapshotFile
from rise_store.store import open_store, snapshots
from rise_store.store.server import ServerBackend, retry
from rise_store.store.server.snapshots import download, upload
from rise_store.store.snapshots import restore_store, snapshot_store

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
        upload(url(server, rest, "copy"), tmp_path, files, lambda done, total: steps.append((done, total)))
        sent = [path for method, path in rest.requests if path.endswith("/snapshots/upload")]
        assert [path.split("/")[2] for path in sent] == ["copy.5ace0001", "copy.5ace0002", "copy.catalogue"]
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
        files = take(url(server, rest), tmp_path)
    with both_interfaces(refuse_uploads_of=f"tales.{FINGERPRINT}") as (server, rest):
        with pytest.raises(StoreError, match=r"refused POST .*500 .*No space left on device") as error:
            upload(url(server, rest), tmp_path, files)
        assert "\n" not in str(error.value)
        assert KEY not in str(error.value)
        with pytest.raises(StoreError, match="there is no rise_store store"):
            open_store(url(server, rest))
        rest.refuse_uploads_of = None
        upload(url(server, rest), tmp_path, files)
        with open_store(url(server, rest)) as store:
            assert store.open_collection(FINGERPRINT).count() == 10


def test_a_store_is_not_overwritten(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        files = take(url(server, rest), tmp_path)
        with pytest.raises(StoreError, match=r"there is a store 'tales' at .* already"):
            upload(url(server, rest), tmp_path, files)


def test_a_cluster_takes_no_snapshot(tmp_path: Path) -> None:
    files = [SnapshotFile(path="catalogue.snapshot", bytes=0, sha256="")]
    with both_interfaces(peers=3) as (server, rest):
        with pytest.raises(StoreError, match="is one of 3 nodes"):
            upload(url(server, rest), tmp_path, files)
        assert server.local.created == {}


def test_a_folder_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"has no catalogue\.snapshot"):
        upload("http://localhost:6333", tmp_path, [])


@pytest.mark.parametrize("path", ["notes.txt", "a/b.snapshot", ".snapshot", "a.b.snapshot", "x?.snapshot"])
def test_files_that_are_no_collections_are_refused(tmp_path: Path, path: str) -> None:
    files = [SnapshotFile(path=name, bytes=0, sha256="") for name in ("catalogue.snapshot", path)]
    with pytest.raises(StoreError, match="is not the file of a collection"):
        upload("http://localhost:6333", tmp_path, files)


def test_only_files_of_the_snapshot_are_sent(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        files = take(url(server, rest), tmp_path)
        (tmp_path / "stray.snapshot").write_bytes((tmp_path / "5ace0002.snapshot").read_bytes())
        upload(url(server, rest, "copy"), tmp_path, files)
        assert {name for name in server.local.created if name.startswith("copy.")} == {
            "copy.catalogue",
            f"copy.{FINGERPRINT}",
            "copy.5ace0002",
        }


def test_rows_left_by_restoring_that_was_cut_short_are_in_no_new_space(tmp_path: Path) -> None:
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        files = take(url(server, rest), tmp_path)
    with both_interfaces(refuse_uploads_of="tales.catalogue") as (server, rest):
        with pytest.raises(StoreError, match="refused POST"):
            upload(url(server, rest), tmp_path, files)
        with (
            open_store(url(server, rest), create=True) as store,
            pytest.raises(StoreError, match=rf"tales\.{FINGERPRINT} that belongs to no space.*holds 10 rows"),
        ):
            store.create_space(make_space(), TABLES)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_stands_between_this_machine_and_itself(
    tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with both_interfaces() as (server, rest), serving_rest(server.local) as proxy:
        fill(url(server, rest))
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        take(url(server, rest), tmp_path)
        assert proxy.requests == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        with pytest.raises(StoreError, match=r"could not write the snapshot: .*File exists"):
            snapshot_store(url(server, rest), tmp_path / "file" / "snapshot")


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


def test_a_snapshot_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, file: SnapshotFile, *, content: bool) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder / file.path))

    with both_interfaces() as (server, rest):
        fill(url(server, rest))
        snapshot_store(url(server, rest), tmp_path / "snapshot")
        monkeypatch.setattr(snapshots, "check_file", fail)
        with pytest.raises(StoreError, match=r"could not restore the snapshot: .*Input/output error.*snapshot"):
            restore_store(tmp_path / "snapshot", url(server, rest, "copy"))
        assert not any(name.startswith("copy.") for name in server.local.created)
