"""Exact products of LM-head gradients, and how signatures come close to them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from rise_store.evaluation.baselines.convergence import agreement, signatures_of, sketched_agreement
from rise_store.evaluation.baselines.exact import ExactProduct, by_text
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.records import EstimatorConfig
from rise_store.signature import LoadedModel, SignatureEncoder
from tests.evaluation.baselines.conftest import QUERIES, ROWS
from tests.evaluation.baselines.gradients import mean_loss
from tests.signature.reference import ReferenceConfig, reference_residual, reference_surprisal


def head_gradients(model: LanguageModel, texts: list) -> np.ndarray:
    head = model.loaded.model.get_output_embeddings().weight
    embeddings = model.loaded.model.get_input_embeddings().weight
    assert head is not embeddings  # else the gradient would have the input's part as well
    with model.gradients():
        return np.stack([torch.autograd.grad(mean_loss(model, text), head)[0].numpy().ravel() for text in texts])


@pytest.mark.parametrize("unit", [False, True])
def test_the_true_gradient_product_is_that_of_autograd(model: LanguageModel, unit: bool) -> None:
    method = ExactProduct(model, unit=unit)
    method.index(ROWS)
    rows = head_gradients(model, model.rows(ROWS))
    queries = head_gradients(model, model.queries(QUERIES))
    expected = queries @ rows.T
    if unit:
        expected /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(method.scores(QUERIES), expected, rtol=1e-3, atol=1e-6)
    assert method.bytes_per_row > 4 * 32  # a hidden state a position


def unsketched(model: LanguageModel, text: object, config: EstimatorConfig) -> np.ndarray:
    """The signature of a text without sketches, one position after the other, as the design's text says."""
    weight = model.readout.weight.numpy().astype(np.float64)
    reference = ReferenceConfig(tau=config.tau)
    total = 0
    for chunk in by_text(model.states([text]), 1)[0]:  # type: ignore[list-item]
        parts = []
        for hidden, target in zip(chunk.hidden.numpy().astype(np.float64), chunk.targets.tolist(), strict=True):
            r = reference_residual(weight @ hidden / config.tau, target, reference)
            g, h = weight.T @ r, hidden / np.linalg.norm(hidden)
            if config.position_weighting == "surprisal":
                r, g = (x * reference_surprisal(weight @ hidden / config.tau, target, reference) ** 0.5 for x in (r, g))
            if config.position_weighting == "uniform":
                r, g = r / np.linalg.norm(r), g / np.linalg.norm(g)
            parts.append(np.concatenate([config.lambda_rh * np.outer(r, h), config.lambda_gh * np.outer(g, h)]))
        signature = np.sum(parts, axis=0).ravel()
        total = total + signature / np.linalg.norm(signature)
    return total / np.linalg.norm(total)


@pytest.mark.parametrize("weighting", ["uniform", "residual", "surprisal"])
@pytest.mark.parametrize("lambda_gh", [0.0, 0.3])
def test_the_unsketched_score_is_that_of_the_design(
    model: LanguageModel, weighting: Literal["uniform", "residual", "surprisal"], lambda_gh: float
) -> None:
    config = EstimatorConfig(position_weighting=weighting, lambda_gh=lambda_gh)
    method = ExactProduct(model, config)
    method.index(ROWS)
    rows = np.stack([unsketched(model, text, config) for text in model.rows(ROWS)])
    queries = np.stack([unsketched(model, text, config) for text in model.queries(QUERIES)])
    np.testing.assert_allclose(method.scores(QUERIES), queries @ rows.T, atol=2e-4)


def test_signatures_from_known_hidden_states_are_those_of_the_encoder(
    model: LanguageModel, loaded: LoadedModel
) -> None:
    config = EstimatorConfig(kr=16, kh=8, kg=28)
    texts = model.rows(ROWS)
    found = signatures_of(model, by_text(model.states(texts), len(texts)), config)
    np.testing.assert_allclose(found, SignatureEncoder(loaded, config).encode(ROWS).signatures, atol=1e-3)


def test_wider_sketches_agree_better_with_the_exact_product(model: LanguageModel) -> None:
    widths = [EstimatorConfig(kr=kr, kh=kh, kg=kg) for kr, kh, kg in ((2, 2, 2), (64, 32, 32), (512, 512, 512))]
    narrow, middle, wide = (found.agreement for found in sketched_agreement(model, ROWS, QUERIES, widths, top=(2,)))
    assert narrow.pearson < middle.pearson < wide.pearson
    assert wide.pearson > 0.9
    assert wide.overlap[2] == 1


def test_agreement_is_1_with_itself_and_minus_1_with_the_contrary() -> None:
    scores = np.array([[3.0, 1.0, 2.0, 0.0], [0.5, 0.1, 0.9, 0.7]], np.float32)
    same = agreement(scores, scores, top=(1, 2, 9))
    assert same.pearson == pytest.approx(1)
    assert same.spearman == pytest.approx(1)
    assert same.overlap == {1: 1.0, 2: 1.0}  # 9 are more than there are
    contrary = agreement(scores, -scores, top=(2,))
    assert contrary.spearman == pytest.approx(-1)
    assert contrary.overlap == {2: 0.0}
