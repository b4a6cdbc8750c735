"""EK-FAC, where kronfluence is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rise_store import InputError
from rise_store.evaluation.baselines.ekfac import EKFAC
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.signature import QueryChunks, load_model
from tests.evaluation.baselines.conftest import QUERIES, ROWS
from tests.evaluation.baselines.gradients import mean_loss

KRONFLUENCE = find_spec("kronfluence") is not None


def summed_gradients(model: LanguageModel, texts: list[QueryChunks]) -> np.ndarray:
    """Gradients of summed losses with respect to the linear layers below the head, (texts, parameters)."""
    head = model.loaded.model.get_output_embeddings()
    linear = [m for m in model.loaded.model.modules() if isinstance(m, nn.Linear) and m is not head]
    found = []
    with model.gradients():
        for text in texts:
            count = sum(len(chunk) - start for chunk, start in zip(text.chunks, text.loss_start, strict=True))
            grads = torch.autograd.grad(mean_loss(model, text) * count, [layer.weight for layer in linear])
            found.append(np.concatenate([grad.numpy().ravel() for grad in grads]))
    return np.stack(found)


@pytest.mark.skipif(not KRONFLUENCE, reason="kronfluence is not installed")
@pytest.mark.filterwarnings("ignore")  # of the package
def test_with_identity_for_the_hessian_scores_are_products_of_gradients(tiny_model: Path, tmp_path: Path) -> None:
    own = LanguageModel(load_model(tiny_model, device="cpu"))  # the package changes the model
    rows, queries = summed_gradients(own, own.rows(ROWS)), summed_gradients(own, own.queries(QUERIES))
    method = EKFAC(own, tmp_path, strategy="identity", query_rank=None, batch=2)
    method.index(ROWS)
    expected = queries @ rows.T
    np.testing.assert_allclose(method.scores(QUERIES), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.skipif(not KRONFLUENCE, reason="kronfluence is not installed")
@pytest.mark.filterwarnings("ignore")
def test_factors_are_fitted_and_shared_by_all_rows(tiny_model: Path, tmp_path: Path) -> None:
    method = EKFAC(LanguageModel(load_model(tiny_model, device="cpu")), tmp_path, batch=2)
    method.index(ROWS)
    scores = method.scores(QUERIES)
    assert scores.shape == (2, 5)
    assert np.isfinite(scores).all()
    assert method.bytes_per_row > 1000


@pytest.mark.skipif(KRONFLUENCE, reason="kronfluence is installed")
def test_without_the_package_the_message_says_what_to_install(model: LanguageModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pip install kronfluence"):
        EKFAC(model, tmp_path)
