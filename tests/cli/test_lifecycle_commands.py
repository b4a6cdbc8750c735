"""`rise-store delete`, `compact`, `annotate`, `export`, `import` and `migrate`."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from rise_store.cli import cli
from rise_store.signature import SignatureEncoder
from tests.cli.conftest import Command
from tests.ingest.examples import SMALL, story_rows
from tests.lifecycle.rise_index import replace_row, write_index


@pytest.fixture
def copy(library: Path, store: Path) -> Path:
    """A copy of the library that a test may change."""
    shutil.copytree(library, store)
    return store


def examples(command: Command, store: Path) -> int:
    total: int = command("info", "--store", store, "--format", "json").json["spaces"][0]["examples"]
    return total


class TestDelete:
    def test_shows_first_and_acts_with_yes(self, command: Command, copy: Path) -> None:
        shown = command("delete", "--store", copy, "--dataset", "tales", "--where", "license=MIT")
        assert (shown.code, shown.err) == (0, "")
        assert shown.out.startswith("4 examples match: tales 4\n")
        assert shown.out.endswith("nothing deleted; add --yes\n")
        assert "Once upon a time" in shown.out
        assert examples(command, copy) == 12
        done = command("delete", "--store", copy, "--dataset", "tales", "--where", "license=MIT", "--yes")
        assert done.out.endswith("4 deleted; their bytes stay on disk until rise-store compact\n")
        assert examples(command, copy) == 8

    def test_as_json_with_unknown_ids_named(self, command: Command, copy: Path) -> None:
        shown = command("delete", "row-1", "--store", copy)
        assert shown.out.startswith("1 example matches: tales 1\n")
        done = command("delete", "row-1", "row-77", "--store", copy, "--yes", "--format", "json")
        assert (done.code, done.err) == (0, "not stored: example 'row-77'\n")
        assert (done.json["deleted"], done.json["unknown_ids"]) == (1, ["row-77"])
        nothing = command("delete", "row-77", "--store", copy, "--tombstone", "--yes")
        assert nothing.out == "0 examples match\nnothing deleted\n"
        assert nothing.err == "not stored: example 'row-77'; nothing of it was erased, and no tombstone recorded\n"

    def test_without_a_condition(self, command: Command, library: Path) -> None:
        assert "name example ids, a dataset or a filter" in command("delete", "--store", library, "--yes").error

    def test_of_a_store_that_is_not_there(self, command: Command) -> None:
        assert "there is no rise_store store" in command("delete", "a", "--store", "nowhere").error


class TestTombstones:
    def test_keep_what_was_deleted_from_coming_back(self, command: Command, copy: Path, tmp_path: Path) -> None:
        command("export", "--store", copy, "--out", tmp_path / "before.npz")
        none = command("tombstones", "--store", copy)
        assert (none.code, none.out) == (0, "no tombstones: nothing was erased\n")
        arguments = ["--store", copy, "--dataset", "tales", "--tombstone", "--reason", "request 17"]
        assert command("delete", "row-7", *arguments).out.endswith("nothing deleted; add --yes\n")
        assert command("tombstones", "--store", copy, "--format", "json").json["sets"] == []
        done = command("delete", "row-7", *arguments, "--yes")
        assert done.out.endswith(": 1 example may not come back\n")
        assert "row-7" not in command("tombstones", "--store", copy).out
        assert "request 17" in command("tombstones", "--store", copy).out
        imported = command("import", tmp_path / "before.npz", "--store", copy)
        assert "11 unchanged; 1 refused, as they were erased\n" in imported.out
        assert examples(command, copy) == 11

        (listed,) = command("tombstones", "--store", copy, "--format", "json").json["sets"]
        shown = command("tombstones", "--store", copy, "--lift", listed["id"])
        assert shown.out.endswith("1 example, would be lifted; add --yes\n")
        lifted = command("tombstones", "--store", copy, "--lift", listed["id"], "--yes")
        assert lifted.out == f"no tombstones: nothing was erased\ntombstones {listed['id']}: 1 example, lifted\n"
        assert "1 new" in command("import", tmp_path / "before.npz", "--store", copy).out

    def test_that_are_not_there_cannot_be_lifted(self, command: Command, library: Path) -> None:
        assert (
            "there are no tombstones 'abc' to lift; sets: none"
            in command("tombstones", "--store", library, "--lift", "abc", "--yes").error
        )

    def test_a_reason_wants_them(self, command: Command, library: Path) -> None:
        refused = command("delete", "row-1", "--store", library, "--reason", "request", "--yes")
        assert "a reason is kept with tombstones; ask for them too, with --tombstone" in refused.error


class TestCompact:
    def test_prints_the_size_before_and_after(self, command: Command, copy: Path) -> None:
        command("delete", "--store", copy, "--dataset", "tales", "--yes")
        done = command("compact", "--store", copy)
        assert done.code == 0
        assert " MiB -> " in done.out
        assert done.out.endswith("MiB, 4 examples\n")
        report = command("compact", "--store", copy, "--format", "json").json
        assert report["spaces"][0]["after_bytes"] > 0


class TestAnnotate:
    def test_sets_and_removes(self, command: Command, copy: Path) -> None:
        where = ("--store", copy, "--where", "dataset=notes")
        done = command("annotate", *where, "--set", "license=CC0-1.0", "--set", "reviewed=true", "--unset", "draft")
        assert (done.code, done.err) == (0, "")
        assert done.out == "4 examples match: 4 changed, 0 had it already\n"
        again = command("annotate", *where, "--set", "license=CC0-1.0", "--dry-run")
        assert again.out == "4 examples match: 0 would change; nothing was written, 4 had it already\n"
        assert command("delete", "--store", copy, "--where", "reviewed=true", "--format", "json").json["matched"] == 4

    def test_refuses_what_was_computed(self, command: Command, library: Path) -> None:
        done = command("annotate", "--store", library, "--where", "dataset=notes", "--set", "tokens=3")
        assert done.error.startswith("the field 'tokens' cannot be changed")

    def test_needs_a_filter(self, command: Command, library: Path) -> None:
        done = command("annotate", "--store", library, "--set", "license=MIT")
        assert done.error == "nothing says what to annotate: give a filter, as in --where dataset=news"


class TestExportAndImport:
    @pytest.mark.parametrize("name", ["all.npz", "all.parquet"])
    def test_there_and_back(self, command: Command, library: Path, store: Path, name: str) -> None:
        done = command("export", "--store", library, "--out", name)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("12 examples of space ")
        back = command("import", name, "--store", store)
        assert (back.code, back.err) == (0, "")
        assert back.out.startswith(f"{name}: 12 new, 0 replaced, 0 unchanged\n12 examples in space ")
        assert command("import", name, "--store", store, "--format", "json").json["unchanged"] == 12

    def test_an_index_of_the_published_engine(self, command: Command, store: Path, tiny_model: Path) -> None:
        texts = [row["text"] for row in story_rows(6)]
        encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")
        replace_row(write_index(Path("index"), encoder, texts), 0, 3, 0)
        options = ("--store", store, "--model", tiny_model, "--dataset", "stories", "--license", "MIT")
        done = command("import", "index", *options)
        assert done.code == 0
        assert done.out.startswith("index: 5 new, 0 replaced, 0 unchanged; not stored: 1 rejected\n")
        assert done.err.startswith("not stored: index/shards/vectors-00000.npy row 3: the signature is zero")
        (answer,) = command("query", "--store", store, "--text", texts[4], "-k", "1", "--format", "json").json[
            "results"
        ]
        assert (answer["example_id"], answer["license"]) == ("4", "MIT")
        assert answer["score"] == pytest.approx(1, abs=2e-3)

    def test_options_that_do_not_go_together(self, command: Command, store: Path) -> None:
        Path("index").mkdir()
        Path("file.npz").touch()
        assert "an index needs --dataset" in command("import", "index", "--store", store).error
        assert (
            "go with the folder of an index" in command("import", "file.npz", "--store", store, "--dataset", "a").error
        )
        for option in (("--dtype", "float16"), ("--device", "cuda:7"), ("--revision", "x"), ("--trust-remote-code",)):
            done = command("import", "file.npz", "--store", store, *option)
            assert f"{option[0]} goes with the folder of an index" in done.error
        assert "cannot be read as an export" in command("import", "file.npz", "--store", store).error
        assert not store.exists()


def documented() -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("line", documented())
def test_commands_in_the_docs_parse(line: str) -> None:
    program, name, *arguments = shlex.split(line, comments=True)
    assert program == "rise-store"
    cli.commands[name].make_context(name, arguments)


class TestMigrate:
    def test_copies_and_goes_on(self, command: Command, library: Path, store: Path) -> None:
        done = command("migrate", library, store)
        assert (done.code, done.err) == (0, "")
        assert ": 12 copied, 0 there already\nverified: 12 examples, 12 at random compared" in done.out
        assert command("migrate", library, store, "--format", "json").json["spaces"][0]["unchanged"] == 12

    def test_of_a_store_that_is_not_there(self, command: Command, store: Path) -> None:
        assert "there is no rise_store store at nowhere" in command("migrate", "nowhere", store).error
        assert not store.exists()
