"""What changes in a closed store by other hands is noticed before the engine touches it, and named."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_examples import FINGERPRINT, TABLES, make_id, make_point, make_space, quick_folder, run_python

from rise_store.errors import StoreError
from rise_store.store import open_store
from rise_store.store.embedded import checksums, upkeep
from rise_store.store.embedded.checksums import Checksums, maps_change_times
from rise_store.store.embedded.sparse import copy_file, data_runs, data_sha256


@pytest.fixture(scope="module")
def intact() -> Iterator[Path]:
    """A closed store with a sealed segment of 300 rows and a growing one of 20."""
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "SEGMENT_BYTES", 8 * 1024)
        with open_store(folder / "store", create=True) as store:
            collection = store.create_space(make_space(), TABLES)
            collection.upsert([make_point(number) for number in range(300)])
            collection.tidy()
            collection.upsert([make_point(number) for number in range(300, 320)])
        yield folder / "store"


@pytest.fixture
def root(intact: Path, root: Path) -> Path:
    """A copy of the intact store, with other times of change."""
    shutil.copytree(intact, root, copy_function=shutil.copyfile)
    return root


def space_folder(root: Path) -> Path:
    return root / "spaces" / FINGERPRINT


def count(root: Path) -> int:
    with open_store(root) as store:
        return store.open_collection(FINGERPRINT).count()


def segment_file(root: Path, pattern: str) -> Path:
    return sorted((space_folder(root) / "points" / "segments").glob(f"*/{pattern}"))[0]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


PATTERNS = [
    "id_tracker.mappings",
    "id_tracker.versions",
    "version.info",
    "segment.json",
    "payload_storage/page_0.dat",
    "payload_storage/tracker.dat",
    "payload_index/*/values_to_points.bin",
    "payload_index/*/*/flags_a.dat",
    "vector_storage-signature/matrix.dat",
    "vector_storage-signature/vectors/chunk_0.mmap",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("damage", ["flip", "cut", "lengthen", "remove"])
def test_a_damaged_file_of_the_engine_is_named(root: Path, pattern: str, damage: str) -> None:
    path = segment_file(root, pattern)
    if damage == "flip":
        flip(path)
    elif damage == "remove":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2 if damage == "cut" else path.stat().st_size + 1)
    for _ in range(2):  # also the second time
        with pytest.raises(StoreError) as caught:
            count(root)
        assert str(path) in str(caught.value)
        assert ("is missing" if damage == "remove" else "is damaged") in str(caught.value)


@pytest.mark.parametrize(
    "name", ["space.json", "tables.npz", "state.json", "points/edge_config.json", "points/wal/open-1"]
)
def test_a_damaged_file_of_ours_is_named(root: Path, name: str) -> None:
    flip(space_folder(root) / name)
    with pytest.raises(StoreError, match=rf"{name} is damaged"):
        count(root)


def test_damaged_checksums_are_named(root: Path) -> None:
    (space_folder(root) / "checksums.json").write_text("{")
    with pytest.raises(StoreError, match=r"checksums\.json is damaged: .*move it away"):
        count(root)


def test_a_copy_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return data_sha256(path)

    monkeypatch.setattr(checksums, "data_sha256", counted)
    monkeypatch.setattr(checksums, "maps_change_times", lambda folder: True)
    assert count(root) == 320
    assert len(read) > 200
    read.clear()
    Checksums(space_folder(root)).begin()
    assert read == []


def test_only_what_changed_is_digested_again(tmp_path: Path, intact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "store"
    shutil.copytree(intact, root)
    if not maps_change_times(tmp_path):
        pytest.skip("on this file system every file is digested at each close")
    count(root)
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return data_sha256(path)

    monkeypatch.setattr(checksums, "data_sha256", counted)
    with open_store(root) as store:
        store.open_collection(FINGERPRINT).upsert([make_point(500)])
    names = {path.name for path in read}
    assert "chunk_0.mmap" in names
    assert "matrix.dat" not in names  # the vectors of the sealed segment
    monkeypatch.undo()
    assert list(Checksums(space_folder(root)).problems()) == []


def test_checksums_hold_after_any_kind_of_write(root: Path) -> None:
    for number in range(6):
        with open_store(root) as store:
            collection = store.open_collection(FINGERPRINT)
            if number % 2 == 0:
                collection.upsert([make_point(400 + number)])
                collection.delete([make_id(number)])
            if number == 3:
                collection.tidy()
        found = Checksums(space_folder(root))
        assert found.clean
        assert list(found.problems()) == []
        assert found.unknown() == []


def test_a_process_that_died_leaves_nothing_to_judge_by_content(root: Path) -> None:
    script = """
        import os, sys
        from store_examples import *
        from rise_store.store import open_store
        collection = open_store(sys.argv[1]).open_collection(FINGERPRINT)
        collection.upsert([make_point(1000)])
        os._exit(0)
    """
    run_python(script, root)
    names = {path.name for path in space_folder(root).iterdir()}
    assert "checksums.stale.json" in names
    assert "checksums.json" not in names
    assert list(Checksums(space_folder(root)).problems()) == []
    assert count(root) == 321
    assert list(Checksums(space_folder(root)).problems()) == []


def test_a_process_that_died_after_reading_is_no_damage(root: Path) -> None:
    # Loading alone changes files: the engine applies the end of its log once more (qdrant-edge-py 0.9.0).
    script = """
        import os, sys
        from store_examples import *
        from rise_store.store import open_store
        open_store(sys.argv[1]).open_collection(FINGERPRINT).count()
        os._exit(0)
    """
    for _ in range(2):
        run_python(script, root)
        assert count(root) == 320


def test_an_error_of_the_system_while_a_space_is_opened_is_one_of_the_store(root: Path) -> None:
    (space_folder(root) / "checksums.stale.json").mkdir()  # in the way, as a read-only disk would be
    with pytest.raises(StoreError, match=r"could not open a space: .*directory.*Check the disk"):
        count(root)


@pytest.mark.parametrize("interpreter", ["sys.executable", "sys._base_executable"])
def test_files_that_abort_a_process_abort_a_child(root: Path, interpreter: str) -> None:
    # Of this file the engine reads how many points there are, and reserves a bit for each (qdrant-edge-py 0.9.0).
    path = segment_file(root, "payload_index/*/point_to_values.bin")
    with path.open("r+b") as file:
        file.write((2**60).to_bytes(8, "little") * 8)
    (space_folder(root) / "checksums.json").unlink()
    output = run_python(
        f"""
        import sys
        sys.executable = {interpreter}  # that of a virtual environment finds the engine only along our import path
        from store_examples import *
        from rise_store.errors import StoreError
        from rise_store.store import open_store
        with open_store(sys.argv[1]) as store:
            try:
                store.open_collection(FINGERPRINT)
            except StoreError as error:
                print(error)
        """,
        root,
    )
    assert "a process that opened them was killed by signal 6" in output


@pytest.mark.parametrize("interpreter", ["false", "no-such-program", "killed"])
def test_a_trial_that_cannot_start_finds_no_damage(
    root: Path, tmp_path: Path, interpreter: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    (space_folder(root) / "checksums.json").unlink()
    monkeypatch.setattr(sys, "executable", str(killed) if interpreter == "killed" else interpreter)
    assert count(root) == 320
    assert "is opened without trying it" in caplog.text


def test_a_trial_that_starts_is_not_mentioned(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (space_folder(root) / "checksums.json").unlink()
    assert count(root) == 320
    assert caplog.text == ""


class TestHoles:
    @given(
        pages=st.lists(st.sampled_from([b"\0", b"x"]), max_size=600),
        tail=st.binary(max_size=5),
    )
    def test_copies_are_equal_and_digests_ignore_where_holes_are(self, pages: list[bytes], tail: bytes) -> None:
        content = b"".join(page * 4096 for page in pages) + tail
        with quick_folder() as folder:
            (folder / "filled").write_bytes(content)
            size, _ = copy_file(folder / "filled", folder / "sparse")
            assert size == len(content)
            assert (folder / "sparse").read_bytes() == content
            assert (folder / "sparse").stat().st_mtime_ns == (folder / "filled").stat().st_mtime_ns
            assert data_sha256(folder / "filled") == data_sha256(folder / "sparse")
            with (folder / "sparse").open("rb") as file:
                assert all(np.frombuffer(data, np.uint8).any() for _, data in data_runs(file))

    def test_the_digest_tells_apart_what_differs(self, tmp_path: Path) -> None:
        contents = [b"", b"\0", bytes(4096), bytes(8192), b"a", b"a\0", bytes(4096) + b"a", bytes(8192) + b"a"]
        digests = set()
        for content in contents:
            (tmp_path / "file").write_bytes(content)
            digests.add(data_sha256(tmp_path / "file"))
        assert len(digests) == len(contents)

    def test_holes_stay_holes(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("wb") as file:
            file.seek(2**30)
            file.write(b"end")
        copy_file(tmp_path / "file", tmp_path / "copy")
        assert (tmp_path / "copy").stat().st_blocks * 512 < 2**20
