"""The fast ways to the support of a position find what a full top-k finds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rise_store.signature import EstimatorConfig
from rise_store.signature.support import (
    BLOCK,
    Slots,
    full_slots,
    largest_slots,
    residual,
    threshold_slots,
    two_stage_slots,
)
from rise_store.signature.transform import LogitTransform

WEIGHTLESS = 256 * math.exp(-22)  # share of a position's probability that float32 cannot see


@dataclass(frozen=True)
class Case:
    """Random raw logits, with settings under which the fast ways may run."""

    logits: Tensor  # (T, V)
    k: int
    least: int
    tau: float
    transform: LogitTransform


@st.composite
def cases(draw: st.DrawFn, *, ties: bool = True) -> Case:
    """Any logits and settings; without `ties`, entries of equal logits are rare."""
    k = draw(st.integers(1, 40))
    v = draw(st.integers(BLOCK * (k + 1), BLOCK * (k + 40)))
    spread = draw(st.sampled_from([0.01, 0.3, 3.0, 30.0]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    logits = torch.randn(draw(st.integers(1, 5)), v, generator=generator) * spread + draw(st.floats(-20, 20))
    if draw(st.booleans()):  # a few far above the rest
        logits[:, torch.randint(0, v, (3,), generator=generator)] += 10 * spread
    if ties and draw(st.booleans()):
        logits = (logits / spread).round() * spread
    return Case(
        logits=logits.to(draw(st.sampled_from([torch.float32, torch.bfloat16]))) if ties else logits,
        k=k,
        least=draw(st.integers(1, k)),
        tau=draw(st.floats(0.01, 10)),
        transform=LogitTransform(
            scale=draw(st.sampled_from([1.0, 0.25, 4.0])), cap=draw(st.sampled_from([None, 2.0, 30.0]))
        ),
    )


def thorough(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, database=None)


def assert_slots_exist(slots: Slots, logits: Tensor) -> None:
    """Each slot names an entry with this very logit, none twice, the largest first."""
    held = slots.logits > -torch.inf
    assert torch.equal(logits.float().gather(1, slots.entries)[held], slots.logits[held])
    assert bool((slots.logits[:, :-1] >= slots.logits[:, 1:]).all())
    for entries, present in zip(slots.entries, held, strict=True):
        assert len(set(entries[present].tolist())) == int(present.sum())


@thorough(150)
@given(cases())
def test_two_stages_find_the_k_largest(case: Case) -> None:
    slots = two_stage_slots(case.logits, case.k)
    assert_slots_exist(slots, case.logits)
    assert torch.equal(slots.logits, case.logits.float().topk(case.k, dim=1).values)


@thorough(300)
@given(cases())
def test_a_threshold_finds_those_of_the_k_largest_that_carry_weight(case: Case) -> None:
    slots = threshold_slots(case.logits, case.k, case.least, case.tau, case.transform)
    assert_slots_exist(slots, case.logits)
    full = case.logits.float().topk(case.k, dim=1).values  # (T, k)
    width = slots.logits.shape[1]
    assert width <= case.k
    found = torch.full_like(full, -torch.inf)
    found[:, :width] = slots.logits
    held = found > -torch.inf
    assert torch.equal(found[held], full[held]), "a beginning of the full top-k"
    assert bool((held.sum(dim=1) >= case.least).all())
    s = case.transform(full).double() / case.tau
    lost = torch.where(held, 0.0, s.softmax(dim=1)).sum(dim=1)
    assert lost.max().item() <= WEIGHTLESS


def dense(case: Case, slots: Slots, targets: Tensor, config: EstimatorConfig) -> Tensor:
    """The residual as vectors over the vocabulary, (T, V)."""
    target_logits = case.logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    r = residual(slots, targets, target_logits, config, case.transform, case.k)
    return torch.zeros(case.logits.shape).scatter_add_(1, r.entries, r.values)


def decided(case: Case, targets: Tensor, config: EstimatorConfig, *, ties: bool) -> Tensor:
    """Rows where neither rounding at the cut-off nor a tie decides what is kept. (T,)"""
    top = case.logits.double().topk(case.k + 1, dim=1)
    full = top.values[:, : case.k].clone()
    missing = ~(top.indices[:, : case.k] == targets.unsqueeze(1)).any(dim=1)
    own = case.logits.double().gather(1, targets.unsqueeze(1)).squeeze(1)
    full[:, -1] = torch.where(missing, own, full[:, -1])
    cumulative = (case.transform(full) / case.tau).softmax(dim=1).cumsum(dim=1)
    clear = ((cumulative - config.top_p).abs() > 1e-5).all(dim=1)
    if ties:  # only whether the target itself is in is open: among the k largest, and in front of the cut-off
        last = (cumulative < config.top_p).sum(dim=1, keepdim=True).clamp(case.least - 1, case.k - 1)
        return clear & (own != top.values[:, case.k - 1]) & (own != full.gather(1, last).squeeze(1))
    return clear & (top.values[:, :-1] > top.values[:, 1:]).all(dim=1)


def both_ways(case: Case) -> list[Slots]:
    return [
        two_stage_slots(case.logits, case.k),
        threshold_slots(case.logits, case.k, case.least, case.tau, case.transform),
    ]


@thorough(200)
@given(cases(ties=False), st.sampled_from([0.5, 0.92, 0.999]), st.booleans(), st.data())
def test_residuals_do_not_depend_on_the_way_to_the_support(
    case: Case, top_p: float, inside: bool, data: st.DataObject
) -> None:
    config = EstimatorConfig(tau=case.tau, top_k=case.k, min_top_k=case.least, top_p=top_p)
    rows, v = case.logits.shape
    if inside:
        targets = case.logits.topk(case.k, dim=1).indices[:, data.draw(st.integers(0, case.k - 1))]
    else:
        targets = torch.tensor(data.draw(st.lists(st.integers(0, v - 1), min_size=rows, max_size=rows)))
    full = dense(case, full_slots(case.logits, case.k), targets, config)
    rows_kept = decided(case, targets, config, ties=False)
    for slots in both_ways(case):
        r = dense(case, slots, targets, config)
        torch.testing.assert_close(r[rows_kept], full[rows_kept], atol=2e-6, rtol=1e-5)


@thorough(200)
@given(cases(), st.data())
def test_residual_values_survive_ties(case: Case, data: st.DataObject) -> None:
    """Which of several equal entries is kept is open; how much weight lies where is not."""
    config = EstimatorConfig(tau=case.tau, top_k=case.k, min_top_k=case.least, top_p=0.92)
    rows, v = case.logits.shape
    targets = torch.tensor(data.draw(st.lists(st.integers(0, v - 1), min_size=rows, max_size=rows)))
    full = dense(case, full_slots(case.logits, case.k), targets, config).sort(dim=1).values
    rows_kept = decided(case, targets, config, ties=True)
    for slots in both_ways(case):
        r = dense(case, slots, targets, config).sort(dim=1).values
        torch.testing.assert_close(r[rows_kept], full[rows_kept], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("v", [BLOCK, BLOCK + 1, 10 * BLOCK - 1, 257 * BLOCK + 5])
def test_any_vocabulary_size_has_its_support(v: int) -> None:
    logits = torch.randn(3, v, generator=torch.Generator().manual_seed(v))
    slots = largest_slots(logits, EstimatorConfig(tau=10.0), LogitTransform())
    expected = logits.topk(min(256, v), dim=1)
    assert torch.equal(slots.logits, expected.values)
    assert torch.equal(slots.entries, expected.indices)


def test_a_small_temperature_leaves_a_handful_of_slots() -> None:
    logits = torch.randn(20, 10_000, generator=torch.Generator().manual_seed(0)) * 4
    slots = threshold_slots(logits, 256, 4, 0.1, LogitTransform())
    assert np.median((slots.logits > -torch.inf).sum(dim=1).numpy()) < 30
