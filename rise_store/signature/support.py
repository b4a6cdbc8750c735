"""The support of a position: which vocabulary entries carry its probability (DESIGN section 2, step 2).

The published estimator takes the K largest logits of all V. Two exact ways to find them faster, both by the
maxima of blocks of BLOCK entries:

- `threshold_slots` (CPU): at a small temperature only logits within `MARGIN * tau` of the largest can matter to
  float32, so only blocks that reach this threshold are looked into. Where more than K might reach it (a large
  temperature), the threshold rises to the K-th largest block maximum, below which no top-K entry can lie.
- `two_stage_slots` (GPU): the K blocks of largest maximum hold the top K entries; no host synchronisation.

Both work on raw logits: what a model applies after its head (scale, soft-capping) is increasing and keeps the order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rise_store.records import EstimatorConfig
from rise_store.signature.transform import LogitTransform

# 256 * exp(-22.2) is the rounding error of a float32 sum of about 1: what lies below cannot change it.
MARGIN = 22.2  # nats
BLOCK = 32  # vocabulary entries in a block


@dataclass(frozen=True)
class Slots:
    """The largest logits of T positions, descending; empty slots hold -inf and vocabulary entry 0."""

    logits: Tensor  # (T, C) float32, raw: before scale, soft-capping and temperature
    entries: Tensor  # (T, C) int64


def block_maxima(logits: Tensor) -> Tensor:
    """Maximum of each block: (T, V) -> (T, nb), or nb + 1 where V is no multiple of BLOCK.

    Block j holds entries j, j + nb, j + 2 nb ...: this order reduces along contiguous memory, measured at
    4 to 8 us a row of 49,152 against 5 to 44 us for neighbouring entries and 85 us for a full top-256.
    """
    v = logits.shape[1]
    nb = v // BLOCK
    maxima: Tensor = logits[:, : nb * BLOCK].view(-1, BLOCK, nb).amax(dim=1)
    if v % BLOCK:
        maxima = torch.cat([maxima, logits[:, nb * BLOCK :].amax(dim=1, keepdim=True)], dim=1)
    return maxima


def block_entries(blocks: Tensor, v: int) -> tuple[Tensor, Tensor]:
    """Vocabulary entries of blocks: (...,) -> entries (..., BLOCK) int64 and which of them exist."""
    nb = v // BLOCK
    steps = torch.arange(BLOCK, device=blocks.device)
    entries = torch.where(blocks.unsqueeze(-1) < nb, blocks.unsqueeze(-1) + steps * nb, nb * BLOCK + steps)
    exist = entries < v
    return entries.clamp_(max=v - 1), exist


def full_slots(logits: Tensor, k: int) -> Slots:
    """The k largest of each row by looking at every entry: (T, V) -> (T, k)."""
    values, entries = logits.topk(k, dim=-1)
    return Slots(values.to(torch.float32), entries)


def two_stage_slots(logits: Tensor, k: int) -> Slots:
    """The k largest of each row: the k best blocks, then the k best entries in them; (T, V) -> (T, k)."""
    v = logits.shape[1]
    maxima = block_maxima(logits)  # (T, nb)
    best = maxima.topk(k, dim=-1, sorted=False).indices  # (T, k)
    entries, exist = block_entries(best, v)
    entries = entries.flatten(1)  # (T, k * BLOCK)
    values = logits.gather(1, entries).masked_fill_(~exist.flatten(1), -torch.inf)
    top, where = values.topk(k, dim=-1)
    return Slots(top.to(torch.float32), entries.gather(1, where))


def threshold_slots(logits: Tensor, k: int, least: int, tau: float, transform: LogitTransform) -> Slots:
    """Those of the k largest of each row that can matter at temperature tau, `least` at the fewest.

    (T, V) -> (T, C) with C <= k: the k largest, less a tail whose probability is below float32 rounding.
    """
    rows, v = logits.shape
    maxima = block_maxima(logits)  # (T, nb)
    top = maxima.topk(least, dim=-1).values.to(torch.float32)  # (T, least)
    reach = transform.inverse(transform(top[:, 0]) - MARGIN * tau)  # (T,) raw logit that can still matter
    # `least` blocks have a maximum of at least the last of `top`, so as many entries reach it.
    threshold = torch.minimum(reach, top[:, -1]).to(logits.dtype)  # (T,)
    active = maxima >= threshold.unsqueeze(1)  # (T, nb)
    crowded = active.sum(dim=1) > k
    if bool(crowded.any()):
        kth = maxima[crowded].topk(k, dim=-1).values[:, -1]
        threshold[crowded] = torch.maximum(threshold[crowded], kth)
        active = maxima >= threshold.unsqueeze(1)
    row, block = active.nonzero(as_tuple=True)  # (A,) each
    entries, exist = block_entries(block, v)  # (A, BLOCK)
    values = logits.flatten()[row.unsqueeze(1) * v + entries]  # (A, BLOCK)
    reaches = exist & (values >= threshold[row].unsqueeze(1))
    row = row.unsqueeze(1).expand_as(entries)[reaches]  # (N,) ascending
    counts = torch.bincount(row, minlength=rows)  # (T,)
    first = counts.cumsum(0) - counts  # (T,)
    column = torch.arange(len(row)) - first[row]  # (N,)
    width = max(1, int(counts.max()))
    padded = torch.full((rows, width), -torch.inf)  # (T, C)
    padded[row, column] = values[reaches].to(torch.float32)
    padded_entries = torch.zeros((rows, width), dtype=torch.int64)
    padded_entries[row, column] = entries[reaches]
    sorted_values, where = padded.topk(min(k, width), dim=-1)
    # NaN reaches no threshold and would vanish here; its rows have to end in a signature that is refused.
    sorted_values[~torch.isfinite(top[:, 0])] = torch.nan
    return Slots(sorted_values, padded_entries.gather(1, where))


def largest_slots(logits: Tensor, config: EstimatorConfig, transform: LogitTransform) -> Slots:
    """The slots of a block of positions by the way that suits the device: (T, V) -> (T, C), C <= min(top_k, V)."""
    v = logits.shape[1]
    k = min(config.top_k, v)
    if v // BLOCK <= k:
        return full_slots(logits, k)
    if logits.device.type == "cpu":
        return threshold_slots(logits, k, config.min_top_k, config.tau, transform)
    return two_stage_slots(logits, k)


@dataclass(frozen=True)
class Residual:
    """The residual `p - onehot(y)` of T positions on their kept slots; dropped slots hold 0."""

    values: Tensor  # (T, C) float32
    entries: Tensor  # (T, C) int64
    surprisal: Tensor  # (T,) float32, -log p(y) in nats over the support, before the cut-off

    def weighed(self, config: EstimatorConfig) -> Residual:
        """What is sketched: the residual, times the root of its surprisal if positions count by that."""
        if config.position_weighting != "surprisal":
            return self
        return replace(self, values=self.values * self.surprisal.sqrt().unsqueeze(1))


def residual(
    slots: Slots, targets: Tensor, target_logits: Tensor, config: EstimatorConfig, transform: LogitTransform, k: int
) -> Residual:
    """Softmax over the support, adaptive cut-off, renormalisation and residual (DESIGN section 2, steps 2 and 3).

    Args:
        slots: the largest logits, (T, C) with C <= k; an absent slot has no weight.
        targets: next tokens, (T,) int64.
        target_logits: their raw logits, (T,).
        config: tau, top_p and min_top_k.
        transform: what the model applies after its head.
        k: slots of the support, min(top_k, V).
    """
    logits, entries = slots.logits, slots.entries
    found = (entries == targets.unsqueeze(1)) & (logits > -torch.inf)  # (T, C)
    missing = ~found.any(dim=1)  # (T,)
    # The target takes the last slot where it has none. Rows with fewer than k slots left are those whose smallest
    # slots were dropped as weightless: there it takes a slot of its own.
    if logits.shape[1] < k:
        logits = torch.cat([logits, logits.new_full((len(logits), 1), -torch.inf)], dim=1)
        entries = torch.cat([entries, entries.new_zeros((len(entries), 1))], dim=1)
    logits[:, -1] = torch.where(missing, target_logits.to(torch.float32), logits[:, -1])
    entries[:, -1] = torch.where(missing, targets, entries[:, -1])
    is_target = (entries == targets.unsqueeze(1)) & (logits > -torch.inf)

    s = transform(logits) / config.tau  # (T, C)
    below_largest = s - s.amax(dim=1, keepdim=True)  # (T, C)
    ex = torch.exp(below_largest)
    total = ex.sum(dim=1, keepdim=True) + 1e-8  # (T, 1)
    p = ex / total  # (T, C)
    surprisal = total.squeeze(1).log() - below_largest.masked_fill(~is_target, 0).sum(dim=1)  # (T,)
    below = p.cumsum(dim=1) < config.top_p
    prefix = (below.sum(dim=1, keepdim=True) + 1).clamp_(min=config.min_top_k)  # (T, 1)
    kept = (torch.arange(p.shape[1], device=p.device) < prefix) | is_target
    p = torch.where(kept, p, 0.0)
    p = p / p.sum(dim=1, keepdim=True)
    return Residual(p - is_target.to(p.dtype), entries, surprisal.clamp(min=0))
