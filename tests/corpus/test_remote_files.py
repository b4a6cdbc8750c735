"""Addresses of fsspec: what is read, and that no secret of theirs is ever said."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from rise_store.corpus import JsonLines, Position, open_examples, open_sources
from rise_store.corpus import remote as remote_files
from rise_store.corpus.formats import CsvFile
from rise_store.corpus.remote import public_address
from rise_store.errors import InputError
from rise_store.records import Example
from tests.corpus.packers import fields, write


@pytest.fixture
def bucket() -> Iterator[str]:
    """The address of an empty folder in memory."""
    address = f"memory://{uuid.uuid4().hex}"
    yield address
    filesystem, path = fsspec.url_to_fs(address)
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def put(address: str, content: bytes) -> str:
    with fsspec.open(address, "wb") as file:
        file.write(content)
    return address


def test_what_is_written_to_an_address_comes_back(bucket: str) -> None:
    content = b'{"id": "1", "text": "a"}\n{"id": "2", "text": "b"}\n'
    for name, data in (
        ("a.jsonl", content),
        ("a.jsonl.gz", gzip.compress(content)),
        ("packed", gzip.compress(content)),
    ):
        address = put(f"{bucket}/{name}", data)
        (source,) = open_sources([address])
        assert (source.name, source.total_bytes) == (address, len(data))
        manifest = source.manifest()
        assert (manifest.uri, manifest.bytes, manifest.sha256) == (address, len(data), hashlib.sha256(data).hexdigest())
        assert [row["text"] for row in fields(source)] == ["a", "b"]
        assert source.bytes_read == len(data)


def test_folders_and_patterns(bucket: str) -> None:
    put(f"{bucket}/b.jsonl", b'{"text": "b"}')
    put(f"{bucket}/a/x.csv", b"text\nx\n")
    put(f"{bucket}/a/notes.md", b"# notes")
    put(f"{bucket}/.hidden/x.jsonl", b'{"text": "hidden"}')
    rows = list(open_examples([bucket]))
    assert [row.text for row in rows if isinstance(row, Example)] == ["x", "b", "# notes"]
    assert isinstance(rows[2], Example)
    assert (rows[2].id, rows[2].source_uri) == ("a/notes.md", f"{bucket.replace('://', ':///')}/a/notes.md")
    for pattern, found in (("*.jsonl", ["b"]), ("**/*.csv", ["x"]), ("a*", ["x", "# notes"])):
        assert [row.content for row in open_examples([f"{bucket}/{pattern}"]) if isinstance(row, Example)] == found
    for name, said in (("none.jsonl", "no such file; check the address"), ("*.tsv", "matches no file")):
        with pytest.raises(InputError, match=said):
            open_sources([f"{bucket}/{name}"])


def test_a_growing_file_is_read_from_a_position(bucket: str) -> None:
    address = put(f"{bucket}/log", b'{"text": "a"}\n{"te')
    source = JsonLines(address, complete_lines=True)
    assert fields(source) == [{"text": "a"}]
    put(address, b'{"text": "a"}\n{"text": "b"}\n')
    assert fields(JsonLines(address, start=source.position, complete_lines=True)) == [{"text": "b"}]
    put(address, gzip.compress(b"{}"))
    with pytest.raises(InputError, match="can only be read from its beginning"):
        JsonLines(address, start=Position(3, 2))


@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_that_changes_behind_the_manifest(bucket: str, monkeypatch: pytest.MonkeyPatch, hashed: bool) -> None:
    if not hashed:
        monkeypatch.setattr(remote_files, "HASHED_REMOTE_BYTES", 3)
    address = put(f"{bucket}/a.csv", b"text\na\n")
    (source,) = open_sources([address])
    assert (source.manifest().sha256 is not None) == hashed
    assert fields(source) == [{"text": "a"}]
    put(address, b"text\nb\n")
    with pytest.raises(InputError, match="changed while it was read"):
        fields(source)


def test_a_folder_with_a_file_too_large_to_hash_has_no_digest(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "HASHED_REMOTE_BYTES", 3)
    put(f"{bucket}/a.txt", b"a text")
    put(f"{bucket}/b.txt", b"b")
    (source,) = open_sources([bucket])
    manifest = source.manifest()
    assert (manifest.sha256, manifest.files, manifest.bytes) == (None, 2, 7)
    assert [row["text"] for row in fields(source)] == ["a text", "b"]
    put(f"{bucket}/b.txt", b"c")
    with pytest.raises(InputError, match=r"b\.txt: changed while it was read"):
        list(source)


def test_a_file_address_is_a_local_path(tmp_path: Path) -> None:
    path = write(tmp_path / "a b.jsonl", '{"text": "a"}')
    for address in (f"file://{path}", path.as_uri(), f"file://localhost{path}"):
        (source,) = open_sources([address])
        assert source.name == str(path)
        assert fields(source) == [{"text": "a"}]


def test_chained_addresses(tmp_path: Path) -> None:
    filesystem = fsspec.filesystem("zip", fo=str(tmp_path / "a.zip"), mode="w")
    with filesystem.open("x.csv", "wb") as file:
        file.write(b"text\nzipped\n")
    filesystem.zip.close()
    for inner in ("x.csv", "*.csv"):
        (source,) = open_sources([f"zip://{inner}::file://{tmp_path}/a.zip"])
        assert source.name == f"zip://x.csv::file://{tmp_path}/a.zip"
        assert fields(source) == [{"text": "zipped"}]


def test_an_address_behind_a_cache(bucket: str, tmp_path: Path) -> None:
    put(f"{bucket}/a.csv.gz", gzip.compress(b"text\nx\n"))
    (source,) = open_sources([f"simplecache::{bucket}/a.csv.gz"])
    assert isinstance(source, CsvFile)
    assert fields(source) == [{"text": "x"}]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for address, package in (
        ("s3://bucket/a.jsonl", "s3fs"),
        ("gs://bucket/*.csv", "gcsfs"),
        ("sftp://h/a", "paramiko"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError) as caught:
            open_sources([address])
        protocol = address.partition("://")[0]
        assert (
            str(caught.value) == f"{address}: reading {protocol}:// needs the package {package}: pip install {package}"
        )
    with pytest.raises(InputError, match=r"ftpx://a: unknown protocol 'ftpx'; fsspec knows s3, gs"):
        open_sources(["ftpx://a"])


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("s3://key:secret@bucket/a.jsonl", "s3://bucket/a.jsonl"),
        ("s3://KEY:sec/ret+x@bucket/a.jsonl", "s3://bucket/a.jsonl"),
        ("https://user:secret@host:8080/a?token=secret&x=1#secret", "https://host:8080/a"),
        ("https://host:8080/a@b.jsonl?X-Amz-Signature=secret", "https://host:8080/a@b.jsonl"),
        ("https://secret@host/a", "https://host/a"),
        ("zip://*.csv::https://user:secret@host/a.zip?sig=secret", "zip://*.csv::https://host/a.zip"),
        ("simplecache::s3://k:secret@bucket/a", "simplecache::s3://bucket/a"),
        ("github://name:repository@main/a.csv", "github://name:repository@main/a.csv"),
        ("hf://datasets/name/set@main/a.jsonl", "hf://datasets/name/set@main/a.jsonl"),
    ],
)
def test_secrets_are_no_part_of_a_name(address: str, public: str) -> None:
    assert public_address(address) == public


@pytest.mark.parametrize(
    "address",
    [
        "ftp://user:secret@127.0.0.1:9/a.jsonl",
        "s3://key:secret@bucket/a.csv",
        "ftpx://secret@h/a?secret",
        "gs://b/a?secret",
    ],
)
def test_secrets_are_not_said_when_something_goes_wrong(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError) as caught:
        open_sources([address])
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


class _Breaking(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """A file system whose errors tell secrets, as those of real ones may."""

    protocol = "breaking"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        if "gone" in path:
            raise PermissionError(f"403 for user:secret@host/{path}\nand more")
        return {"name": path, "size": 10, "type": "file"}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        raise RuntimeError(f"no connection with user:secret@host to {path}")


def test_errors_of_file_systems_are_one_line_without_the_secret_of_the_address() -> None:
    fsspec.register_implementation("breaking", _Breaking, clobber=True)
    with pytest.raises(InputError, match=r"^breaking://host/gone: cannot be read: PermissionError$"):
        open_sources(["breaking://user:secret@host/gone"])
    (source,) = open_sources(["breaking://user:secret@host/a.csv"])
    with pytest.raises(InputError, match=r"^breaking://host/a.csv: cannot be read: RuntimeError$"):
        list(source)
    with pytest.raises(InputError, match=r"^breaking://host/a.csv: cannot be read: RuntimeError$"):
        source.manifest()


def test_http(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    write(tmp_path / "a.csv", "text\na\n")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            host = f"127.0.0.1:{server.server_port}"
            (source,) = open_sources([f"http://{host}/a.csv?token=secret"])
            assert isinstance(source, CsvFile)
            assert source.manifest().sha256 == hashlib.sha256(b"text\na\n").hexdigest()
            assert source.name == f"http://{host}/a.csv"
            assert fields(source) == [{"text": "a"}]
            with pytest.raises(InputError, match=rf"^http://{host}/none: no such file"):
                open_sources([f"http://{host}/none?token=secret"])
        finally:
            server.shutdown()
            thread.join()
