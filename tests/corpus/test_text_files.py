from __future__ import annotations

import hashlib
import io
import os
import sys
import time
from pathlib import Path

import pytest

from rise_store.corpus import open_examples, open_sources
from rise_store.corpus.folders import FoundFile
from rise_store.corpus.formats import TextFiles
from rise_store.errors import InputError
from rise_store.records import Example
from tests.corpus.packers import PACKERS, fields, write


def test_a_file_is_a_document(tmp_path: Path) -> None:
    write(tmp_path / "b.txt", "Plain.\n")
    path = write(tmp_path / "a" / "x.md", "\n# The title \n\nText.\n")
    document, other = open_examples([tmp_path])
    assert document == Example(
        id="a/x.md",
        text="\n# The title \n\nText.\n",
        source_uri=str(path),
        metadata={"title": "The title"},
        location=f"{path}:1",
        origin=document.origin,
    )
    assert document.origin is not None
    assert (document.origin.file, document.origin.row, document.origin.end) == (str(path), 1, 21)
    assert isinstance(other, Example)
    assert (other.id, other.metadata) == ("b.txt", {})


def test_a_single_file_has_its_path_as_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "notes" / "a.txt", "text")
    monkeypatch.chdir(tmp_path)
    for name in ("notes/a.txt", "./notes/a.txt", Path("notes/a.txt")):
        (document,) = open_examples([name])
        assert isinstance(document, Example)
        assert document.id == "notes/a.txt"


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_compression_and_byte_order_marks(tmp_path: Path, suffix: str, encoding: str) -> None:
    path = write(tmp_path / f"a.txt{suffix}", PACKERS[suffix]("Ärger\n".encode(encoding)))
    assert [row["text"] for row in fields(TextFiles.at(path))] == ["Ärger\n"]


def test_standard_input_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"some\ntext")))
    (source,) = open_sources(["-"], format="text")
    assert source.manifest().sha256 is None
    assert fields(source) == [{"text": "some\ntext"}]


def test_what_cannot_be_read_is_a_rejected_row_and_what_is_empty_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "good")
    write(tmp_path / "b.txt", b"\x7fELF\0\0\0")
    write(tmp_path / "c.txt", b"caf\xe9")
    write(tmp_path / "d.txt", " \n")
    write(tmp_path / "e.txt.gz", PACKERS[".gz"](b"text" * 1000)[:20])
    (tmp_path / "f.txt").symlink_to(tmp_path / "nowhere")
    write(tmp_path / ".hidden.txt", "hidden")
    write(tmp_path / ".git" / "x.txt", "hidden")
    write(tmp_path / "z.txt", "good")
    (source,) = open_sources([tmp_path])
    for _ in range(2):
        assert [row if isinstance(row, str) else row["id"] for row in fields(source)] == [
            "a.txt",
            f"{tmp_path}/b.txt:1: is no text, since it holds null bytes; leave the file out",
            f"{tmp_path}/c.txt:1: invalid UTF-8 at byte offset 3 of the text (0xe9); "
            "save the file as UTF-8, or name its encoding",
            f"{tmp_path}/e.txt.gz:1: the compressed data ends too early, after 0 bytes; get the file again",
            f"{tmp_path}/f.txt:1: no such file; check the path",
            "z.txt",
        ]
        assert source.manifest().files == 9 - 2


def test_a_document_above_the_limit_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "x" * 1001)
    assert fields(TextFiles("a", [FoundFile("a.txt", str(path))], max_bytes=1000)) == [
        f"{path}:1: the file is longer than 1,000 bytes; split its text"
    ]


def test_links_that_lead_in_circles_are_survived(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.txt", "text")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert [row["id"] for row in fields(open_sources([tmp_path])[0])] == ["a/x.txt"]


def test_the_manifest_is_what_sha256sum_says_of_the_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a/x.md", "a/y.txt"):
        write(tmp_path / name, f"text of {name}")
    (source,) = open_sources([tmp_path])
    assert source.total_bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.*"))
    manifest = source.manifest()
    listing = sorted(
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("b.txt", "a/x.md", "a/y.txt")
    )
    assert manifest.sha256 == hashlib.sha256("".join(listing).encode()).hexdigest()
    assert (manifest.uri, manifest.format, manifest.files) == (str(tmp_path), "text", 3)
    assert manifest.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.*"))
    assert len(fields(source)) == 3
    assert source.bytes_read == source.total_bytes == manifest.bytes


def test_a_document_that_changes_behind_the_manifest_ends_the_reading(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.txt", name)
    (source,) = open_sources([tmp_path])
    source.manifest()
    write(tmp_path / "b.txt", "B")
    read: list[object] = []
    with pytest.raises(InputError, match=r"b\.txt: changed while it was read"):
        read.extend(source)
    assert len(read) == 2
    source.manifest()
    assert len(fields(source)) == 3


def test_ten_thousand_tiny_files_are_read_in_seconds_and_always_in_the_same_order(tmp_path: Path) -> None:
    for folder in range(100):
        (tmp_path / str(folder)).mkdir()
        for number in range(100):
            (tmp_path / str(folder) / f"{number}.txt").write_bytes(b"text %d %d" % (folder, number))
    started = time.perf_counter()
    (source,) = open_sources([tmp_path])
    assert source.manifest().files == 10_000
    ids = [row["id"] for row in fields(source)]
    assert time.perf_counter() - started < 30  # about 2 s
    assert ids == sorted((f"{folder}/{number}.txt" for folder in range(100) for number in range(100)), key=_parts)
    assert ids == [row["id"] for row in fields(source)]


def _parts(path: str) -> list[str]:
    return path.split("/")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.txt", "text").parent.chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        open_sources([tmp_path])
