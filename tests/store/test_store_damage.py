"""Files that are missing or damaged: a StoreError that names them, never a crash and never a wrong answer."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from store_examples import DIM, FINGERPRINT, TABLES, make_id, make_point, make_space, make_vector, quick_folder

from rise_store.errors import StoreError
from rise_store.store import Collection, Equals, SearchRequest, open_store
from rise_store.store.embedded import upkeep


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
    """A copy of the intact store without checksums, as a process that died might leave it: what else is checked?"""
    shutil.copytree(intact, root)
    (root / "spaces" / FINGERPRINT / "checksums.json").unlink()
    return root


def use(root: Path) -> None:
    """Open the store and read all that is in it; wrong answers fail, errors pass through."""
    with open_store(root) as store:
        collection = store.open_collection(FINGERPRINT)
        assert len(collection.search([SearchRequest(make_vector(1), 1000)])[0]) == 320
        assert sum(1 for _ in collection.scroll(with_vectors=True)) == 320
        assert collection.count(Equals("dataset", "books")) == 320
        assert collection.facet("dataset") == {"books": 320}
        store.tables(FINGERPRINT)


def test_a_copy_of_the_folder_is_a_store(root: Path) -> None:
    use(root)


def test_tables_are_checked(root: Path) -> None:
    path = root / "spaces" / FINGERPRINT / "tables.npz"
    data = bytearray(path.read_bytes())
    data[data.index(TABLES["hidden_bucket"].tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"tables\.npz.*(damaged: SHA-256|Bad CRC)"):
        use(root)


def test_tables_of_another_space_are_noticed(root: Path) -> None:
    from rise_store.store.tables import write_tables

    write_tables(root / "spaces" / FINGERPRINT / "tables.npz", {**TABLES, "hidden_sign": -TABLES["hidden_sign"]})
    with pytest.raises(StoreError, match=r"tables\.npz are damaged: SHA-256 \w+, expected \w+. Restore"):
        use(root)


def test_pickles_are_no_tables(root: Path) -> None:
    path = root / "spaces" / FINGERPRINT / "tables.npz"
    np.savez(path, evil=np.array([object()]))
    with pytest.raises(StoreError, match=r"tables\.npz cannot be read: Object arrays cannot be loaded"):
        use(root)
    (path.parent / "checksums.json").unlink()
    path.write_bytes(np.array([object()]).dumps())
    with pytest.raises(StoreError, match=r"tables\.npz cannot be read"):
        use(root)


def test_tables_load_with_numpy(root: Path) -> None:
    with np.load(root / "spaces" / FINGERPRINT / "tables.npz", allow_pickle=False) as tables:
        assert set(tables.files) == set(TABLES)


def test_a_space_record_of_another_space_is_noticed(root: Path) -> None:
    path = root / "spaces" / FINGERPRINT / "space.json"
    path.write_text(make_space("cafe").model_dump_json())
    with pytest.raises(StoreError, match="belongs to the space cafe"):
        use(root)


def test_a_space_record_of_another_width_is_refused_by_the_engine(root: Path) -> None:
    path = root / "spaces" / FINGERPRINT / "space.json"
    path.write_text(make_space(dim=DIM + 1).model_dump_json())
    with pytest.raises(StoreError, match="could not open a space"):
        use(root)


@pytest.mark.parametrize("name", ["points", "points/wal", "points/segments", "space.json", "tables.npz"])
def test_missing_parts_are_noticed(root: Path, name: str) -> None:
    path = root / "spaces" / FINGERPRINT / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(StoreError, match=f"{path.name}|files are missing"):
        use(root)


def test_a_missing_state_file_costs_only_the_check_of_the_count(root: Path) -> None:
    (root / "spaces" / FINGERPRINT / "state.json").write_text("{}")
    use(root)


def segment_files(root: Path, pattern: str) -> list[Path]:
    found = sorted((root / "spaces" / FINGERPRINT / "points" / "segments").glob(f"*/{pattern}"))
    assert found, pattern
    return found


@pytest.mark.parametrize(
    "pattern",
    [
        "vector_storage-signature/vectors/status.dat",  # the engine counts 320 rows and finds 300
        "vector_storage-signature/matrix.dat",  # counts 320, finds 20
        "id_tracker.mappings",  # counts 20, in silence
        "version.info",  # drops the whole segment, in silence
        "vector_storage-signature/vectors/chunk_0.mmap",
        "payload_storage/page_0.dat",
        "segment.json",
    ],
)
def test_removed_files_of_the_engine_give_no_wrong_answers(root: Path, pattern: str) -> None:
    for path in segment_files(root, pattern):
        path.unlink()
    with pytest.raises(StoreError, match=r"(?s)Restore it from a copy|restore it from a copy"):
        use(root)


@pytest.mark.parametrize("pattern", ["id_tracker.mappings", "payload_storage/tracker.dat"])
def test_panics_of_the_engine_become_store_errors(root: Path, pattern: str) -> None:
    for path in segment_files(root, pattern):
        size = min(path.stat().st_size, 4096)
        with path.open("r+b") as file:
            file.write(random.Random(0).randbytes(size))
    with pytest.raises(StoreError) as caught:
        use(root)
    assert type(caught.value.__cause__).__name__ == "PanicException"


def test_a_lost_segment_is_noticed(root: Path) -> None:
    shutil.rmtree(segment_files(root, "id_tracker.mappings")[0].parent)
    with pytest.raises(StoreError, match="of 320 examples, 20 have a payload and 20 a signature"):
        use(root)


def test_without_its_log_the_engine_would_ignore_writes(root: Path) -> None:
    # The reason for refusing a store without points/wal: see engine.check_shard_files.
    import qdrant_edge as edge

    points = root / "spaces" / FINGERPRINT / "points"
    shutil.rmtree(points / "wal")
    shard = edge.EdgeShard.load(str(points))
    shard.update(edge.UpdateOperation.overwrite_payload([make_id(1)], {"text": "new"}))
    stored = shard.retrieve([make_id(1)], True, False)[0].payload
    shard.close()
    assert stored is not None
    assert stored["text"] == "text of row 1"


def test_keyboard_interrupts_pass_through(root: Path) -> None:
    def interrupted(collection: Collection) -> None:
        with collection._engine.using("wait"):  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    with open_store(root) as store, pytest.raises(KeyboardInterrupt):
        interrupted(store.open_collection(FINGERPRINT))
