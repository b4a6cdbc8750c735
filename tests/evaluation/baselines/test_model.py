"""Losses and gradients of texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rise_store import Example, InputError
from rise_store.evaluation.baselines.model import LanguageModel
from tests.evaluation.baselines.conftest import QUERIES, ROWS
from tests.evaluation.baselines.gradients import full_gradients, mean_loss


def test_losses_are_those_of_the_model_over_all_chunks(model: LanguageModel) -> None:
    texts = [*model.rows(ROWS), *model.queries(QUERIES)]
    assert len(texts[3].chunks) > 1
    with torch.no_grad():
        expected = [float(mean_loss(model, text)) for text in texts]
    np.testing.assert_allclose(model.losses(texts), expected, rtol=1e-5)


def test_only_the_completion_of_a_query_counts(model: LanguageModel) -> None:
    (asked,) = model.queries(QUERIES[:1])
    assert asked.loss_start[0] > 1
    (states,) = model.states([asked])
    assert len(states.targets) == len(asked.chunks[0]) - asked.loss_start[0]


def test_backward_leaves_the_gradient_of_the_mean_loss(model: LanguageModel) -> None:
    text = model.rows(ROWS)[3]
    (expected,) = full_gradients(model, [text])
    with model.gradients():
        model.backward(text)
        model.backward(text)  # the second replaces the first
        for parameter, gradient in zip(model.parameters, expected, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters)


def test_a_row_without_tokens_to_predict_is_refused(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="row empty: fewer than 2 tokens"):
        model.rows([Example(id="empty", text=" ")])
