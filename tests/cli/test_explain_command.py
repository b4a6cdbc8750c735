"""`rise-store explain`."""

from __future__ import annotations

import io
import re
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from rise_store import Explanation
from rise_store.cli import output_explain
from tests.cli.conftest import Command

ASKED = ("--prompt", "What did the dog find?", "--completion", " A shiny key under a big tree.")


def test_the_best_examples_for_people(command: Command, library: Path) -> None:
    done = command("explain", "--store", library, *ASKED, "-k", 2)
    assert (done.code, done.err) == (0, "")
    assert "What did the dog find? → A shiny key under a big tree." in done.out
    assert re.search(r"^1\. row-\d+ of (tales|notes)$", done.out, re.MULTILINE)
    assert re.search(r"^2\. row-\d+ of (tales|notes)$", done.out, re.MULTILINE)
    assert re.search(
        r"^score \d\.\d{4} = RH -?\d\.\d{4} [+-] GH \d\.\d{4} [+-] rounding 0\.\d{4}$", done.out, re.MULTILINE
    )
    assert re.search(r"^training word +answer word +adds +RH +GH", done.out, re.MULTILINE)
    assert "metric dot, weights rh=1,gh=1" in done.out
    assert "\x1b" not in done.out
    assert re.search(r"\[\[.+?\]\]", done.out)  # marks in the place of colours


def test_one_example_as_json(command: Command, library: Path) -> None:
    done = command(
        "explain", "--store", library, *ASKED, "--example", "row-2", "--dataset", "tales", "--format", "json"
    )
    explanation = Explanation.model_validate(done.json)
    assert explanation.example.example_id == "row-2"
    assert sum(token.score for token in explanation.example_tokens) == pytest.approx(explanation.explained)


def test_several_as_json_and_json_lines(command: Command, library: Path) -> None:
    found = command("explain", "--store", library, *ASKED, "-k", 2, "--format", "json").json
    assert [explanation["rank"] for explanation in found] == [1, 2]
    lines = command("explain", "--store", library, *ASKED, "-k", 2, "--format", "jsonl").out.splitlines()
    assert [orjson.loads(line) for line in lines] == found


def test_a_report(command: Command, library: Path) -> None:
    done = command("explain", "--store", library, *ASKED, "--against", " A map.", "-k", 1, "--html", "why.html")
    assert (done.code, done.err) == (0, "report in why.html\n")
    page = Path("why.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "Asked against" in page
    assert "against: " in done.out


def test_nothing_passes_the_filter(command: Command, library: Path) -> None:
    done = command("explain", "--store", library, *ASKED, "--where", "page = 99")
    assert (done.code, done.out) == (0, "no example passes the filter; there is nothing to explain\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give --prompt with --completion, or --text"),
        ((*ASKED, "--example", "nobody"), "no example 'nobody'"),
        ((*ASKED, "--dataset", "tales"), "dataset goes with an example id"),
        ((*ASKED, "--example", "row-1", "-k", 2), "leave out k"),
        ((*ASKED, "--html", "no/why.html"), "cannot write no/why.html: there is no folder"),
        (("--text", "Lily.", "--against-prompt", "Who?"), "against_prompt goes with against"),
    ],
)
def test_errors(command: Command, library: Path, options: tuple[str, ...], message: str) -> None:
    assert message in command("explain", "--store", library, *options).error


def test_an_example_is_looked_up_before_the_model_is_loaded(command: Command, library: Path) -> None:
    wanted = ("explain", "--store", library, *ASKED, "--model", "no-such-model")
    assert "no example 'nobody'" in command(*wanted, "--example", "nobody").error
    filtered = command(*wanted, "--example", "row-2", "--where", "page = 99")
    assert "no example 'row-2' that the filter lets through" in filtered.error
    assert "no-such-model" in command(*wanted, "--example", "row-2").error


def test_colours_on_a_terminal(command: Command, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = command("explain", "--store", library, *ASKED, "--example", "row-2", "--format", "json").json
    screen = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100, highlight=False)
    monkeypatch.setattr(output_explain, "console", lambda: screen)
    output_explain.echo_explanations([Explanation.model_validate(document)], "table", one=True)
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[" in shown
    assert "[[" not in re.sub(r"\x1b\[[0-9;]*m", "", shown)


def test_texts_do_not_steer_the_terminal(command: Command, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = command("explain", "--store", library, *ASKED, "--example", "row-2", "--format", "json").json
    first = next(token for token in document["example_tokens"] if token["start"] is not None)
    text = document["example"]["text"]
    document["example"]["text"] = "\x1b" + text[1:]
    first["text"] = "\x1b" + first["text"][1:]
    document["example"]["dataset"] = "\x1b]0;title\x07"
    screen = Console(file=io.StringIO(), width=100, highlight=False)
    monkeypatch.setattr(output_explain, "console", lambda: screen)
    output_explain.echo_explanations([Explanation.model_validate(document)], "table", one=True)
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", screen.file.getvalue())  # type: ignore[attr-defined]
