"""`rise-store value`, `select`, `self-influence` and `duplicates`."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import orjson
import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows


@pytest.fixture
def targets(working_directory: Path) -> str:
    write_rows(
        working_directory / "targets.jsonl",
        [{"text": "Lily played with her dog."}, {"prompt": "In the box was ", "completion": "a map of the park."}],
    )
    return "targets.jsonl"


def lines(out: str) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in out.splitlines()]


class TestValue:
    def test_a_table_of_the_best_and_the_worst(self, command: Command, library: Path, targets: str) -> None:
        done = command("value", "--store", library, "--targets", targets)
        assert (done.code, done.err) == (0, "")
        header, *rows, note, blank = done.out.splitlines()
        assert header.split() == ["value", "RH", "GH", "tokens", "dataset", "licence", "example", "text"]
        assert blank == ""
        assert "Once upon a time" in done.out
        values = [float(row.split()[0]) for row in rows if row.split()[0].lstrip("-").startswith(("0.", "1."))]
        assert len(values) == 12
        assert values == sorted(values, reverse=True)
        assert "12 candidates by mean: mean" in done.out
        assert note

    def test_rows_that_are_read(self, command: Command, library: Path, targets: str) -> None:
        write_rows(Path("new.jsonl"), story_rows(3, start=30))
        found = lines(
            command("value", "new.jsonl", "--store", library, "--targets", targets, "--format", "jsonl", "--text").out
        )
        assert [row["example_id"] for row in found] == ["row-30", "row-31", "row-32"]
        assert found[0]["text"] == story_rows(1, start=30)[0]["text"]
        assert "scores" not in found[0]
        piped = command(
            *("value", "-", "--store", library, "--targets", targets, "--format", "jsonl", "--per-target"),
            stdin=Path("new.jsonl").read_bytes(),
        )
        again = lines(piped.out)
        assert [row["value"] for row in again] == pytest.approx([row["value"] for row in found], abs=1e-6)
        assert all(len(row["scores"]) == 2 for row in again)  # type: ignore[arg-type]
        assert "text" not in again[0]

    def test_without_a_store(self, command: Command, library: Path, targets: str, tiny_model: Path) -> None:
        write_rows(Path("new.jsonl"), story_rows(3, start=30))
        alone = command(
            *("value", "new.jsonl", "--model", tiny_model, "--targets", targets, "--format", "csv", "--device", "cpu"),
            *SMALL_OPTIONS,
        )
        rows = list(csv.DictReader(io.StringIO(alone.out)))
        stored = lines(command("value", "new.jsonl", "--store", library, "--targets", targets, "--format", "jsonl").out)
        assert [float(row["value"]) for row in rows] == pytest.approx([row["value"] for row in stored], abs=1e-5)
        assert [float(row["rh"]) + float(row["gh"]) for row in rows] == pytest.approx(
            [float(row["value"]) for row in rows]
        )

    def test_bad_rows(self, command: Command, library: Path, targets: str) -> None:
        write_rows(Path("new.jsonl"), [*story_rows(1), b"{", *story_rows(1, start=40)])
        value = ("value", "new.jsonl", "--store", library, "--targets", targets, "--format", "jsonl")
        assert command(*value).error.startswith("new.jsonl:2: malformed JSON")
        done = command(*value, "--max-rejects", "-1", "--rejects", "bad.jsonl")
        assert len(lines(done.out)) == 2
        assert done.err == "left out: 1 rejected; they are in bad.jsonl\n"
        assert lines(Path("bad.jsonl").read_text())[0]["row"] == "{\n"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ((), "name a store with --store, or a model with --model: a hub name, a folder or a GGUF file"),
            (("--store", "LIBRARY", "--map", "text=x"), "--map is about reading files, and none are named"),
            (
                ("--store", "LIBRARY", "--estimator", "kr=8"),
                "a store's space has its settings: --estimator is for work",
            ),
            (("--store", "LIBRARY", "--where", "pgae=3"), "no stored example has the field"),
            (("new.jsonl", "--store", "LIBRARY", "--where", "page=3"), "a filter chooses among stored examples"),
            (("--store", "LIBRARY", "--by", "mean", "--depth", "3"), "depth is a setting of rrf, not of mean"),
        ],
    )
    def test_errors(
        self, command: Command, library: Path, targets: str, options: tuple[str, ...], message: str
    ) -> None:
        write_rows(Path("new.jsonl"), story_rows(1))
        named = [str(library) if option == "LIBRARY" else option for option in options]
        done = command("value", "--targets", targets, *named)
        assert message in done.error
        assert done.out == ""

    def test_targets_that_are_missing(self, command: Command, library: Path) -> None:
        assert "none.jsonl" in command("value", "--store", library, "--targets", "none.jsonl").error


class TestSelect:
    def test_json_lines_that_are_ready_for_training(self, command: Command, library: Path, targets: str) -> None:
        write_rows(Path("new.jsonl"), [{"prompt": "Who? ", "completion": f"Lily {n}.", "n": n} for n in range(9)])
        done = command("select", "new.jsonl", "--store", library, "--targets", targets, "-k", "4")
        rows = lines(done.out)
        assert len(rows) == 4
        tokens = sum(row["rise"]["tokens"] for row in rows)  # type: ignore[index]
        assert done.err == f"4 of 9 candidates, {tokens} tokens\n"
        for rank, row in enumerate(rows, 1):
            assert list(row) == ["prompt", "completion", "n", "rise"]
            assert row["rise"]["rank"] == rank  # type: ignore[index]
            assert row["rise"]["read_from"]["row"] == row["n"] + 1  # type: ignore[index,operator]
        write_rows(Path("chosen.jsonl"), rows)
        again = lines(  # they are read like any corpus
            command("value", "chosen.jsonl", "--store", library, "--targets", targets, "--format", "jsonl").out
        )
        assert [row["value"] for row in again] == pytest.approx([row["rise"]["value"] for row in rows])  # type: ignore[index]

    def test_a_table(self, command: Command, library: Path, targets: str) -> None:
        done = command(
            *("select", "--store", library, "--targets", targets, "-k", "3", "--strategy", "mmr", "--diversity", "0.7"),
            *("--quota", "license=MIT:1", "--format", "table"),
        )
        assert done.out.splitlines()[0].split() == ["#", "value", "tokens", "dataset", "licence", "example", "text"]
        assert "3 of 12 candidates" in done.out
        assert "by mmr over 2 targets; " in done.out
        assert done.out.count(" MIT ") == 1

    def test_as_json_and_csv(self, command: Command, library: Path, targets: str) -> None:
        select = ("select", "--store", library, "--targets", targets, "--tokens", "200", "--max-per", "dataset=2")
        selection = command(*select, "--format", "json").json
        assert (selection["k"], selection["tokens"], selection["strategy"]) == (None, 200, "mean")
        assert selection["limits"] == [{"field": "dataset", "value": None, "rows": 2, "tokens": None}]
        rows = list(csv.DictReader(io.StringIO(command(*select, "--format", "csv").out)))
        assert [row["example_id"] for row in rows] == [one["example_id"] for one in selection["examples"]]
        assert all(row["text"] for row in rows)

    def test_how_much_was_chosen_stands_on_standard_error(self, command: Command, library: Path, targets: str) -> None:
        select = ("select", "--store", library, "--targets", targets)
        done = command(*select, "--tokens", "100")
        tokens = sum(row["rise"]["tokens"] for row in lines(done.out))  # type: ignore[index]
        assert done.err == f"{len(lines(done.out))} of 12 candidates, {tokens} of 100 tokens\n"
        limited = command(*select, "-k", "6", "--max-per", "dataset=1")
        assert limited.err.startswith("2 of 12 candidates, ")
        assert limited.err.endswith(" tokens; 6 were asked for, within limits on dataset\n")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ((), "say how much to select: a number of rows with -k, a token budget with --tokens, or both"),
            (("-k", "3", "--quota", "license"), "quota 'license' is not FIELD=VALUE:N"),
            (("-k", "3", "--diversity", "0.5"), "diversity is a setting of mmr, not of mean; leave it out"),
        ],
    )
    def test_errors(
        self, command: Command, library: Path, targets: str, options: tuple[str, ...], message: str
    ) -> None:
        assert message in command("select", "--store", library, "--targets", targets, *options).error

    @pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "table"])
    def test_rows_that_hold_what_json_cannot(self, command: Command, library: Path, targets: str, format_: str) -> None:
        row = b'{"id": "x", "text": "a \\ud800 b c d", "big": 123456789012345678901234567890, "k\\udc00": 1}'
        write_rows(Path("new.jsonl"), [*story_rows(1), row])
        done = command(
            *("select", "new.jsonl", "--store", library, "--targets", targets, "-k", "2", "--format", format_),
            "--only-mapped",
        )
        assert (done.code, done.err) == (0, "" if format_ == "table" else "2 of 2 candidates, 49 tokens\n")
        if format_ == "jsonl":
            (odd,) = (row for row in lines(done.out) if row["id"] == "x")
            assert odd["text"] == "a \ufffd b c d"
            assert odd["big"] == "123456789012345678901234567890"
            assert odd["k\ufffd"] == 1

    def test_rank_fusion_tells_that_it_ranked_too_few(self, command: Command, library: Path, targets: str) -> None:
        select = ("select", "--store", library, "--targets", targets, "-k", "10", "--strategy", "rrf")
        done = command(*select, "--depth", "1")
        assert len(lines(done.out)) in (1, 2)
        assert done.err.startswith("warning: only ")
        assert "were ranked for no target; raise --depth" in done.err
        assert command(*select).err == "10 of 12 candidates, 487 tokens\n"


class TestSelfInfluence:
    def test_a_table(self, command: Command, library: Path) -> None:
        done = command("self-influence", "--store", library, "-k", "3")
        assert (done.code, done.err) == (0, "")
        header, *rows, _, legend, _ = done.out.splitlines()
        assert legend.startswith("typicality: mean cosine with the other stored examples of its dataset")
        assert header.split()[:5] == ["adjusted", "self-influence", "loss", "tokens", "typicality"]
        assert len(rows) == 3
        values = [float(row.split()[0]) for row in rows]
        assert values == sorted(values, reverse=True)

    def test_rows_that_are_read(self, command: Command, tiny_model: Path) -> None:
        write_rows(Path("new.jsonl"), story_rows(5))
        found = ("self-influence", "new.jsonl", "--model", tiny_model, "--device", "cpu", "-k", "0")
        rows = lines(command(*found, "--format", "jsonl").out)
        assert len(rows) == 5
        assert {row["typicality"] for row in rows} == {None}
        assert command(*found, "--format", "json").json == rows
        table = list(csv.DictReader(io.StringIO(command(*found, "--format", "csv", "--by", "loss").out)))
        losses = [float(row["loss"]) for row in table]
        assert losses == sorted(losses, reverse=True)

    def test_errors(self, command: Command, library: Path) -> None:
        write_rows(Path("new.jsonl"), story_rows(1))
        done = command("self-influence", "new.jsonl", "--store", library, "--by", "typicality")
        assert "typicality compares stored signatures, and these rows are not stored" in done.error


class TestDuplicates:
    def test_planted_copies(self, command: Command, store: Path, tiny_model: Path) -> None:
        rows = story_rows(6)
        copies = [{"id": f"copy-{n}", "text": rows[2]["text"]} for n in range(12)]
        file = write_rows(Path("stories.jsonl"), [*rows, *copies])
        ingest = ("ingest", file, "--store", store, "--model", tiny_model, "--dataset", "tales", *SMALL_OPTIONS)
        assert command(*ingest).code == 0
        search = ("duplicates", "--store", store, "--threshold", "0.9999")
        (cluster,) = lines(command(*search, "--format", "jsonl").out)
        members = [cluster["representative"], *cluster["others"]]  # type: ignore[misc]
        assert {one["example_id"] for one in members} == {"row-2", *(f"copy-{n}" for n in range(12))}
        assert all(one["text"] is None for one in members)
        (texts,) = command(*search, "--format", "json", "--text").json
        assert texts["representative"]["text"] == rows[2]["text"]
        table = command(*search).out
        assert table.splitlines()[0].split() == ["cluster", "cosine", "dataset", "licence", "example", "text"]
        assert "and 2 more" in table
        assert "1 cluster; 12 examples could go, if one of each stays" in table
        marked = list(csv.DictReader(io.StringIO(command(*search, "--format", "csv").out)))
        assert [row["representative"] for row in marked] == ["True", *["False"] * 12]
        assert command(*search, "--where", "example_id = row-1", "--format", "json").json == []
        assert "0 clusters; 0 examples could go" in command(*search, "--where", "example_id = row-1").out

    def test_errors(self, command: Command, library: Path) -> None:
        assert "threshold is 0.0" in command("duplicates", "--store", library, "--threshold", "0").error
        refused = command("duplicates", "--store", library, "--most", "5").error
        assert refused.startswith("12 examples would be compared with each other, and 5 are the most")
