"""ZO-Inf: derivatives from losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rise_store import ConfigError
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.evaluation.baselines.zeroth_order import ZerothOrder
from rise_store.signature import load_model
from tests.evaluation.baselines.conftest import QUERIES, ROWS
from tests.evaluation.baselines.gradients import full_gradients


def test_derivatives_are_those_along_the_perturbations(model: LanguageModel) -> None:
    texts = model.rows(ROWS[:3])
    before = [parameter.clone() for parameter in model.parameters]
    found = ZerothOrder(model, perturbations=3, epsilon=2e-4, seed=5).derivatives(texts)
    for number in range(3):
        generator = torch.Generator().manual_seed(5 + number)
        directions = [torch.randn(parameter.shape, generator=generator) for parameter in model.parameters]
        for row, layers in enumerate(full_gradients(model, texts)):
            expected = sum(float((layer * z).sum()) for layer, z in zip(layers, directions, strict=True))
            assert found[row, number] == pytest.approx(expected, rel=0.02, abs=0.02)
    for parameter, original in zip(model.parameters, before, strict=True):
        torch.testing.assert_close(parameter, original, rtol=0, atol=1e-5)


def test_scores_are_mean_products_or_cosines(model: LanguageModel) -> None:
    derivatives = ZerothOrder(model, perturbations=4)
    rows, queries = derivatives.derivatives(model.rows(ROWS)), derivatives.derivatives(model.queries(QUERIES))
    products, cosines = (ZerothOrder(model, perturbations=4, cosine=cosine) for cosine in (False, True))
    for method in (products, cosines):
        method.index(ROWS)
        assert method.bytes_per_row == 16
    np.testing.assert_allclose(products.scores(QUERIES), queries @ rows.T / 4, rtol=0.02, atol=0.02)
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(cosines.scores(QUERIES), queries @ rows.T / lengths, atol=0.02)


def test_many_perturbations_come_close_to_the_product_of_gradients(model: LanguageModel) -> None:
    row = model.rows(ROWS[:1])
    method = ZerothOrder(model, perturbations=200)
    own = method.derivatives(row)[0]
    (gradient,) = full_gradients(model, row)
    squared = sum(float((layer**2).sum()) for layer in gradient)
    assert np.mean(own**2) == pytest.approx(squared, rel=0.35)  # a mean of 200 squares of normals


def test_a_precision_that_rounds_differences_away_is_refused(tiny_model: Path) -> None:
    model = LanguageModel(load_model(tiny_model, dtype="bfloat16", device="cpu"))
    with pytest.raises(ConfigError, match="use float32"):
        ZerothOrder(model)
