"""The matrix of models with tiny ones of the architectures that it names: Pythia's and OLMo's."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.signature.architectures import ARCHITECTURES

ESTIMATOR = '{"kr": 16, "kh": 8, "kg": 28}'


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders of a GPT-NeoX, which Pythia is, and an OLMo 2."""
    folders = []
    for name in ("gpt_neox", "olmo2"):
        folder = tmp_path_factory.mktemp(name)
        ARCHITECTURES[name].build(512, tied=False).save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tiny_model / file, folder / file)
        folders.append(str(folder))
    return folders


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    from rise_store.evaluation.tasks import make_task_data

    return str(make_task_data("howdy", tmp_path_factory.mktemp("howdy") / "data", rows=44))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_measures_each_architecture(
    models: list[str], data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from model_matrix import main, measure_model

    out = tmp_path / "matrix.jsonl"
    given = ["--data", data, "--queries", "4", "--device", "cpu", "--dtype", "float32", "--estimator", ESTIMATOR]
    given += ["--bootstrap", "20", "--out", str(out)]
    assert main([*given, *models], measure_model) == 0
    found = lines(out)
    assert [line["architecture"] for line in found] == ["GPTNeoXForCausalLM", "Olmo2ForCausalLM"]
    for line in found:
        assert line["rows"] == 44
        assert line["tokens_per_second"] > 0
        assert 704 <= line["bytes_per_row"] < 4_000  # 352 coordinates of 16 bits, and the payload
        assert line["peak_resident_bytes"] > 2**20
        value, low, high = line["quality"]["triggered"]["published"]["auprc@10"]
        assert 0 <= low <= value <= high <= 1
    assert "auPRC@10" in capsys.readouterr().out
    assert main([*given, *models], lambda *_: pytest.fail("measured again")) == 0  # it goes on where it was
    assert lines(out) == found


def test_goes_on_after_a_failure(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from model_matrix import main

    done: list[str] = []

    def measure(model: str, args: argparse.Namespace) -> dict[str, Any]:
        done.append(model)
        if model.endswith("70m") and len(done) < 3:
            raise RuntimeError("CUDA out of memory\nTried to allocate 2 GiB")
        return {
            "quality": {},
            "tokens_per_second": 1.0,
            "bytes_per_row": 1,
            "peak_device_bytes": 2**30,
            "peak_resident_bytes": 1,
        }

    out = tmp_path / "matrix.jsonl"
    given = ["--models", "pythia-[37].m", "--data", data, "--out", str(out)]
    assert main(given, measure) == 1
    assert lines(out)[1]["error"] == "RuntimeError: CUDA out of memory Tried to allocate 2 GiB"
    out.write_text(out.read_text() + '{"model": "EleutherAI/pythia-31m", "settings')  # killed while it wrote
    assert main(given, measure) == 1
    assert len(done) == 2
    assert main([*given, "--retry"], measure) == 0
    assert [model.rpartition("-")[2] for model in done] == ["31m", "70m", "70m"]
    assert "1.00 GiB" in capsys.readouterr().out


def test_a_process_of_its_own_that_fails_is_one_error(data: str, tmp_path: Path) -> None:
    from model_matrix import main

    out = tmp_path / "matrix.jsonl"
    assert main(["--data", data, "--out", str(out), str(tmp_path / "nowhere")]) == 1
    (line,) = lines(out)
    assert line["error"].startswith("there is no model folder")


def test_lists_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    from model_matrix import main

    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "EleutherAI/pythia-14m"
    assert main(["--list", "--models", "olmo"]) == 0
    assert [name.rpartition("-")[2] for name in capsys.readouterr().out.splitlines()] == ["1B", "7B", "13B", "32B"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "("], "no regular expression"),
        (["--estimator", "{kr:1"], "no JSON"),
        (["--estimator", '{"kr": 0}'], "kr: "),
    ],
)
def test_mistakes_in_arguments_are_told(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    from model_matrix import main

    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_errors_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from model_matrix import print_lines

    print_lines([{"model": "one", "error": "pip install 'rise-store[gguf]'"}])
    assert "rise-store[gguf]" in capsys.readouterr().out
