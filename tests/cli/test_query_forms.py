"""`rise-store query`: contrast, query sets, preconditioning and stability."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from rise_store.cli import output
from tests.cli.conftest import Command
from tests.ingest.examples import story_rows, write_rows

TEXTS = [row["text"] for row in story_rows(12)]


class TestContrast:
    def test_one_completion_rather_than_another(self, command: Command, library: Path) -> None:
        query = ("query", "--store", library, "--prompt", "Who found it?", "--completion", " The dog.", "-k", "3")
        done = command(*query, "--against", " Lily.", "--format", "json")
        assert (done.code, done.err) == (0, "")
        assert (done.json["query"]["against"], done.json["query"]["against_prompt"]) == (" Lily.", None)
        other = command(*query, "--against", " Lily.", "--against-prompt", "Who lost it?", "--format", "json").json
        assert other["query"]["against_prompt"] == "Who lost it?"
        scores = [[hit["score"] for hit in answer["results"]] for answer in (done.json, other)]
        assert scores[0] != scores[1]
        assert command(*query, "--against", " Lily.").out.startswith("Who found it? → The dog. (against Lily.)\n")

    def test_a_file_of_contrasts(self, command: Command, library: Path) -> None:
        file = write_rows(Path("queries.jsonl"), [{"text": TEXTS[3], "against": TEXTS[5]}])
        (result,) = command("query", "--store", library, "--file", file, "--format", "json").json
        assert result["results"][0]["example_id"] == "row-3"
        assert result["query"]["against"] == TEXTS[5]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--text", TEXTS[3], "--against", TEXTS[3]), "query 1: what it is asked against has the same signature"),
            (
                ("--text", TEXTS[3], "--against", ""),
                "against is empty; give what the model might have answered instead",
            ),
            (("--text", TEXTS[3], "--against-prompt", "Who?"), "against_prompt goes with against"),
            (
                ("--against", "A key."),
                "give --prompt with --completion, or --text, or --file. See rise-store query --help",
            ),
            (("--file", "queries.jsonl", "--against", "A key."), "--file goes without --prompt, --completion, --text"),
        ],
    )
    def test_what_is_no_contrast_is_one_line(
        self, command: Command, library: Path, options: tuple[str, ...], message: str
    ) -> None:
        assert message in command("query", "--store", library, *options).error


class TestSets:
    @pytest.fixture
    def file(self) -> Path:
        return write_rows(Path("queries.jsonl"), [{"text": TEXTS[3]}, {"prompt": "Who?", "completion": " Lily."}])

    @pytest.mark.parametrize("fusion", ["mean", "rrf"])
    def test_every_format(self, command: Command, library: Path, file: Path, fusion: str) -> None:
        query = ("query", "--store", library, "--file", file, "--fuse", fusion, "-k", "3")
        result = command(*query, "--format", "json").json
        assert result["query"]["fusion"] == fusion
        assert [hit["rank"] for hit in result["results"]] == [1, 2, 3]
        assert command(*query, "--format", "jsonl").json == result
        rows = list(csv.DictReader(io.StringIO(command(*query, "--format", "csv").out)))
        assert [row["example_id"] for row in rows] == [hit["example_id"] for hit in result["results"]]
        for row in rows:
            assert float(row["rh"]) + float(row["gh"]) == pytest.approx(float(row["score"]), abs=1e-6)
        lines = command(*query).out.splitlines()
        assert lines[0] == f"2 queries, fused by {fusion}"
        assert lines[2].split()[:2] == ["1", f"{result['results'][0]['score']:.4f}"]
        page = command(*query, "--offset", "2", "--format", "json").json
        assert page["results"][0]["example_id"] == result["results"][2]["example_id"]

    def test_reciprocal_ranks_are_shown(self, command: Command, library: Path, file: Path) -> None:
        query = ("query", "--store", library, "--file", file, "--fuse", "rrf", "-k", "12", "--format", "json")
        for hit in command(*query).json["results"]:
            assert hit["score"] == pytest.approx(sum(1 / (60 + rank) for rank in hit["ranks"]))

    def test_what_makes_no_set_is_one_line(self, command: Command, library: Path, file: Path) -> None:
        query = ("query", "--store", library, "--fuse", "mean")
        assert "--fuse goes with --file" in command(*query, "--text", TEXTS[3]).error
        assert "goes without --fuse" in command(*query, "--file", file, "--group-by", "dataset").error
        own = write_rows(Path("own.jsonl"), [{"id": "a", "text": TEXTS[3], "k": 2}])
        assert "query a has a filter or a k of its own" in command(*query, "--file", own).error


class TestPreconditioning:
    def test_it_is_stated(self, command: Command, library: Path) -> None:
        query = ("query", "--store", library, "--text", TEXTS[3], "-k", "3")
        result = command(*query, "--precondition", "0.01", "--format", "json").json
        assert (result["precondition"], result["results"][0]["example_id"]) == (0.01, "row-3")
        assert command(*query, "--precondition", "0.01", "--format", "json").json == result
        assert "3 of 12 examples, preconditioned, alpha 0.01;" in command(*query, "--precondition", "0.01").out
        assert "give a number above 0, such as 0.01" in command(*query, "--precondition", "-1").error


class TestStability:
    def test_every_format(self, command: Command, library: Path) -> None:
        query = ("query", "--store", library, "--text", TEXTS[3], "-k", "2", "--bootstrap", "40")
        done = command(*query, "--format", "json")
        assert (done.code, done.err) == (0, "")
        stability = done.json["stability"]
        assert (stability["resamples"], stability["seed"], stability["k"], stability["seeds"]) == (40, 0, 2, [])
        best = done.json["results"][0]["stability"]
        assert (best["in_top"], best["rank_low"], best["rank_high"]) == (1.0, 1, 1)
        assert best["score_low"] < best["score_high"] < done.json["results"][0]["score"]
        lines = command(*query).out.splitlines()
        assert lines[1].split()[4:8] == ["in", "top", "ranks", "scores"]
        assert lines[2].split()[4:6] == ["100%", "1-1"]
        assert lines[5].startswith(f"stability: 40 draws of {stability['positions']} positions keep ")
        (row, _) = csv.DictReader(io.StringIO(command(*query, "--format", "csv").out))
        assert {name: float(row[name]) for name in best} == pytest.approx(best)
        assert command(*query, "--format", "json").json == done.json
        other = command(*query, "--seed", "1", "--format", "json").json
        assert other["stability"]["seed"] == 1
        assert other["results"][0]["stability"]["score_low"] != best["score_low"]

    def test_a_narrow_terminal_cuts_no_number(
        self, command: Command, library: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        query = ("query", "--store", library, "--text", TEXTS[3], "-k", "2", "--bootstrap", "5")
        found = command(*query, "--format", "json").json["results"]
        monkeypatch.setattr(output, "console", lambda: Console(file=sys.stdout, width=80, highlight=False))
        _, header, *lines = command(*query).out.splitlines()
        assert header.split() == ["#", "score", "RH", "GH", "in", "top", "ranks", "scores", "example"]
        assert max(map(len, lines[:4])) <= 80
        for hit, numbers, text in zip(found, lines[0:4:2], lines[1:4:2], strict=True):
            spread = hit["stability"]
            assert f"{spread['score_low']:.3f} to {spread['score_high']:.3f}" in numbers
            assert f"{hit['score']:.4f}" in numbers
            assert numbers.split()[-1] == hit["example_id"]
            assert hit["text"].startswith(text.strip().rstrip("…"))
            assert len(text) > 60

    def test_the_number_of_draws_may_be_left_out(self, command: Command, library: Path) -> None:
        done = command("query", "--store", library, "--text", TEXTS[3], "-k", "1", "--bootstrap", "--format", "json")
        assert done.json["stability"]["resamples"] == 200

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--bootstrap", "0"), "bootstrap is 0; draw positions anew at least once, or leave it out"),
            (("--bootstrap", "5", "--offset", "2"), "leave out the approximate search and the offset"),
            (("--bootstrap", "5", "--group-by", "dataset"), "--group-by goes without --fuse and --bootstrap"),
        ],
    )
    def test_what_does_not_fit_is_one_line(
        self, command: Command, library: Path, options: tuple[str, ...], message: str
    ) -> None:
        assert message in command("query", "--store", library, "--text", TEXTS[3], *options).error
