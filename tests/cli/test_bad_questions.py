"""Questions that cannot be answered: one line that says why, exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.ingest.examples import write_rows

BAD_OPTIONS = {
    "k beyond the store": (("-k", "13"), "k is 13, but the store holds 12 examples; choose k from 1 to 12"),
    "k of 0": (("-k", "0"), "k is 0, but the store holds 12 examples; choose k from 1 to 12"),
    "unknown weight": (("--weights", "rg=1"), "unknown weight 'rg' in 'rg=1'; the channels are rh and gh"),
    "weight without number": (("--weights", "rh"), "weight 'rh' has no number; write rh=1,gh=0.5"),
    "weights of 0": (("--weights", "rh=0,gh=0"), "both weights are 0"),
    "unknown field": (("--where", "pgae=3"), "no stored example has the field"),
    "lambdas without their metric": (("--lambdas", "rh=1"), "lambdas belong to the metric paper, not to dot"),
    "weights of another metric": (("--metric", "paper", "--weights", "rh=2"), "the metric paper takes lambdas"),
    "unknown lambda": (("--metric", "paper", "--lambdas", "rg=1"), "unknown lambda 'rg' in 'rg=1'"),
    "offset below 0": (("--offset", "-1"), "offset is -1; it is a number of examples to pass over"),
    "offset beyond all": (
        ("--offset", str(2**64)),
        "offset is 18446744073709551616; it is a number of examples to pass",
    ),
    "no approximate search": (("--approximate",), "this space has no approximate search; ingest into a new store with"),
    "settings of an exact search": (("--ef", "64"), "oversampling and ef are settings of an approximate search"),
    "approximate cosine": (("--approximate", "--metric", "cosine"), "the metric cosine is searched exactly"),
    "groups by no field": (("--group-by", "pgae"), "no stored example has the field"),
    "groups over none": (("--group-by", "dataset", "--group-over", "0"), "groups are made over 0 examples"),
    "groups over no number": (("--group-by", "dataset", "--group-over", "x"), "--group-over is 'x'; give a number"),
    "a page of groups": (("--group-by", "dataset", "--offset", "2"), "--group-by goes without -k and --offset"),
    "groups of nothing": (("--group-over", "all"), "--group-over goes with --group-by"),
    "filter without value": (("--where", "page ="), "filter 'page =': at column 7: expected a value after \"=\""),
    "filter in bad JSON": (("--where", '{"field": "page"}'), "filter: at the top: expected one of equals, in, "),
    "comparison with a word": (("--where", "page > many"), 'expected a number or a date after ">", found "many"'),
    "comparison with no date": (("--where", "ingested_at > 5"), "cannot compare ingested_at with a number: it has an"),
    "filter by what is no Unicode": (("--where", "\udcff=1"), "'\\udcff' is not a field: it is not valid Unicode"),
    "groups by what is no Unicode": (("--group-by", "\udcff"), "'\\udcff' is not a field: it is not valid Unicode"),
    "text that is no Unicode": (("--text", "caf\udce9"), "query text: no valid Unicode at character 4; give text in"),
    "filter of no values": (
        ("--where", '{"field": "page", "in": []}'),
        "expected a list of values, at least one, found",
    ),
    "endless number": (("--where", f'{{"field": "page", "gt": {"9" * 5_000}}}'), "holds a number of too many digits"),
    "number beyond all": (("--where", f'{{"field": "page", "gt": {"9" * 400}}}'), "page cannot be compared with 999"),
    "unknown space": (("--space", "zz"), "the store has no space zz; its spaces: "),
    "unknown device": (("--device", "abacus"), "device 'abacus' cannot be used"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_options_that_do_not_fit_the_store(command: Command, library: Path, name: str) -> None:
    options, message = BAD_OPTIONS[name]
    done = command("query", "--store", library, "--text", "A key.", *options)
    assert message in done.error
    assert done.out == ""


def test_an_unknown_field_names_those_that_exist(command: Command, library: Path) -> None:
    error = command("query", "--store", library, "--text", "A key.", "--where", "pgae=3").error
    known = error.partition("fields: ")[2].split(", ")
    assert {"dataset", "license", "draft", "page"} <= set(known)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--prompt", "Why?"), "a query is either a text, or a prompt with a completion"),
        (("--text", "Why?", "--completion", "So."), "a query is either a text, or a prompt with a completion"),
        (("--file", "missing.jsonl"), "missing.jsonl: no such file"),
        (("--file", "empty.jsonl"), "empty.jsonl holds no queries"),
        (("--file", "bad.jsonl"), "bad.jsonl:2: malformed JSON"),
        (("--file", "textless.jsonl"), "textless.jsonl:1: the row has no text"),
        (("--file", "filtered.jsonl"), 'filtered.jsonl:1: "where" is neither a string nor an object'),
        (("--file", "counted.jsonl"), 'counted.jsonl:1: "k" is not an integer'),
    ],
)
def test_queries_that_are_none(command: Command, library: Path, asked: tuple[str, ...], message: str) -> None:
    write_rows(Path("empty.jsonl"), [])
    write_rows(Path("bad.jsonl"), [{"text": "A key."}, b"{"])
    write_rows(Path("textless.jsonl"), [{"id": "x"}])
    write_rows(Path("filtered.jsonl"), [{"text": "A key.", "where": 3}])
    write_rows(Path("counted.jsonl"), [{"text": "A key.", "k": True}])
    assert command("query", "--store", library, "-k", "1", *asked).error.removeprefix("query: ").startswith(message)


@pytest.mark.parametrize("asked", [(), ("--text", "A key.", "--file", "queries.jsonl")])
def test_a_query_is_asked_in_one_way(command: Command, library: Path, asked: tuple[str, ...]) -> None:
    done = command("query", "--store", library, *asked)
    assert done.code == 2
    assert "--file" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "arguments", [("qeury",), ("query", "--shop", "x"), ("query", "-k", "many"), ("ingest",), ("info",)]
)
def test_a_command_line_that_click_refuses_ends_with_an_error_line(
    command: Command, arguments: tuple[str, ...]
) -> None:
    done = command(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.splitlines()[-1].lower().startswith("error: ")
    assert "Traceback" not in done.err


def test_the_default_of_k_fits_a_small_store(command: Command, library: Path) -> None:
    few = command("query", "--store", library, "--text", "A key.", "--where", "license=MIT")
    assert few.code == 0
    all_ = command("query", "--store", library, "--text", "A key.", "--format", "json")
    assert len(all_.json["results"]) == 10


@pytest.mark.parametrize("typed", ["--preste", "--boostrap"])  # near several options, and near one
def test_a_mistyped_option_is_answered_with_the_nearest(command: Command, library: Path, typed: str) -> None:
    error = command("query", "--store", library, "--text", "A key.", typed, "9").error
    question, _, help_ = error.partition("?")
    assert "Did you mean" in question
    assert help_.lstrip(")").startswith(" See ")
    assert error.endswith("query --help")
