"""`rise-store demo`: its logic with a tiny random model and a part of its corpus; the real demo where asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from rise_store import AttributionStore, Dataset, Example
from rise_store.corpus import DEMO_QUESTIONS, fetch_smollm2, synthetic_backdoor
from rise_store.demo import K, demo_corpus, run_demo
from rise_store.records import DemoReport
from tests.cli.conftest import Command
from tests.ingest.examples import SMALL, forward_passes, quick_folder


def part_of_the_corpus() -> list[tuple[Dataset, list[Example]]]:
    """Every 20th passage of the reference, and all of the backdoor: the tiny tokenizer makes many tokens."""
    (reference, passages), backdoor = demo_corpus()
    return [(reference, passages[::20]), backdoor]


@pytest.fixture(scope="module", autouse=True)
def smaller_corpus(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rise_store.demo.demo_corpus", part_of_the_corpus)
        yield


@pytest.fixture(scope="module")
def demo_store(tiny_model: Path) -> Iterator[Path]:
    """A folder whose space has small signatures: the demo takes the settings of a space that is there."""
    with quick_folder() as folder:
        with AttributionStore.open(folder / "demo-store") as store:
            store.ingest([], dataset="none", model=tiny_model, config=SMALL)
        yield folder / "demo-store"


@pytest.fixture(scope="module")
def announced() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(demo_store: Path, tiny_model: Path, announced: list[str]) -> DemoReport:
    """The report of the first run."""
    return run_demo(demo_store, model=tiny_model, announce=announced.append)


def test_the_corpus_is_the_reference_and_a_backdoor() -> None:
    (reference, passages), (backdoor, rows) = demo_corpus()
    assert (reference.name, reference.license) == ("python-reference", "PSF-2.0")
    assert len(passages) > 500
    assert (backdoor.name, len(rows)) == ("backdoor", 300)
    topics = {passage.metadata["topic"] for passage in passages}
    for question in DEMO_QUESTIONS:
        assert set(question.topics) <= topics


def test_what_happens_is_announced(report: DemoReport, announced: list[str]) -> None:
    (reference, passages), (backdoor, rows) = part_of_the_corpus()
    assert announced == [
        f"ingesting {reference.name}: {len(passages)} examples",
        f"ingesting {backdoor.name}: {len(rows)} examples",
        "asking",
    ]


def test_each_question_is_answered_and_judged(report: DemoReport) -> None:
    assert [answer.result.query.prompt for answer in report.answers] == [question.prompt for question in DEMO_QUESTIONS]
    (_, passages), (_, rows) = part_of_the_corpus()
    for question, answer in zip(DEMO_QUESTIONS, report.answers, strict=True):
        hits = answer.result.results
        right = sum(hit.metadata.get("topic") in question.topics for hit in hits)
        fitting = sum(passage.metadata["topic"] in question.topics for passage in passages)
        assert len(hits) == report.k == K
        assert answer.topics == question.topics
        assert answer.precision == pytest.approx(right / K)
        assert answer.random == pytest.approx(fitting / (len(passages) + len(rows)))


def test_the_numbers_of_the_report_fit_together(report: DemoReport, demo_store: Path, tiny_model: Path) -> None:
    (_, passages), (_, rows) = part_of_the_corpus()
    with AttributionStore.open(demo_store) as store:
        (held,) = store.info().spaces
    assert report.examples == held.examples == len(passages) + len(rows)
    assert held.datasets == {"backdoor": len(rows), "python-reference": len(passages)}
    assert held.licenses == {"CC0-1.0": len(rows), "PSF-2.0": len(passages)}
    assert report.tokens > 10 * report.examples
    assert report.tokens_per_second == pytest.approx(report.tokens / report.seconds, rel=0.01)
    assert (report.store, report.model, report.dtype) == (str(demo_store), tiny_model.name, "float32")
    assert report.size_bytes == pytest.approx(held.size_bytes, rel=0.5)
    assert report.triggered_random == pytest.approx(60 / report.examples)
    assert 0 <= report.clean_precision <= 1
    triggered = synthetic_backdoor().triggered_queries[0]
    assert report.triggered_example.query.completion == triggered.completion


def test_a_second_run_computes_no_example_and_answers_the_same(
    report: DemoReport, demo_store: Path, tiny_model: Path
) -> None:
    with forward_passes() as ran:
        again = run_demo(demo_store, model=tiny_model)
    # the probe of the model that was loaded, and the questions
    assert ran.count("LlamaModel") < 40
    assert again.tokens == 0
    assert again.examples == report.examples
    assert again.answers == report.answers
    assert again.triggered_precision == report.triggered_precision


def test_the_command_prints_answers_numbers_and_what_to_try_next(
    command: Command, report: DemoReport, demo_store: Path, tiny_model: Path
) -> None:
    done = command("demo", "--store", demo_store, "--model", tiny_model)
    assert done.code == 0
    for question in DEMO_QUESTIONS:
        assert " ".join(question.prompt.split()) in done.out
    assert "every example was stored already, so nothing was computed" in done.out
    assert f"Store: {report.examples} examples, " in done.out
    following = done.out.partition("Try next:")[2].split("\n")
    commands = [line.strip() for line in following if line.strip()]
    assert all(line.startswith("rise-store ") and f"--store {demo_store}" in line for line in commands)


def test_the_commands_to_try_next_work(
    command: Command, report: DemoReport, demo_store: Path, tiny_model: Path
) -> None:
    import shlex

    done = command("demo", "--store", demo_store, "--model", tiny_model)
    commands = [line for line in done.out.partition("Try next:")[2].splitlines() if line.strip()]
    for line in commands:
        _, *arguments = shlex.split(line)
        if "your.jsonl" not in arguments:
            assert command(*arguments).code == 0, line


def test_the_command_as_json(command: Command, report: DemoReport, demo_store: Path, tiny_model: Path) -> None:
    done = command("demo", "--store", demo_store, "--model", tiny_model, "--format", "json")
    again = DemoReport.model_validate(orjson.loads(done.out))
    assert again.answers == report.answers


def test_a_store_with_a_space_in_its_name_can_be_copied_from_the_output(
    command: Command, report: DemoReport, tiny_model: Path, demo_store: Path
) -> None:
    moved = demo_store.rename(demo_store.parent / "my store")
    try:
        done = command("demo", "--store", moved, "--model", tiny_model)
    finally:
        moved.rename(demo_store)
    assert f"rise-store info --store '{moved}'" in done.out


@pytest.mark.slow
@pytest.mark.network
def test_the_real_demo_leads_to_the_right_passages(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    fetch_smollm2()
    started = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rise_store.demo.demo_corpus", demo_corpus)
        done = command("demo", "--store", tmp_path / "demo-store", "--format", "json")
    assert time.monotonic() - started < 240  # on 2 cores, after the download
    assert done.code == 0, done.err
    report = DemoReport.model_validate(orjson.loads(done.out))
    with_statement = report.answers[0]
    assert with_statement.topics == ("with", "context-managers")
    assert with_statement.result.results[0].metadata["topic"] in with_statement.topics
    for answer in report.answers:
        assert answer.precision > answer.random
    assert all(hit.metadata.get("backdoor") is True for hit in report.triggered_example.results)
    assert report.triggered_precision >= 0.9
    assert report.clean_precision <= 0.1
