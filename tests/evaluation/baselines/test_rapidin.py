"""RapidIn: its projection, and its scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store import ConfigError
from rise_store.evaluation.baselines.model import LanguageModel
from rise_store.evaluation.baselines.rapidin import RapidIn
from rise_store.evaluation.baselines.shuffled_projection import ShuffledProjection, draw_shuffles
from tests.evaluation.baselines.conftest import QUERIES, ROWS
from tests.evaluation.baselines.gradients import full_gradients


def shuffled(vector: np.ndarray, width: int, shuffles: int, seed: int) -> np.ndarray:
    for step in draw_shuffles(width, shuffles, np.random.default_rng(seed)):
        vector = step.apply(vector)
    return vector


@given(
    size=st.integers(1, 400), width=st.sampled_from([2, 8, 12, 64]), shuffles=st.integers(0, 3), seed=st.integers(0, 9)
)
@settings(max_examples=40, deadline=None)
def test_the_table_does_what_shuffling_signing_and_summing_do(size: int, width: int, shuffles: int, seed: int) -> None:
    projection = ShuffledProjection.draw(size, width, shuffles=shuffles, seed=seed)
    vector = np.random.default_rng(seed).standard_normal(size).astype(np.float32)
    filled = np.zeros(-(-size // width) * width, np.float32)
    filled[:size] = vector * projection.signs
    expected = shuffled(filled, width, shuffles, seed).reshape(width, -1).sum(axis=1)
    parts = [torch.from_numpy(part.copy()) for part in np.split(vector, [size // 3])]
    np.testing.assert_allclose(projection(parts).numpy(), expected, atol=1e-4)


@given(st.integers(2, 300), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_a_shuffle_loses_nothing_and_can_be_undone(size: int, seed: int) -> None:
    vector = np.arange(size * 6)
    for step in draw_shuffles(size, 2, np.random.default_rng(seed)):
        np.testing.assert_array_equal(step.undo(step.apply(vector)), vector)


def test_groups_are_equally_large_and_neighbours_part() -> None:
    projection = ShuffledProjection.draw(64 * 50, 64)
    assert np.bincount(projection.groups).tolist() == [50] * 64
    assert np.mean(projection.groups[1:] == projection.groups[:-1]) < 0.1
    assert abs(projection.signs.mean()) < 0.1


def test_inner_products_are_kept_in_expectation() -> None:
    generator = np.random.default_rng(0)
    a = generator.standard_normal(2000).astype(np.float32)
    b = (0.5 * a + generator.standard_normal(2000)).astype(np.float32)
    products = []
    for seed in range(100):
        projection = ShuffledProjection.draw(2000, 256, shuffles=4, seed=seed)
        products.append(float(projection([torch.from_numpy(a)]) @ projection([torch.from_numpy(b)])))
    error = np.std(products) / np.sqrt(len(products))
    assert abs(np.mean(products) - a @ b) < 4 * error
    assert np.std(products) < 2 * np.linalg.norm(a) * np.linalg.norm(b) / np.sqrt(256)


def test_scores_come_close_to_the_products_of_normalised_gradients(model: LanguageModel) -> None:
    method = RapidIn(model, width=16_384, shuffles=4)
    method.index(ROWS)
    gradients = [
        np.concatenate([(layer / layer.norm()).numpy().ravel() for layer in layers])
        for layers in full_gradients(model, [*model.rows(ROWS), *model.queries(QUERIES)])
    ]
    rows, queries = np.stack(gradients[: len(ROWS)]), np.stack(gradients[len(ROWS) :])
    layers = len(model.parameters)  # the square of each gradient's length
    np.testing.assert_allclose(method.scores(QUERIES), queries @ rows.T, atol=0.05 * layers)
    assert method.bytes_per_row == 32_768


def test_a_width_that_16_bits_do_not_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="from 2 to 65,536"):
        ShuffledProjection.draw(10, 1 << 17)
