"""Snapshots are whole or not there, say what is in them, and become stores again; damaged ones are refused."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_qdrant import serving
from loopback_snapshots import serving_rest
from store_examples import (
    FINGERPRINT,
    TABLES,
    kill_after,
    make_id,
    make_space,
    make_vector,
    quick_folder,
    run_python,
    start_python,
)
from whole_rows import whole_point

from rise_store.errors import StoreError, StoreFullError, StoreInUseError
from rise_store.store import SearchRequest, open_store
from rise_store.store.embedded import drafts, snapshots
from rise_store.store.embedded.disk import size_bytes
from rise_store.store.snapshots import restore_store, snapshot_store
from rise_store.store.verification import verify_store


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as temporary:
        yield temporary


@pytest.fixture
def root(folder: Path) -> Path:
    """A store with 100 rows, some of them deleted or replaced."""
    with open_store(folder / "store", create=True) as store:
        collection = store.create_space(make_space(), TABLES)
        collection.upsert([whole_point(number) for number in range(100)])
        collection.upsert([whole_point(number, 1) for number in range(10)])
        collection.delete([make_id(number) for number in range(90, 100)])
    return folder / "store"


@pytest.fixture
def snapshot(root: Path, folder: Path) -> Path:
    snapshot_store(str(root), folder / "snapshot")
    return folder / "snapshot"


def answers(root: Path) -> list[tuple[object, ...]]:
    with open_store(root) as store:
        hits = store.open_collection(FINGERPRINT).search([SearchRequest(make_vector(3), 20)])[0]
        return [(hit.id, hit.score, hit.payload) for hit in hits]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_restored_store_answers_as_the_old_one(root: Path, snapshot: Path, folder: Path) -> None:
    report = restore_store(snapshot, str(folder / "again"))
    assert (report.spaces, report.source, report.target) == ((FINGERPRINT,), str(snapshot), str(folder / "again"))
    assert answers(folder / "again") == answers(root)
    assert verify_store(str(folder / "again"), open_store).count == 0
    assert names(folder) == {"store", "snapshot", "again"}
    with open_store(folder / "again") as store:
        store.open_collection(FINGERPRINT).upsert([whole_point(500)])
        assert store.open_collection(FINGERPRINT).count() == 91


def test_the_manifest_lists_every_file_as_sha256sum_does(root: Path, snapshot: Path) -> None:
    manifest = json.loads((snapshot / "manifest.json").read_bytes())
    assert manifest["format"] == 1
    assert manifest["engine"] == "embedded"
    assert manifest["spaces"] == [FINGERPRINT]
    listed = {file["path"] for file in manifest["files"]}
    found = {path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()}
    assert found == listed | {"manifest.json"}
    for file in manifest["files"]:
        content = (snapshot / file["path"]).read_bytes()
        assert len(content) == file["bytes"]
        assert hashlib.sha256(content).hexdigest() == file["sha256"]


def test_holes_are_kept(root: Path, snapshot: Path) -> None:
    assert size_bytes(snapshot) < 2 * size_bytes(root)
    assert sum(path.stat().st_size for path in snapshot.rglob("*")) > 50 * size_bytes(snapshot)


def test_what_a_dead_process_stored_is_in_the_snapshot(root: Path, folder: Path) -> None:
    script = """
        import os, sys
        from store_examples import *
        from whole_rows import *
        from rise_store.store import open_store
        open_store(sys.argv[1]).open_collection(FINGERPRINT).upsert([whole_point(700)])
        os._exit(0)
    """
    run_python(script, root)
    snapshot_store(str(root), folder / "snapshot")
    restore_store(folder / "snapshot", str(folder / "again"))
    with open_store(folder / "again") as store:
        assert make_id(700) in store.open_collection(FINGERPRINT).retrieve([make_id(700)])


def test_each_damaged_file_is_named_and_nothing_is_left(snapshot: Path, folder: Path) -> None:
    files = [path for path in snapshot.rglob("*") if path.is_file() and path.name != "manifest.json"]
    chance = random.Random(1)
    for path in chance.sample(files, 12):
        kept = path.read_bytes()
        position = chance.randrange(len(kept))
        path.write_bytes(kept[:position] + bytes([kept[position] ^ 1]) + kept[position + 1 :])
        with pytest.raises(StoreError, match="is damaged: the SHA-256 of") as caught:
            restore_store(snapshot, str(folder / "again"))
        assert str(path) in str(caught.value)
        path.write_bytes(kept[:-1])
        with pytest.raises(StoreError, match=r"is damaged: .* bytes instead of") as caught:
            restore_store(snapshot, str(folder / "again"))
        assert str(path) in str(caught.value)
        path.unlink()
        with pytest.raises(StoreError, match=r"is incomplete: .* is missing") as caught:
            restore_store(snapshot, str(folder / "again"))
        assert str(path) in str(caught.value)
        assert names(folder) == {"store", "snapshot"}
        path.write_bytes(kept)
    restore_store(snapshot, str(folder / "again"))


class TestRefused:
    def test_a_damaged_manifest(self, snapshot: Path, folder: Path) -> None:
        (snapshot / "manifest.json").write_text("{")
        with pytest.raises(StoreError, match=r"manifest\.json is damaged"):
            restore_store(snapshot, str(folder / "again"))

    @pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "manifest.json"])
    def test_paths_that_lead_out_of_the_snapshot(self, snapshot: Path, folder: Path, path: str) -> None:
        manifest = json.loads((snapshot / "manifest.json").read_bytes())
        manifest["files"][0]["path"] = path
        (snapshot / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(StoreError, match="is not a path inside a snapshot"):
            restore_store(snapshot, str(folder / "again"))

    def test_a_folder_that_is_no_snapshot(self, root: Path, folder: Path) -> None:
        with pytest.raises(StoreError, match=r"is not a snapshot: it has no manifest\.json"):
            restore_store(root, str(folder / "again"))

    def test_targets_that_are_taken(self, root: Path, snapshot: Path) -> None:
        with pytest.raises(StoreError, match="exists and is not an empty folder"):
            restore_store(snapshot, str(root))
        with pytest.raises(StoreError, match="exists and is not an empty folder"):
            snapshot_store(str(root), snapshot)
        with pytest.raises(StoreError, match="is inside the store"):
            snapshot_store(str(root), root / "snapshot")

    def test_a_store_that_is_open(self, root: Path, folder: Path) -> None:
        with open_store(root), pytest.raises(StoreInUseError, match=f"already open in this process .{os.getpid()}"):
            snapshot_store(str(root), folder / "snapshot")
        assert names(folder) == {"store"}

    def test_a_store_that_another_process_has_open(self, root: Path, folder: Path) -> None:
        script = """
            import sys, time
            from rise_store.store import open_store
            store = open_store(sys.argv[1])
            print("open")
            time.sleep(600)
        """
        process = start_python(script, root)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            with pytest.raises(StoreInUseError, match=f"is in use by process {process.pid}"):
                snapshot_store(str(root), folder / "snapshot")
            with pytest.raises(StoreInUseError, match=f"is in use by process {process.pid}"):
                verify_store(str(root), open_store)
        finally:
            kill_after(process, 0)

    def test_a_damaged_store(self, root: Path, folder: Path) -> None:
        path = next(root.rglob("mutable_id_tracker.mappings"))
        status = path.stat()
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as decay on the disk would
        with pytest.raises(StoreError, match=r"mutable_id_tracker\.mappings is damaged.*No snapshot was taken"):
            snapshot_store(str(root), folder / "snapshot")
        assert names(folder) == {"store"}

    def test_a_full_disk(self, root: Path, snapshot: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(snapshots, "_SPARE_BYTES", 2**60)
        with pytest.raises(StoreFullError, match="too full to take a snapshot"):
            snapshot_store(str(root), folder / "more")
        with pytest.raises(StoreFullError, match="too full to restore a snapshot"):
            restore_store(snapshot, str(folder / "again"))
        assert names(folder) == {"store", "snapshot"}

    def test_another_kind_of_store(self, snapshot: Path) -> None:
        with pytest.raises(StoreError, match=r"is the snapshot of a folder and cannot be restored to a server"):
            restore_store(snapshot, "http://localhost:6333")


def test_a_server_is_copied_by_its_own_snapshots(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISE_STORE_API_KEY", "key")
    with serving(api_key="key") as server, serving_rest(server.local, api_key="key") as rest:
        old, new = (f"http://127.0.0.1:{rest.port}/{name}?grpc_port={server.port}" for name in ("old", "new"))
        with open_store(old, create=True) as store:
            store.create_space(make_space(), TABLES).upsert([whole_point(number) for number in range(20)])
        report = snapshot_store(old, folder / "snapshot")
        assert (report.engine, report.spaces, report.files) == ("server", (FINGERPRINT,), 2)
        path = folder / "snapshot" / f"{FINGERPRINT}.snapshot"
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(StoreError, match="is damaged: the SHA-256 of"):
            restore_store(folder / "snapshot", new)
        path.write_bytes(kept)
        restore_store(folder / "snapshot", new)
        assert verify_store(new, open_store).count == 0
        with open_store(new) as store:
            assert store.open_collection(FINGERPRINT).count() == 20
        with pytest.raises(StoreError, match="is the snapshot of a server and cannot be restored to a folder"):
            restore_store(folder / "snapshot", str(folder / "again"))
    assert names(folder) == {"snapshot"}


@pytest.mark.parametrize("work", ["snapshot", "restore"])
def test_a_killed_copy_leaves_nothing_that_looks_complete(root: Path, folder: Path, work: str) -> None:
    snapshot_store(str(root), folder / "snapshot")
    script = """
        import sys, time
        from pathlib import Path
        from rise_store.store.snapshots import restore_store, snapshot_store
        root, folder, files = sys.argv[1], Path(sys.argv[2]), int(sys.argv[4])
        def progress(done, total):
            global files
            files -= 1
            print(done)
            if files == 0:
                time.sleep(600)  # until it is killed
        if sys.argv[3] == "snapshot":
            snapshot_store(root, folder / "new", progress)
        else:
            restore_store(folder / "snapshot", str(folder / "new"), progress)
    """
    chance = random.Random(time.time_ns())
    source = root if work == "snapshot" else folder / "snapshot"
    for share in (0.0, chance.random(), 1.0):
        in_all = sum(path.is_file() for path in source.rglob("*")) - 1  # all but the lock, or the manifest
        files = max(1, round(share * in_all))
        process = start_python(script, root, folder, work, files)
        assert len(kill_after(process, files)) == files
        assert not (folder / "new").exists()
        assert len(list(folder.glob(".new.draft-*"))) <= 1  # the next run removes what the last one left
        assert verify_store(str(root), open_store).count == 0
    if work == "snapshot":
        snapshot_store(str(root), folder / "new")
    else:
        restore_store(folder / "snapshot", str(folder / "new"))
    assert names(folder) == {"store", "snapshot", "new"}


def test_a_copy_leaves_alone_another_one_that_is_nearly_complete(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_tree = drafts.sync_tree

    def overtaken(draft: Path) -> None:
        monkeypatch.setattr(drafts, "sync_tree", sync_tree)
        with pytest.raises(InterruptedError), drafts.draft_of(folder / "snapshot"):
            raise InterruptedError
        sync_tree(draft)

    monkeypatch.setattr(drafts, "sync_tree", overtaken)
    snapshot_store(str(root), folder / "snapshot")
    assert names(folder) == {"store", "snapshot"}
    assert names(folder / "snapshot") == {"store.json", "spaces", "manifest.json"}
    restore_store(folder / "snapshot", str(folder / "again"))
    assert answers(folder / "again") == answers(root)
