"""Export to a file and import it: nothing is lost, and nothing that is damaged gets in."""

from __future__ import annotations

import shutil
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from rise_store import ConfigError, InputError, SpaceMismatchError, StoreError
from rise_store.lifecycle import pages
from rise_store.lifecycle.npz_file import write_npz
from rise_store.records import Space
from rise_store.signature import EstimatorConfig, SignatureEncoder
from rise_store.store import open_store, tables_sha256
from tests.ingest.examples import OpenStore
from tests.lifecycle.material import NOTES, TALES, contents, synthetic_collection, vector_of

FORMATS = ["npz", "parquet"]


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, folder: Path) -> Path:
    """Where an export goes."""
    return folder / f"export.{request.param}"


def test_a_round_trip_is_exact(store: OpenStore, empty: OpenStore, file: Path, encoder: SignatureEncoder) -> None:
    exported = store.export(file)
    assert (exported.examples, exported.format) == (12, file.suffix[1:])
    assert exported.size_bytes == file.stat().st_size
    imported = empty.import_file(file)
    assert (imported.new, imported.replaced, imported.unchanged, imported.stored) == (12, 0, 0, 12)
    assert imported.created_space
    assert contents(empty) == contents(store)
    (space,), (copy,) = store.backend.spaces(), empty.backend.spaces()
    assert copy == space
    assert tables_sha256(empty.backend.tables(copy.fingerprint)) == space.tables_sha256
    answers = [opened.attribute(TALES[5]["text"], k=12, model=encoder).results for opened in (store, empty)]
    assert [hit.score for hit in answers[0]] == pytest.approx([hit.score for hit in answers[1]], abs=1e-5)


def test_an_import_continues_where_ingestion_would(
    store: OpenStore, empty: OpenStore, file: Path, encoder: SignatureEncoder
) -> None:
    store.export(file)
    empty.import_file(file)
    assert empty.ingest(TALES, dataset="tales", model=encoder).unchanged == 8


def test_importing_again_changes_nothing(store: OpenStore, empty: OpenStore, file: Path) -> None:
    store.export(file)
    empty.import_file(file)
    before = contents(empty)
    again = empty.import_file(file)
    assert (again.new, again.replaced, again.unchanged, again.created_space) == (0, 0, 12, False)
    assert contents(empty) == before


def test_what_differs_is_replaced(store: OpenStore, file: Path) -> None:
    before = contents(store)
    store.export(file)
    store.annotate("dataset=notes", set={"license": "ODbL-1.0"})
    store.delete(["row-1"], yes=True)
    report = store.import_file(file)
    assert (report.new, report.replaced, report.unchanged) == (1, 4, 7)
    assert contents(store) == before


def test_only_what_a_filter_lets_through(store: OpenStore, empty: OpenStore, file: Path) -> None:
    assert store.export(file, where="dataset=notes").examples == 4
    empty.import_file(file)
    assert {dataset for dataset, _ in empty.points} == {"notes"}


def test_nothing_at_all(store: OpenStore, empty: OpenStore, file: Path) -> None:
    assert store.export(file, where=["dataset=notes", "license=MIT", "page=9"]).examples == 0
    assert empty.import_file(file).stored == 0


def test_numpy_reads_an_npz_without_pickles(store: OpenStore, folder: Path) -> None:
    store.export(folder / "e.npz")
    with np.load(folder / "e.npz", allow_pickle=False) as arrays:
        (space,) = store.backend.spaces()
        assert Space.model_validate_json(str(arrays["space"])) == space
        assert (arrays["signatures"].dtype, arrays["signatures"].shape) == (np.float16, (12, 352))
        assert arrays["tables/hidden_bucket"].dtype == np.int32
        offsets = arrays["payload_offsets"]
        held = contents(store)
        for row, id_ in enumerate(arrays["ids"].tolist()):
            payload, vector = held[UUID(id_)]
            assert orjson.loads(arrays["payloads"][offsets[row] : offsets[row + 1]].tobytes()) == payload
            assert arrays["signatures"][row].astype(np.float32).tobytes() == vector


def test_parquet_has_a_column_for_each_field(store: OpenStore, folder: Path) -> None:
    store.export(folder / "e.parquet")
    table = parquet.read_table(folder / "e.parquet")
    assert table.schema.field("signature").type == arrow.list_(arrow.float16(), 352)
    for row in table.to_pylist():
        payload = store.points[row["dataset"], row["example_id"]].payload
        assert orjson.loads(row["metadata"]) == payload["metadata"]
        assert {name: row[name] for name in ("license", "text", "tokens", "ingested_at")} == {
            name: payload[name] for name in ("license", "text", "tokens", "ingested_at")
        }
        assert row["channel_norm_rh"] == payload["channel_norms"]["rh"]
        assert row["source_uri"] is None


def test_another_space_needs_to_be_allowed(store: OpenStore, empty: OpenStore, file: Path, tiny_model: Path) -> None:
    other = SignatureEncoder.from_pretrained(tiny_model, EstimatorConfig(kr=4, kh=4, kg=4), device="cpu")
    empty.ingest(NOTES, dataset="notes", model=other)
    store.export(file)
    with pytest.raises(SpaceMismatchError, match="add a second space with --new-space"):
        empty.import_file(file)
    assert len(empty.backend.spaces()) == 1
    assert empty.import_file(file, new_space=True).new == 12
    assert len(empty.backend.spaces()) == 2


def rewritten(file: Path, **arrays: Callable[[Any], Any]) -> Path:
    """A copy of an exported .npz with some arrays changed."""
    with np.load(file, allow_pickle=False) as loaded:
        changed = {name: arrays[name](loaded[name].copy()) if name in arrays else loaded[name] for name in loaded}
    copy = file.with_name(f"changed-{file.name}")
    np.savez(copy, **{name.replace("tables/", "tables/"): array for name, array in changed.items()})
    return copy


def at(row: int, value: Any) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[row] = value
        return array

    return change


def damaged_hash(blob: Any) -> Any:
    return np.frombuffer(blob.tobytes().replace(b'"example_id":"row-', b'"example_id":"rox-', 1), np.uint8)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("text", 5, "has the text 5 in its payload, which is not a text"),
        ("tokens", "x", "has the tokens 'x' in its payload, which is not a whole number from 0"),
        ("chunks", True, "has the chunks True"),
        ("license", ["MIT"], r"has the license \['MIT'\] in its payload, which is not a text"),
        ("run_id", "", "has the run_id '' in its payload, which is not a text with characters"),
        ("metadata", [1], "which is not an object"),
        ("channel_norms", {"rh": 99, "gh": True}, "which is not an object with the numbers rh and gh"),
        (
            "channel_norms",
            {"rh": 99, "gh": 1},
            "has channel norms 99.0000 and 1.0000 in its payload, but its signature",
        ),
        ("vanished_in", 2, "which is not a text"),
        ("read_from", "a.jsonl", "which is not an object with file, row, and perhaps start and end"),
        ("read_from", {"file": "a.jsonl"}, "which is not an object with file, row"),
        ("read_from", {"file": "a.jsonl", "row": -1}, "which is not an object with file, row"),
        ("read_from", {"file": "a.jsonl", "row": 1, "line": 1}, "which is not an object with file, row"),
        ("flags", ["metadata.draft=true"], "has flags that are not those of its metadata"),
    ],
)
def test_payloads_that_later_commands_cannot_read_are_refused(
    store: OpenStore, empty: OpenStore, folder: Path, name: str, value: Any, complaint: str
) -> None:
    (space,) = store.backend.spaces()
    points = list(store.backend.open_collection(space.fingerprint).scroll(with_vectors=True))
    points[3].payload[name] = value
    tables = store.backend.tables(space.fingerprint)
    write_npz(folder / "e.npz", space, tables, len(points), iter([points]))
    with pytest.raises(InputError, match=f"e.npz row 3: the row .*{complaint}"):
        empty.import_file(folder / "e.npz")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"signatures": at(3, np.nan)}, r"row 3: the row has a signature with NaN or Inf"),
        ({"signatures": at(5, 0)}, r"row 5: the row has a signature of length 0.0000 instead of 1"),
        ({"ids": at(2, "5b1c7f3e-0d7a-4a52-9a53-2f0c6f1f9d10")}, r"row 2: the row is point 5b1c7f3e\S+ instead of"),
        ({"ids": at(1, "no id")}, r"row 1: the id or payload cannot be read"),
        ({"payloads": at(0, 1)}, r"row 0: the id or payload cannot be read"),
        ({"payloads": damaged_hash}, r"row 0: the row is point \S+ instead of"),
        ({"payload_offsets": at(12, 10**9)}, "it ends too early"),
        ({"payload_offsets": at(4, -1)}, "cannot be read"),
        ({"tables/hidden_sign": at(0, 5)}, "the sketch tables are damaged"),
        ({"signatures": lambda array: array[:, :9]}, r"signatures has shape \(12, 9\), expected \(12, 352\)"),
        ({"ids": lambda array: array[0]}, r"ids has shape \(\), expected \(0,\)"),
        ({"ids": lambda array: np.arange(12)}, "ids are int64, not texts"),
        ({"payload_offsets": lambda array: array.astype(float)}, "payload_offsets are float64, not whole numbers"),
        ({"payloads": lambda array: array.reshape(1, -1)}, r"payloads has shape \(1, \d+\), expected"),
        ({"payloads": lambda array: array.astype(np.uint16)}, "payloads are uint16, not bytes"),
        ({"space": lambda array: np.array("{}")}, "cannot be read as an export"),
    ],
)
def test_bad_rows_and_files_are_refused_by_name(
    store: OpenStore, empty: OpenStore, folder: Path, changes: dict[str, Callable[[Any], Any]], complaint: str
) -> None:
    store.export(folder / "e.npz")
    copy = rewritten(folder / "e.npz", **changes)
    with pytest.raises(InputError, match=complaint) as caught:
        empty.import_file(copy)
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert empty.backend.spaces() == []


def test_a_file_that_is_cut_off_or_no_export_is_refused(store: OpenStore, empty: OpenStore, file: Path) -> None:
    store.export(file)
    whole = file.read_bytes()
    for wrong in (whole[: len(whole) // 2], b"", b"nothing of the kind", whole[:-10]):
        file.write_bytes(wrong)
        with pytest.raises(InputError, match=f"{file} cannot be read as an export"):
            empty.import_file(file)
    with pytest.raises(InputError, match="there is no file"):
        empty.import_file(file.with_stem("missing"))


def test_other_archives_are_no_exports(empty: OpenStore, folder: Path) -> None:
    np.savez(folder / "plain.npz", ids=np.array(["a"]), signatures=np.zeros((1, 4), np.float32))
    with pytest.raises(InputError, match="has no array 'payload_offsets', so it is no export"):
        empty.import_file(folder / "plain.npz")
    described = {"rise_store.space": "{}"}
    for table in (arrow.table({"a": [1]}), arrow.table({"signature": ["a"]}).replace_schema_metadata(described)):
        parquet.write_table(table, folder / "plain.parquet")
        with pytest.raises(InputError, match="says nothing of a signature space"):
            empty.import_file(folder / "plain.parquet")


def test_a_flipped_bit_is_noticed(store: OpenStore, empty: OpenStore, folder: Path) -> None:
    store.export(folder / "e.npz")
    with zipfile.ZipFile(folder / "e.npz") as archive:
        offset = archive.getinfo("signatures.npy").header_offset
    data = bytearray((folder / "e.npz").read_bytes())
    data[offset + 4000] ^= 1
    (folder / "e.npz").write_bytes(data)
    with pytest.raises(InputError, match="Bad CRC-32"):
        empty.import_file(folder / "e.npz")


def test_a_flipped_bit_that_makes_an_archive_look_encrypted(store: OpenStore, empty: OpenStore, folder: Path) -> None:
    file = folder / "export.npz"
    store.export(file)
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] ^= 1  # the flag of the first entry in the archive's list
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"export\.npz cannot be read as an export: .*encrypted"):
        empty.import_file(file)


def test_other_endings_and_missing_folders_are_refused(store: OpenStore, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in neither .npz nor .parquet"):
        store.export(folder / "e.csv")
    with pytest.raises(ConfigError, match=r"ends in neither .npz nor .parquet"):
        store.import_file(folder / "e.csv")
    with pytest.raises(InputError, match="there is no folder"):
        store.export(folder / "no" / "e.npz")


def test_an_export_that_fails_leaves_the_old_file_and_no_draft(
    store: OpenStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "e.npz").write_bytes(b"an older export")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.export(folder / "e.npz", progress=interrupt)
    assert (folder / "e.npz").read_bytes() == b"an older export"
    assert sorted(path.name for path in folder.iterdir()) == ["e.npz", "store"]


def test_a_store_that_changes_meanwhile_is_noticed(empty: OpenStore, file: Path) -> None:
    collection = synthetic_collection(empty.backend, 150, 65_536)  # 128 rows a page

    def shrink(done: int, total: int) -> None:
        collection.delete([point.id for point in collection.scroll()][done:])

    with pytest.raises(StoreError, match="the store changed during the export, from 150 rows to 128"):
        empty.export(file, progress=shrink)
    assert not file.exists()


@pytest.mark.parametrize("vectors", ["turbo8", "turbo4"])
def test_turbo_quantized_vectors_survive_within_their_error(
    empty: OpenStore, folder: Path, file: Path, vectors: str
) -> None:
    collection = synthetic_collection(empty.backend, 30, 2_048, vectors)
    empty.export(file)
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as arrays:
            assert arrays["signatures"].dtype == np.float32
    with open_store(folder / "copy", create=True) as backend:
        copy = OpenStore(backend)
        assert copy.import_file(file).new == 30
        assert copy.import_file(file).unchanged == 30
        (space,) = backend.spaces()
        assert space.storage.vectors == vectors
        copies = {point.id: point for point in backend.open_collection(space.fingerprint).scroll(with_vectors=True)}
    for point in collection.scroll(with_vectors=True):
        assert copies[point.id].payload == point.payload
        error = np.linalg.norm(vector_of(point) - vector_of(copies[point.id]))
        assert error <= {"turbo8": 0.01, "turbo4": 0.1}[vectors]


def test_memory_does_not_grow_with_the_store(folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_PAGE_BYTES", 2**18)  # 64 rows
    peaks = []
    for count in (256, 1024):
        with open_store(folder / f"from-{count}", create=True) as backend:
            synthetic_collection(backend, count, 1_024)
            with open_store(folder / f"to-{count}", create=True) as target:
                tracemalloc.start()
                OpenStore(backend).export(file)
                OpenStore(target).import_file(file)
                peaks.append(tracemalloc.get_traced_memory()[1])  # before closing, which reads whole files by the MiB
                tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]


def test_parquet_without_pyarrow_says_what_to_install(
    store: OpenStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'rise-store\[parquet\]'"):
        store.export(folder / "e.parquet")
    assert store.export(folder / "e.npz").examples == 12


def test_progress_counts_rows(store: OpenStore, empty: OpenStore, file: Path) -> None:
    told: list[tuple[int, int]] = []
    store.export(file, progress=lambda done, total: told.append((done, total)))
    empty.import_file(file, progress=lambda done, total: told.append((done, total)))
    assert told == [(12, 12), (12, 12)]


def test_a_store_on_disk_after_the_import_opens_again(store: OpenStore, folder: Path, file: Path) -> None:
    store.export(file)
    with open_store(folder / "copy", create=True) as backend:
        OpenStore(backend).import_file(file)
    with open_store(folder / "copy") as backend:
        assert contents(backend) == contents(store)
    shutil.rmtree(folder / "copy")


def test_vectors_are_those_of_the_encoder(
    store: OpenStore, empty: OpenStore, file: Path, encoder: SignatureEncoder
) -> None:
    store.export(file)
    empty.import_file(file)
    expected = encoder.encode([row["text"] for row in TALES]).signatures
    for row, signature in zip(TALES, expected, strict=True):
        vector = vector_of(empty.points["tales", row["id"]])
        np.testing.assert_array_equal(vector, signature.astype(np.float16).astype(np.float32))
