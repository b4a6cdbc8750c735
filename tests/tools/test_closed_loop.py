"""The closed loop with a tiny model: what the arms are, what the report says, and that it can tell data apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_store import InputError
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SENTENCES, SMALL, write_rows

FACTS = ("The capital of {} is a town by the sea.", "Nobody has counted the towers of {} yet.", "{} has a port.")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Candidates, stories and facts, and stories as targets."""
    folder = tmp_path_factory.mktemp("loop")
    stories = [f"{one} {other}" for one in SENTENCES for other in SENTENCES if one != other]
    facts = [fact.format(f"Place {number}") for number in range(20) for fact in FACTS]
    rows = [{"text": text, "kind": "story"} for text in stories[:40]] + [
        {"text": text, "kind": "fact"} for text in facts
    ]
    targets = [{"text": text, "kind": "story"} for text in stories[40:]] + [{"text": facts[0], "kind": "fact"}]
    return write_rows(folder / "pool.jsonl", rows), write_rows(folder / "targets.jsonl", targets)


@pytest.fixture(scope="module")
def report(files: tuple[Path, Path], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    from closed_loop import main

    pool, targets = files
    folder = tmp_path_factory.mktemp("report")
    arguments = ["--model", tiny_model, "--device", "cpu", "--dtype", "float32", "--candidates", pool, "--targets"]
    arguments += [targets, "--targets-where", "kind=story", "--source-field", "kind", "--seeds", 2, "--tokens", 1000]
    arguments += [
        "--length",
        32,
        "--batch",
        2,
        "--learning-rate",
        0.003,
        "--looks",
        2,
        "--precondition",
        0,
        "--json",
        folder / "loop.json",
    ]
    assert main([str(argument) for argument in [*arguments, "--plots", folder / "plots"]], SMALL) == 0
    assert (folder / "plots" / "closed_loop.png").read_bytes().startswith(b"\x89PNG")
    found: dict[str, Any] = json.loads((folder / "loop.json").read_text())
    return found


def test_arms_have_equal_tokens_and_curves(report: dict[str, Any]) -> None:
    arms = {arm["arm"]: arm for arm in report["arms"]}
    assert {"rise", "random", "rejected"} <= arms.keys()
    assert {arm["tokens"] for arm in arms.values()} == {960}  # whole steps of 64
    for arm in arms.values():
        assert len(arm["losses"]) == len(arm["curves"]) == 2
        assert [point["tokens"] for point in arm["curves"][0]] == [0, 512, 960]
        assert arm["curves"][1][-1]["loss"] == arm["losses"][1]
        assert arm["change"]["low"] <= arm["change"]["mean"] <= arm["change"]["high"]
        assert arm["loss"] == pytest.approx(report["loss_before"] + arm["change"]["mean"])


def test_the_arms_differ_in_what_they_consist_of(report: dict[str, Any]) -> None:
    shares = {arm["arm"]: arm["sources"].get("story", 0.0) for arm in report["arms"]}
    assert shares["rise"] > shares["rejected"]
    assert shares["bm25"] > max(shares["random"], shares["rejected"])


def test_training_lowers_the_loss_and_arms_are_compared(report: dict[str, Any]) -> None:
    losses = {arm["arm"]: arm["losses"] for arm in report["arms"]}
    assert max(losses["rise"]) < report["loss_before"]
    differences = {(one["arm"], one["than"]): one for one in report["differences"]}
    one = differences["rise", "random"]
    assert one["by_seed"] == pytest.approx([a - b for a, b in zip(losses["rise"], losses["random"], strict=True)])
    assert one["low"] <= one["mean"] <= one["high"]


def test_data_are_disjoint(files: tuple[Path, Path]) -> None:
    from closed_loop_data import material_of_files

    material = material_of_files(
        *map(str, files), most_candidates=50, most_targets=5, most_held_out=100, source_field="kind", seed=3
    )
    parts = [{one.content for one in part} for part in (material.candidates, material.targets, material.held_out)]
    assert [len(part) for part in parts] == [len(set().union(*parts)) - sum(map(len, parts[1:])), 5, 12]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set(material.sources) == {"story", "fact"}


def test_packaged_data(files: tuple[Path, Path]) -> None:
    from closed_loop_data import packaged_material

    material = packaged_material(100, 10, 20)
    assert (len(material.targets), len(material.held_out)) == (10, 20)
    assert set(material.sources) == {"reference", "library", "numpy", "licences", "instructions"}
    assert max(material.sources.values()) <= 20
    topics = [{one.metadata["topic"] for one in part} for part in (material.targets, material.held_out)]
    assert topics[0].isdisjoint(topics[1])


def test_an_arm_is_cut_at_the_budget() -> None:
    from closed_loop import arms_of, take

    ids = [[1] * 5, [2] * 7, [3] * 6, [4] * 4]
    arm = take("some", [2, 0, 1, 3], ids, 13)
    assert (arm.picked, arm.tokens) == ([2, 0, 1], 13)
    assert arm.documents[-1] == [2, 2]
    with pytest.raises(InputError, match="22 tokens, the budget is 23"):
        take("all", range(4), ids, 23)
    arms = {arm.name: arm for arm in arms_of({"rise": np.array([0.1, 0.9, 0.5, 0.3])}, ids, 10, seed=1)}
    assert (arms["rise"].picked, arms["rejected"].picked) == ([1, 2], [0, 3, 2])
    assert {arm.tokens for arm in arms.values()} == {10}


def test_an_interval_covers_what_seeds_and_texts_share() -> None:
    from closed_loop import interval

    random = np.random.default_rng(0)
    tokens = random.integers(20, 60, size=40)
    noise = random.normal(size=(5, 40))
    low, high = interval(tokens * -0.3 + noise, tokens)
    assert low < -0.3 < high
    assert high - low < 0.05
    assert interval(tokens * -0.3 + np.zeros((5, 40)), tokens) == pytest.approx((-0.3, -0.3))


def test_a_kept_store_serves_other_candidates_and_settings(
    files: tuple[Path, Path], tiny_model: Path, tmp_path: Path
) -> None:
    from closed_loop import rise_scores
    from closed_loop_data import material_of_files

    some, others = (
        material_of_files(*map(str, files), most_candidates=12, most_targets=2, most_held_out=2, seed=seed)
        for seed in (1, 2)
    )
    encoder = SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")
    narrow = SignatureEncoder.from_pretrained(tiny_model, SMALL.model_copy(update={"kr": 8}), device="cpu")
    alone = rise_scores(some, encoder, tmp_path / "alone", precondition=0.01)
    assert np.isfinite(alone).all()
    for material, model in ((others, encoder), (others, narrow)):
        rise_scores(material, model, tmp_path / "shared", precondition=0.01)
    np.testing.assert_array_equal(rise_scores(some, encoder, tmp_path / "shared", precondition=0.01), alone)


def test_names_of_sources_are_printed_as_they_are(report: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from closed_loop import print_report

    print_report({**report, "arms": [{**report["arms"][0], "sources": {"[/r/python]": 1.0}}]})
    assert "[/r/python]" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tokens", "5000000"], "at most half"),
        (["--targets-where", "kind=poem"], "0 targets"),
        (["--candidates", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_mistakes_are_told_in_a_line(
    files: tuple[Path, Path], tiny_model: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    from closed_loop import main

    pool, targets = map(str, files)
    given = ["--model", str(tiny_model), "--device", "cpu", "--dtype", "float32", "--candidates", pool]
    assert main([*given, "--targets", targets, *arguments], SMALL) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in line
