"""Stores that cannot be used: none there, not one, in use, on a full disk, empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from rise_store.store import open_store
from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.cli.processes import held, start_command
from tests.ingest.examples import open_points, story_rows, write_rows

QUERY = ("query", "--text", "A key.", "-k", "1")
MIB = 2**20


@pytest.fixture(autouse=True)
def corpus(working_directory: Path) -> Path:
    return write_rows(working_directory / "stories.jsonl", story_rows(40))


@pytest.fixture
def ingest(store: Path, tiny_model: Path) -> tuple[object, ...]:
    return ("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "d", *SMALL_OPTIONS)


def test_a_folder_that_is_no_store(command: Command, tiny_model: Path) -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("text")
    for arguments in (
        QUERY,
        ("info",),
        ("ingest", "stories.jsonl", "--model", tiny_model, "--dataset", "d"),
        ("demo", "--model", tiny_model),
    ):
        error = command(*arguments, "--store", "thesis").error
        assert error.startswith("thesis is not a rise_store store: it has files (chapter.tex, ...) but no store.json")
    assert [path.name for path in Path("thesis").iterdir()] == ["chapter.tex"]


def test_a_store_that_is_not_there_is_not_made_by_a_question(command: Command) -> None:
    for arguments in (QUERY, ("info",)):
        assert command(*arguments, "--store", "nowhere").error.startswith("there is no rise_store store at nowhere")
    assert not Path("nowhere").exists()


def test_a_file_is_no_store(command: Command) -> None:
    assert command("info", "--store", "stories.jsonl").error.startswith(
        "stories.jsonl is a file, not a rise_store store"
    )


def test_an_empty_store(command: Command, ingest: tuple[object, ...], store: Path) -> None:
    Path("stories.jsonl").write_bytes(b"")
    assert command(*ingest).code == 0
    assert "holds no examples; ingest a corpus first" in command(*QUERY, "--store", store).error
    Path("empty").mkdir()
    assert "there is no rise_store store at empty" in command(*QUERY, "--store", "empty").error


def test_a_store_in_use_by_another_process(command: Command, ingest: tuple[object, ...], store: Path) -> None:
    with held(store) as pid:
        for arguments in (ingest, (*QUERY, "--store", store), ("info", "--store", store)):
            error = command(*arguments).error
            assert error.startswith(f"the store at {store} is in use by process {pid}. Wait until it ends")
    assert command(*ingest).code == 0


@pytest.mark.parametrize("most", [1 * MIB, 24 * MIB])
def test_a_full_disk(command: Command, ingest: tuple[object, ...], store: Path, most: int) -> None:
    pytest.importorskip("resource")
    error = start_command(*ingest, most_bytes=most).end().error
    assert f"the disk under the store at {store} is full" in error
    assert "run the same command again: it resumes where it stopped" in error
    assert command(*ingest, "--format", "json").json["stored"] == 40


def test_a_disk_that_fills_up_on_the_way(command: Command, ingest: tuple[object, ...], store: Path) -> None:
    write_rows(Path("stories.jsonl"), story_rows(20))
    command(*ingest)
    write_rows(Path("stories.jsonl"), story_rows(40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rise_store.store.embedded.disk.free_bytes", lambda _: 40 * MIB)
        error = command(*ingest).error
    assert f"the disk under the store at {store} is too full to store rows" in error
    assert "40 MiB are. Everything that was acknowledged is kept. Free some space" in error
    with open_points(store) as opened:
        assert len(opened.points) >= 20
    assert command(*ingest, "--format", "json").json["stored"] == 40


def test_tidying_that_a_full_disk_prevented_is_made_up_for_and_compacting_erases_what_was_replaced(
    command: Command, ingest: tuple[object, ...], store: Path
) -> None:
    old = "zyxw-9876-vuts"

    def is_left() -> bool:
        return any(old.encode() in path.read_bytes() for path in store.rglob("*") if path.is_file())

    # The engine rewrites no segment below 1 kB, which one row of the tests' small dimension does not fill.
    rest = story_rows(4)
    write_rows(Path("stories.jsonl"), [{"id": "a", "text": f"The code is {old}."}, *rest])
    command(*ingest)
    write_rows(Path("stories.jsonl"), [{"id": "a", "text": "The code is gone."}, *rest])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rise_store.store.embedded.disk.free_bytes", lambda _: 120 * MIB)  # for rows, and not for tidying
        untidied = command(*ingest)
    assert untidied.code == 0  # everything is stored
    assert "searches are slower until the store is tidied" in untidied.err
    assert "too full to tidy it" in untidied.err
    assert command(*ingest).code == 0
    assert is_left()  # tidying rewrites nothing for the sake of what was replaced
    with open_store(store) as backend:
        backend.open_collection(backend.spaces()[0].fingerprint).compact()
    assert not is_left()


def test_a_dataset_needs_a_name(command: Command, store: Path, tiny_model: Path) -> None:
    assert (
        "dataset" in command("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, "--dataset", "").error
    )
