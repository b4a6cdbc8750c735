"""`rise-store ingest` of files, folders, patterns and addresses in every format, and what it says of bad ones."""

from __future__ import annotations

import bz2
from pathlib import Path

import fsspec
import numpy as np
import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command


@pytest.fixture
def folder(working_directory: Path) -> Path:
    """Five examples in four formats."""
    folder = working_directory / "corpus"
    (folder / "notes").mkdir(parents=True)
    (folder / "a.csv.bz2").write_bytes(
        bz2.compress(b'id,text,by\nr1,"Lily, who found a key.",Tom\nr2,The dog ran.,Sue\n')
    )
    (folder / "b.jsonl").write_bytes(b'{"id": "r3", "text": "The sun was hot."}\n')
    (folder / "notes" / "c.md").write_bytes(b"# A walk\n\nThey went to the park.\n")
    (folder / "notes" / "d.txt").write_bytes("Das Kätzchen schläft.\n".encode("utf-16"))
    (folder / "notes" / "picture.png").write_bytes(b"\x89PNG")
    return folder


def test_a_folder_is_ingested_and_each_example_knows_its_file(
    command: Command, store: Path, tiny_model: Path, folder: Path
) -> None:
    ingest = ("ingest", "corpus", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    assert command(*ingest).out.startswith("d: 5 new")
    assert command(*ingest).out.startswith("d: 0 new, 0 replaced, 0 updated, 5 unchanged")
    assert command("ingest", "corpus/**/*.md", "--store", store, "--dataset", "e").out.startswith("e: 1 new")


def test_signatures_reads_the_same(command: Command, tiny_model: Path, folder: Path) -> None:
    command("signatures", "corpus", "--model", tiny_model, "--out", "s.npz", *SMALL_OPTIONS)
    with np.load("s.npz") as arrays:
        assert arrays["ids"].tolist() == ["r1", "r2", "r3", "notes/c.md", "notes/d.txt"]
    command("signatures", "corpus/b.jsonl", "corpus/notes", "--model", tiny_model, "--out", "s.npz", *SMALL_OPTIONS)
    with np.load("s.npz") as arrays:
        assert arrays["ids"].tolist() == ["r3", "c.md", "d.txt"]
    assert "name FILES to read" in command("signatures", "--model", tiny_model, "--out", "s.npz").err


def test_format_and_encoding_may_be_given(command: Command, store: Path, tiny_model: Path) -> None:
    rows = "text\tby\nDie Katze schläft.\tTom\n".encode("latin-1")
    ingest = ("ingest", "-", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    done = command(*ingest, "--input-format", "tsv", stdin=rows)
    assert done.error.startswith("<stdin>:2: invalid UTF-8 at byte offset 14 of the line (0xe4)")
    done = command(*ingest, "--input-format", "tsv", "--encoding", "latin-1", stdin=rows)
    assert done.out.startswith("d: 1 new")


def test_bad_sources_are_one_line_and_what_stands_before_is_stored(
    command: Command, store: Path, tiny_model: Path, folder: Path
) -> None:
    (folder / "bad.csv").write_text('text\nThe first row is good.\n"The second is never closed.\nThe third.\n')
    ingest = ("--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    assert command("ingest", folder / "bad.csv", *ingest).error.startswith(
        f"{folder}/bad.csv:3: the quote that opens here is not closed before the end of the file; close it"
    )
    (folder / "cut.csv.bz2").write_bytes((folder / "a.csv.bz2").read_bytes()[:-9])
    assert "cut.csv.bz2: the compressed data ends too early" in command("ingest", folder / "cut.csv.bz2", *ingest).error
    assert command("ingest", "corpus/*.doc", *ingest).error == "corpus/*.doc: matches no file; check the pattern"
    assert "unknown encoding 'klingon'" in command("ingest", "corpus", *ingest, "--encoding", "klingon").error
    secret = command("ingest", "ftpx://me:secret@host/a?secret", *ingest).error
    assert secret.startswith("ftpx://host/a: unknown protocol 'ftpx'")
    assert "secret" not in secret
    (folder / "bad.csv").write_text("text\nThe first row is good.\nThe second is closed now.\nThe third.\n")
    assert command("ingest", folder / "bad.csv", *ingest).out.startswith("d: 2 new, 0 replaced, 0 updated, 1 unchanged")


def test_an_address_is_read(command: Command, store: Path, tiny_model: Path) -> None:
    with fsspec.open("memory://bucket/a.jsonl.gz", "wb", compression="gzip") as file:
        file.write(b'{"text": "The sun was hot."}\n')
    done = command(
        *("ingest", "memory://bucket/*.gz", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)
    )
    assert done.out.startswith("d: 1 new")
