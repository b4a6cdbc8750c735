"""Preconditioning against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rise_store.errors import ConfigError, SignatureError
from rise_store.retrieval import Preconditioner


def unit_rows(n: int, dim: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(seed=st.integers(0, 1000), n=st.integers(1, 30), alpha=st.floats(1e-3, 1e2))
def test_it_is_the_inverse_of_the_shifted_second_moments(seed: int, n: int, alpha: float) -> None:
    rows, queries = unit_rows(n, 20, seed), unit_rows(3, 20, seed + 1)
    moments = rows.astype(np.float64).T @ rows / n
    shift = alpha * np.linalg.eigvalsh(moments)[-1]
    expected = shift * np.linalg.solve(moments + shift * np.eye(20), queries.T.astype(np.float64)).T
    np.testing.assert_allclose(Preconditioner.from_rows(rows, alpha)(queries), expected, atol=1e-4)


def test_a_direction_that_all_rows_share_counts_less_and_one_of_none_stays() -> None:
    rows = np.tile(np.eye(3, dtype=np.float32)[0], (5, 1))
    weakened = Preconditioner.from_rows(rows, alpha=0.1)(np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(weakened, np.diag([0.1 / 1.1, 1, 1]), atol=1e-6)


@given(alpha=st.floats(1e-3, 10), factor=st.floats(-3, 3))
def test_it_is_linear_and_symmetric(alpha: float, factor: float) -> None:
    precondition = Preconditioner.from_rows(unit_rows(8, 12, 0), alpha)
    a, b = unit_rows(2, 12, 1)
    combined = precondition((a + np.float32(factor) * b)[None])[0]
    pa, pb = precondition(np.stack([a, b]))
    np.testing.assert_allclose(combined, pa + np.float32(factor) * pb, atol=1e-4)
    assert pa @ b == pytest.approx(a @ pb, abs=1e-4)


@pytest.mark.parametrize("alpha", [0, -1, float("nan"), float("inf")])
def test_alpha_is_a_number_above_0(alpha: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        Preconditioner.from_rows(unit_rows(2, 4, 0), alpha)


def test_empty_rows_are_refused() -> None:
    with pytest.raises(SignatureError, match="empty"):
        Preconditioner.from_rows(np.zeros((3, 4), np.float32), 0.1)
