"""The residual of a position: softmax over the support, cut-off, renormalisation; and what is behind the head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CohereConfig, FalconH1Config, Gemma2Config, GraniteConfig, LlamaConfig

from rise_store.errors import ModelError
from rise_store.signature import EstimatorConfig
from rise_store.signature.support import full_slots, residual
from rise_store.signature.transform import LogitTransform
from tests.signature import reference


def dense_residual(logits: list[float], target: int, **options: float) -> np.ndarray:
    """The residual of one position as a vector over the vocabulary."""
    config = EstimatorConfig(**{"tau": 1.0, "min_top_k": 1, **options})
    k = min(config.top_k, len(logits))
    z = torch.tensor([logits])
    r = residual(full_slots(z, k), torch.tensor([target]), z[:, target], config, LogitTransform(), k)
    return torch.zeros(len(logits)).scatter_add_(0, r.entries[0], r.values[0]).numpy()


def test_a_target_inside_the_support_keeps_its_slot() -> None:
    p = np.exp([2.0, 1.0, 0.0]) / np.exp([2.0, 1.0, 0.0]).sum()
    r = dense_residual([1.0, 2.0, -9.0, 0.0], 3, top_k=3, top_p=1.0)
    np.testing.assert_allclose(r, [p[1], p[0], 0.0, p[2] - 1.0], atol=1e-6)


def test_a_target_outside_the_support_replaces_the_smallest_slot() -> None:
    p = np.exp([2.0, 1.0, -3.0]) / np.exp([2.0, 1.0, -3.0]).sum()
    r = dense_residual([1.0, 2.0, -3.0, 0.0], 2, top_k=3, top_p=1.0)
    np.testing.assert_allclose(r, [p[1], p[0], p[2] - 1.0, 0.0], atol=1e-6)


def test_the_cut_off_keeps_the_smallest_sufficient_prefix_and_the_target() -> None:
    logits = np.log([0.5, 0.3, 0.15, 0.04, 0.01]).tolist()
    np.testing.assert_allclose(dense_residual(logits, 0, top_p=0.75), [0.5 / 0.8 - 1, 0.3 / 0.8, 0, 0, 0], atol=1e-6)
    r = dense_residual(logits, 4, top_p=0.75)
    np.testing.assert_allclose(r, [0.5 / 0.81, 0.3 / 0.81, 0, 0, 0.01 / 0.81 - 1], atol=1e-6)


@pytest.mark.parametrize(("least", "kept"), [(1, 1), (2, 2), (3, 3), (4, 4)])
def test_no_fewer_slots_than_asked_are_kept(least: int, kept: int) -> None:
    logits = np.log([0.9, 0.05, 0.03, 0.01, 0.01 - 1e-6]).tolist()
    assert np.count_nonzero(dense_residual(logits, 0, top_p=0.5, min_top_k=least)) == (kept if kept > 1 else 0)
    assert np.count_nonzero(dense_residual(logits, 4, top_p=0.5, min_top_k=least)) == kept + 1


def test_a_single_slot_is_taken_by_the_target() -> None:
    assert dense_residual([3.0, 1.0, 2.0], 1, top_k=1).tolist() == [0.0, 0.0, 0.0]


@settings(max_examples=200, deadline=None, database=None)
@given(
    v=st.integers(2, 80),
    top_k=st.integers(1, 100),
    spread=st.sampled_from([0.1, 1.0, 5.0]),
    top_p=st.sampled_from([0.3, 0.92, 1.0]),
    seed=st.integers(0, 2**31),
    data=st.data(),
)
def test_residuals_equal_the_reference(
    v: int, top_k: int, spread: float, top_p: float, seed: int, data: st.DataObject
) -> None:
    least = data.draw(st.integers(1, top_k))
    target = data.draw(st.integers(0, v - 1))
    logits = (torch.randn(v, generator=torch.Generator().manual_seed(seed)) * spread).tolist()
    config = reference.ReferenceConfig(tau=1.0, top_k=top_k, cutoff=top_p, min_slots=least)
    scaled = np.array(logits)
    kept = {
        tuple(reference.reference_support(scaled, target, replace(config, cutoff=cutoff))[0])
        for cutoff in (top_p - 1e-5, top_p, top_p + 1e-5)
    }
    if len(kept) > 1 and top_p < 1.0:
        return  # rounding decides what is kept; at 1.0 too, but of what carries no weight
    r = dense_residual(logits, target, top_k=top_k, top_p=top_p, min_top_k=least)
    np.testing.assert_allclose(r, reference.reference_residual(scaled, target, config), atol=5e-6)
    assert abs(float(r.sum())) < 1e-5, "the residual sums to zero"


@pytest.mark.parametrize(
    ("config", "transform"),
    [
        (LlamaConfig(), LogitTransform()),
        (CohereConfig(logit_scale=0.0625), LogitTransform(scale=0.0625)),
        (GraniteConfig(logits_scaling=8.0), LogitTransform(scale=0.125)),
        (FalconH1Config(lm_head_multiplier=0.5), LogitTransform(scale=0.5)),
        (Gemma2Config(final_logit_softcapping=30.0), LogitTransform(cap=30.0)),
        (Gemma2Config(final_logit_softcapping=None), LogitTransform()),
    ],
)
def test_a_models_configuration_says_what_is_behind_its_head(config: object, transform: LogitTransform) -> None:
    assert LogitTransform.of(config) == transform


def test_a_scale_that_reverses_the_order_of_logits_is_refused() -> None:
    with pytest.raises(ModelError, match="must be positive"):
        LogitTransform.of(CohereConfig(logit_scale=-1.0))


@settings(max_examples=100, deadline=None, database=None)
@given(
    z=st.floats(-200, 200, width=32),
    scale=st.sampled_from([0.25, 1.0, 4.0]),
    cap=st.sampled_from([None, 1.0, 30.0]),
    tau=st.floats(0.01, 10),
)
def test_the_inverse_cuts_off_no_logit_that_can_matter(z: float, scale: float, cap: float | None, tau: float) -> None:
    """What lies below the inverse of a wanted logit stays below that logit, or below all that the cap lets through."""
    transform = LogitTransform(scale, cap)
    wanted = float(transform(torch.tensor(z)) - 22.2 * tau)
    reach = transform.inverse(torch.tensor(wanted)).double()
    below = reach - 1e-5 * max(1.0, abs(float(reach))) if torch.isfinite(reach) else reach
    lowest = wanted if cap is None else max(wanted, -cap)
    assert float(transform(below)) <= lowest + 1e-5 * max(1.0, abs(lowest))
