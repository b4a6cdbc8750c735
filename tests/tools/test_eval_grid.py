"""The grid's short cuts give what the library gives."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_store.errors import InputError
from rise_store.evaluation import evaluate
from rise_store.records import EstimatorConfig, Query
from rise_store.retrieval.metrics import Scoring
from rise_store.retrieval.precondition import Preconditioner
from rise_store.retrieval.scan import score_rows
from rise_store.signature import SignatureEncoder
from tests.conftest import STORY

TOOLS = Path(__file__).parents[2] / "tools"
TEXTS = [STORY, STORY * 9, "One day the dog found a shiny key under a big tree."]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_scores_from_products_are_those_of_the_library(tool: Any) -> None:
    grid = tool("grid_scores")
    config = EstimatorConfig(kr=8, kh=4, kg=6)
    random = np.random.default_rng(5)
    queries, rows = (unit(random.normal(size=(n, config.dim)).astype(np.float32)) for n in (3, 40))
    sample = np.arange(5, 25)
    products = grid.Products.of(queries, rows, sample, config)
    for name, (metric, lambdas) in grid.SCORINGS.items():
        scoring = Scoring.plan(config, metric, lambdas=lambdas)
        for alpha, scores in zip(grid.ALPHAS, products.scores(name), strict=True):
            asked = scoring.features(queries)
            if alpha is not None:
                asked = Preconditioner.from_rows(scoring.features(rows[sample]), alpha)(asked)
            expected = score_rows(rows, scoring.fold(asked), scoring).T
            scale = np.abs(expected).max()
            np.testing.assert_allclose(scores / scores.max() * expected.max() / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize("weighting", ["uniform", "residual", "surprisal"])
def test_signatures_from_kept_positions_are_those_of_the_encoder(
    tool: Any, tiny_model: Path, tmp_path: Path, weighting: str
) -> None:
    weightings = tool("grid_weightings")
    passes = tool("grid_positions").PositionPass(tiny_model, "float32", "cpu", tmp_path)
    config = EstimatorConfig(position_weighting=weighting)
    encoder = SignatureEncoder.from_pretrained(tiny_model, config, device="cpu")
    rows = passes.of_texts("rows", TEXTS)
    rarity = weightings.token_rarity(rows)
    kept = weightings.signatures(rows, weightings.WEIGHTINGS[weighting], rarity, config)
    assert np.einsum("nd,nd->n", kept, encoder.encode(TEXTS).signatures).min() > 0.9999
    query = Query(prompt="Once upon a time", completion=" there was a little girl.")
    asked = passes.of_queries("queries", [query])
    kept = weightings.signatures(asked, weightings.WEIGHTINGS[weighting], rarity, config)
    assert float(kept[0] @ encoder.encode_queries([query]).signatures[0]) > 0.9999


@pytest.mark.parametrize("rows", [3, 12, 30, 130])  # fewer than K, than 2K, and more
def test_metrics_are_those_of_the_protocol(tool: Any, rows: int) -> None:
    grid = tool("eval_grid")
    random = np.random.default_rng(3)
    scores, relevant = random.integers(0, 9, (6, rows)).astype(np.float32), random.random((6, rows)) < 0.3
    relevant[0] = False
    evaluation = evaluate(scores, relevant, ks=grid.KS, bootstrap=0)
    expected = {measure.label: measure.per_query for measure in evaluation.measures}
    found = dict(zip(grid.METRICS, grid.query_metrics(scores, relevant), strict=True))
    names = {"AP": "average_precision", "auPRC": "auprc", "P": "precision"}
    for name, values in found.items():
        kind, *k = name.split("@")
        np.testing.assert_allclose(values, expected["@".join([names[kind], *k])], rtol=1e-12, err_msg=name)


def test_models_of_one_name_share_no_positions(tool: Any, tmp_path: Path) -> None:
    identity = tool("grid_positions").model_identity
    for run in ("1", "2"):
        (tmp_path / run / "checkpoint").mkdir(parents=True)
        (tmp_path / run / "checkpoint" / "model.safetensors").write_bytes(b"weights")
    one, two = (tmp_path / run / "checkpoint" for run in ("1", "2"))
    before = identity(one)
    assert before == identity(str(one)) != identity(two)
    (one / "model.safetensors").write_bytes(b"other weights")
    assert identity(one) != before
    assert identity("owner/model") == "owner/model"


@pytest.mark.parametrize("line", ['{"instruction": "a"', '{"text": "a row without a label"}'])
def test_rows_that_cannot_be_used_are_not_passed_over(tool: Any, tmp_path: Path, line: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a row", "label": "x"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"train\.jsonl"):
        tool("method_tasks").load_task("some", tmp_path, 5, 5)
