"""The estimator, literally: one position after the other, in float64, with numpy.

Written from the text of the design alone and never tuned to agree with `rise_store.signature`. It is slow on purpose:
each function is one numbered step of the text, so that a reader can hold the two side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class ReferenceConfig:
    """The numbers that the text names, with the published defaults."""

    tau: float = 0.1
    top_k: int = 256
    cutoff: float = 0.92
    min_slots: int = 4
    k_r: int = 128
    k_h: int = 128
    k_g: int = 64
    lambda_rh: float = 1.0
    lambda_gh: float = 0.3
    seed: int = 42
    weighting: str = "uniform"


@dataclass(frozen=True)
class ReferenceTable:
    """One CountSketch: a bucket and a sign for each input coordinate."""

    buckets: np.ndarray  # (n,)
    signs: np.ndarray  # (n,)
    out_dim: int

    def sketch(self, x: np.ndarray) -> np.ndarray:
        """CS(x)_j = sum over i with b(i) = j of s(i) x_i."""
        out = np.zeros(self.out_dim)
        for i in np.flatnonzero(x):
            out[self.buckets[i]] += self.signs[i] * x[i]
        return out


def draw_table(n: int, out_dim: int, seed: int) -> ReferenceTable:
    """Step 4: buckets first, then signs, from one CPU generator."""
    generator = torch.Generator().manual_seed(seed)
    buckets = torch.randint(0, out_dim, (n,), dtype=torch.int64, generator=generator)
    bits = torch.randint(0, 2, (n,), dtype=torch.int64, generator=generator)
    return ReferenceTable(buckets.numpy(), np.where(bits.numpy() == 1, 1.0, -1.0), out_dim)


def reference_support(scaled: np.ndarray, target: int, config: ReferenceConfig) -> tuple[list[int], np.ndarray]:
    """Step 2: the token ids of the kept slots in descending slot order, and their renormalised probabilities."""
    k = min(config.top_k, len(scaled))
    slots = [int(v) for v in np.argsort(-scaled, kind="stable")[:k]]
    if target not in slots:
        slots[-1] = target
    ex = np.exp(scaled[slots] - max(scaled[slots]))
    p = ex / (ex.sum() + 1e-8)

    prefix, mass = 0, 0.0
    for probability in p:
        prefix, mass = prefix + 1, mass + probability
        if mass >= config.cutoff:
            break
    prefix = min(max(prefix, config.min_slots), k)

    kept = [j for j in range(k) if j < prefix or slots[j] == target]
    return [slots[j] for j in kept], p[kept] / p[kept].sum()


def reference_residual(scaled: np.ndarray, target: int, config: ReferenceConfig) -> np.ndarray:
    """Step 3: r = p - onehot(y) on the kept slots, as a vector over the vocabulary. (V,)"""
    tokens, p = reference_support(scaled, target, config)
    r = np.zeros(len(scaled))
    for token, probability in zip(tokens, p, strict=True):
        r[token] = probability
    r[target] -= 1.0
    return r


def reference_surprisal(scaled: np.ndarray, target: int, config: ReferenceConfig) -> float:
    """-log p(y) in nats, p being the softmax over the support before it is cut off."""
    slots = [int(v) for v in np.argsort(-scaled, kind="stable")[: min(config.top_k, len(scaled))]]
    if target not in slots:
        slots[-1] = target
    return float(np.log(np.exp(scaled[slots] - scaled.max()).sum()) + scaled.max() - scaled[target])


def unit(x: np.ndarray) -> np.ndarray:
    """Step 5: x / max(|x|, 1e-8)."""
    return x / max(np.linalg.norm(x), 1e-8)


def chunk_signature(
    hidden: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    transform: Callable[[np.ndarray], np.ndarray],
    token_ids: Sequence[int],
    loss_start: int = 1,
    config: ReferenceConfig | None = None,
) -> np.ndarray:
    """Steps 1 to 6 for one chunk of L tokens. hidden: (L, D), weight: (V, D), bias: (V,) -> (Kh * (Kr + Kg),)"""
    config = config or ReferenceConfig()
    vocabulary, width = weight.shape
    table_h = draw_table(width, config.k_h, config.seed)
    table_g = draw_table(width, config.k_g, config.seed + 1)
    table_r = draw_table(vocabulary, config.k_r, config.seed + 2)

    rh = np.zeros((config.k_r, config.k_h))
    gh = np.zeros((config.k_g, config.k_h))
    for t in range(len(token_ids) - 1):
        if t + 1 < loss_start:
            continue
        target = token_ids[t + 1]
        z = weight @ hidden[t]
        if bias is not None:
            z = z + bias
        r = reference_residual(transform(z) / config.tau, target, config)
        g = weight.T @ r
        h_hat = unit(table_h.sketch(hidden[t]))
        r_hat, g_hat = table_r.sketch(r), table_g.sketch(g)
        if config.weighting == "uniform":
            r_hat, g_hat = unit(r_hat), unit(g_hat)
        elif config.weighting == "surprisal":
            root = np.sqrt(reference_surprisal(transform(z) / config.tau, target, config))
            r_hat, g_hat = root * r_hat, root * g_hat
        rh += np.outer(r_hat, h_hat)
        gh += np.outer(g_hat, h_hat)
    return unit(np.concatenate([config.lambda_rh * rh.ravel(), config.lambda_gh * gh.ravel()]))


def windows(count: int, size: int = 256, overlap: int = 50) -> list[tuple[int, int]]:
    """Step 7: windows of 256 tokens every 206; those under 2 tokens dropped; at most 256 tokens make one chunk."""
    if count <= size:
        return [(0, count)] if count >= 2 else []
    spans = []
    start = 0
    while start < count:
        end = min(start + size, count)
        if end - start >= 2:
            spans.append((start, end))
        start += size - overlap
    return spans


def example_signature(chunk_signatures: Sequence[np.ndarray]) -> np.ndarray:
    """Step 7: chunk signatures rounded to float16, averaged in float32, L2-normalised."""
    rounded = [signature.astype(np.float16).astype(np.float32) for signature in chunk_signatures]
    total = np.zeros_like(rounded[0])
    for signature in rounded:
        total = total + signature
    average = total / np.float32(len(rounded))
    return average / max(float(np.linalg.norm(average)), 1e-8)


def query_loss_start(prompt_tokens: int, ids: int) -> int:
    """Step 8: the first index of a token whose prediction counts."""
    return max(1, min(prompt_tokens, ids - 1))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The cosine of two vectors, in float64."""
    a, b = np.asarray(a, dtype=np.float64).ravel(), np.asarray(b, dtype=np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
