"""The length of the true loss gradient at the LM head, without making the gradient.

The mean loss of T positions has at the LM head W [V, D] the gradient `G = 1/T sum_t r_t (x) h_t`, with
`r_t = f'(z_t) (softmax(f(z_t)) - onehot(y_t))` over the whole vocabulary, z the raw logits and f what the model applies
behind its head. So `|G|^2 = 1/T^2 sum_{t,s} <r_t, r_s> <h_t, h_s>`: two Gram matrices [T, T]. It is exact, without
sketches, temperature or cut-off, and unlike a signature it keeps its length.

With `a_t = f'(z_t) softmax(f(z_t))` and `c_t = f'(z_t)[y_t]`,
`<r_t, r_s> = <a_t, a_s> - a_t[y_s] c_s - a_s[y_t] c_t + [y_t = y_s] c_t c_s`. The first term is summed over slices of
the vocabulary against a running maximum, so that [T, V] never exists.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rise_store.signature.readout import Readout
from rise_store.signature.transform import LogitTransform

SLICE = 8192  # vocabulary entries whose logits are in memory at a time


@dataclass(frozen=True)
class LossGradient:
    """The mean loss of some positions, and how long its gradient at the LM head is."""

    squared_length: float
    loss: float  # nats a position
    positions: int


def loss_gradient(readout: Readout, hidden: Tensor, targets: Tensor) -> LossGradient:
    """Mean loss and squared length of its gradient at the LM head's weight.

    Args:
        readout: the LM head and what follows it; a tied embedding counts as the head alone.
        hidden: what the LM head consumes, (T, D).
        targets: the token that each position predicts, (T,) int64.
    """
    transform = readout.transform
    states = hidden.to(torch.float32)  # (T, D)
    count = len(states)
    largest = states.new_full((count,), -torch.inf)  # (T,) of the logits so far
    total = states.new_zeros(count)  # (T,) sum of exp(f(z) - largest)
    products = states.new_zeros(count, count)  # (T, T) <a_t, a_s>, both scaled like the sums
    for start in range(0, readout.vocabulary_size, SLICE):
        raw = _raw_logits(readout, hidden, slice(start, start + SLICE))  # (T, S)
        z = transform(raw)
        higher = torch.maximum(largest, z.amax(dim=1))
        shrink = torch.exp(largest - higher)  # (T,) 0 at first
        e = torch.exp(z - higher.unsqueeze(1))  # (T, S)
        total = total * shrink + e.sum(dim=1)
        scaled = e * derivative(transform, z)
        products = products * shrink.unsqueeze(1) * shrink + scaled @ scaled.T
        largest = higher
    at_targets = transform(_raw_logits(readout, hidden, targets))  # (T, T) [t, s]: f(z_t)[y_s]
    normaliser = largest + total.log()  # (T,)
    slope = derivative(transform, at_targets)  # (T, T)
    a = (torch.exp(at_targets - normaliser.unsqueeze(1)) * slope).to(torch.float64)  # (T, T) a_t[y_s]
    c = slope.diagonal().to(torch.float64)  # (T,)
    crossed = a * c  # (T, T) a_t[y_s] c_s
    same = targets.unsqueeze(1) == targets  # (T, T)
    residuals = products.to(torch.float64) / torch.outer(total, total) - crossed - crossed.T + same * torch.outer(c, c)
    states = states.to(torch.float64)
    squared = float((residuals * (states @ states.T)).sum()) / count**2
    loss = float((normaliser - at_targets.diagonal()).mean())
    return LossGradient(max(squared, 0.0) if squared == squared else squared, loss, count)


def derivative(transform: LogitTransform, z: Tensor) -> Tensor:
    """The slope of the transform where it gave z, elementwise: `scale`, or `scale (1 - (z / cap)^2)` with a cap."""
    if transform.cap is None:
        return torch.full_like(z, transform.scale)
    return (1 - (z / transform.cap) ** 2) * transform.scale


def _raw_logits(readout: Readout, hidden: Tensor, rows: slice | Tensor) -> Tensor:
    weight = readout.weight[rows]  # (S, D)
    logits = (hidden.to(weight.dtype) @ weight.T).to(torch.float32)  # (T, S)
    return logits if readout.bias is None else logits + readout.bias[rows].to(torch.float32)
