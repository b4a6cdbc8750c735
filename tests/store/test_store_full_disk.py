"""A full disk: writes are refused in time, what was acknowledged is kept, and the store opens again.

The embedded engine gets no error from a full disk but a SIGBUS, which kills the process (qdrant-edge-py 0.9.0).
"""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest
from store_examples import TABLES, make_id, make_point, make_space, run_python

from rise_store.errors import StoreFullError
from rise_store.store import Equals, open_store
from rise_store.store.embedded import upkeep
from rise_store.store.embedded.disk import MIB

# Mounting needs privileges over the mounts of the process: root has them, others get them in a namespace of their own.
NAMESPACES = (["unshare", "-m"], ["unshare", "-Urm"])


def private_mounts() -> list[str]:
    for command in NAMESPACES:
        try:
            subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    pytest.skip("needs unshare and the right to mount a tmpfs")


def run_on_small_disk(script: str, disk: Path, size: str) -> str:
    """Run `script`, with `disk` as its argument, where `disk` is a file system of this size of its own."""
    disk.mkdir()
    return run_python(
        """
        import subprocess, sys
        command, disk, size, script = sys.argv[1].split(), *sys.argv[2:]
        shell = 'mount -t tmpfs -o size="$1" tmpfs "$0" && exec "$2" -u -c "$3" "$0"'
        sys.exit(subprocess.run([*command, "sh", "-c", shell, disk, size, sys.executable, script]).returncode)
        """,
        " ".join(private_mounts()),
        disk,
        size,
        textwrap.dedent(script),
    )


def test_a_small_disk_fills_up_and_nothing_is_lost(root: Path) -> None:
    script = """
        import os, sys
        from pathlib import Path
        from store_examples import *
        from rise_store.errors import StoreFullError
        from rise_store.store import SearchRequest, open_store
        disk = Path(sys.argv[1])
        wide = 2048

        store = open_store(disk / "store", create=True)
        collection = store.create_space(make_space(dim=wide), TABLES)
        acknowledged = 0
        try:
            while True:
                collection.upsert([make_point(number, wide) for number in range(acknowledged, acknowledged + 200)])
                acknowledged += 200
        except StoreFullError as error:
            print(error)
        stored = collection.count()
        assert acknowledged <= stored < acknowledged + 200, (acknowledged, stored)
        assert collection.search([SearchRequest(make_vector(1, wide), 1)])[0]
        store.close()

        with open_store(disk / "store") as store:
            collection = store.open_collection(FINGERPRINT)
            assert collection.count() == stored
            ids = [make_id(number) for number in range(acknowledged)]
            assert len(collection.retrieve(ids, with_vectors=True)) == acknowledged

        filler = open(disk / "filler", "wb", buffering=0)
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            print("not a byte is free")
        try:
            open_store(disk / "store").open_collection(FINGERPRINT)
        except StoreFullError as error:
            print(error)
        os.remove(disk / "filler")
        filler.close()

        os.system(f"mount -o remount,size=1200m {disk}")
        with open_store(disk / "store") as store:
            collection = store.open_collection(FINGERPRINT)
            collection.upsert([make_point(number, wide) for number in range(acknowledged, acknowledged + 200)])
            print("resumed", collection.count() == acknowledged + 200)
            collection.delete([make_id(0)])
            collection.compact()
            assert collection.count() == acknowledged + 199
    """
    lines = run_on_small_disk(script, root, "220m").splitlines()
    assert "is too full to store rows" in lines[0]
    assert "Everything that was acknowledged is kept. Free some space and run the same command again" in lines[0]
    assert lines[1] == "not a byte is free"
    assert "is too full to open it" in lines[2]
    assert lines[3:] == ["resumed True"]


def test_a_disk_that_others_fill_kills_the_process_and_nothing_is_lost(root: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from store_examples import *
        from rise_store.store import open_store
        from rise_store.store.embedded import disk as store_disk
        disk = Path(sys.argv[1])
        wide = 2048

        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            collection = open_store(disk / "store", create=True).create_space(make_space(dim=wide), TABLES)
            with open(disk / "filler", "wb", buffering=0) as filler:
                while store_disk.free_bytes(disk) > 4 * 2**20:
                    filler.write(bytes(2**20))
            store_disk.free_bytes = lambda _: 2**40  # as if the disk had been filled just after the check
            for number in range(100_000):
                collection.upsert([make_point(number, wide)])
                os.write(write, b".")
        print(signal.Signals(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).name)
        os.close(write)
        acknowledged = len(os.read(read, 100_000))
        os.remove(disk / "filler")
        with open_store(disk / "store") as store:
            found = store.open_collection(FINGERPRINT).retrieve([make_id(number) for number in range(acknowledged)])
            print(acknowledged > 10, len(found) == acknowledged)
    """
    assert run_on_small_disk(script, root, "300m").splitlines() == ["SIGBUS", "True True"]


def test_a_file_size_limit_is_a_full_disk(root: Path) -> None:
    output = run_python(
        """
        import resource, sys
        from store_examples import *
        from rise_store.errors import StoreFullError
        from rise_store.store import open_store
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
        with open_store(sys.argv[1], create=True) as store:
            try:
                store.create_space(make_space(), TABLES)
            except StoreFullError as error:
                print(error)
            print(store.spaces())
        """,
        root,
    )
    assert "is full: could not create a space" in output
    assert output.endswith("\n[]\n")


class TestNearlyFull:
    """The same in this process, with the free space made up."""

    def test_each_kind_of_write_is_refused(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            collection.upsert([make_point(number) for number in range(10)])
            collection.delete([make_id(9)])
            monkeypatch.setattr("rise_store.store.embedded.disk.free_bytes", lambda _: 40 * MIB)
            for write in (
                lambda: collection.upsert([make_point(10)]),
                lambda: collection.set_payload({make_point(1).id: {"text": "new"}}),
                lambda: collection.mark(Equals("dataset", "books"), "vanished_in", "v2"),
                lambda: collection.delete([make_point(1).id]),
                collection.tidy,
                collection.compact,
                lambda: store.create_space(make_space("cafe"), TABLES),
            ):
                with pytest.raises(StoreFullError, match=r"[\d,]+ MiB must be free, 40 MiB are"):
                    write()
            assert collection.count() == 9
            assert collection.count(Equals("text", "new")) == 0
            assert collection.count(Equals("vanished_in", "v2")) == 0
            monkeypatch.undo()
            collection.upsert([make_point(10)])
            assert collection.count() == 10

    def test_large_payloads_count(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            monkeypatch.setattr("rise_store.store.embedded.disk.free_bytes", lambda _: 100 * MIB)
            collection.upsert([make_point(1)])
            with pytest.raises(StoreFullError):
                collection.upsert([make_point(2, text="x" * 20 * MIB)])

    def test_sealing_waits_for_space(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upkeep, "SEGMENT_BYTES", 16 * 1024)
        monkeypatch.setattr(upkeep, "free_bytes", lambda _: 0)
        with open_store(root, create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            collection.upsert([make_point(number) for number in range(1_100)])
            with collection._engine.using("count segments") as shard:  # type: ignore[attr-defined]
                assert shard.info().segments_count == 1
