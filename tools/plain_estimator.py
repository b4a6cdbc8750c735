"""The estimator the plain way: what the benchmark compares with, and no part of the package.

One padded batch, the logits of every position at once, `torch.topk` over the whole vocabulary, dense gathers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rise_store.records import EstimatorConfig
from rise_store.signature import SketchTables


@torch.inference_mode()
def plain_signatures(model: Any, chunks: list[list[int]], config: EstimatorConfig, tables: SketchTables) -> Tensor:
    """Signatures of chunks that fit one batch: (B, dim) float32."""
    weight = model.get_output_embeddings().weight  # (V, D)
    v, length = len(weight), max(map(len, chunks))
    ids = torch.tensor([chunk + [0] * (length - len(chunk)) for chunk in chunks])  # (B, L)
    mask = torch.tensor([[1] * len(chunk) + [0] * (length - len(chunk)) for chunk in chunks])
    hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
    h, y = hidden.flatten(0, 1), ids[:, 1:].flatten()  # (T, D), (T,)
    s = (h @ weight.T).float() / config.tau  # (T, V)

    k = min(config.top_k, v)
    top, entries = s.topk(k, dim=1)  # (T, k)
    missing = ~(entries == y[:, None]).any(dim=1)
    top[:, -1] = torch.where(missing, s.gather(1, y[:, None])[:, 0], top[:, -1])
    entries[:, -1] = torch.where(missing, y, entries[:, -1])
    ex = torch.exp(top - top.amax(dim=1, keepdim=True))
    p = ex / (ex.sum(dim=1, keepdim=True) + 1e-8)
    prefix = ((p.cumsum(dim=1) < config.top_p).sum(dim=1, keepdim=True) + 1).clamp(min=config.min_top_k)
    onehot = entries == y[:, None]
    p = torch.where((torch.arange(k) < prefix) | onehot, p, 0.0)
    r = p / p.sum(dim=1, keepdim=True) - onehot.float()  # (T, k)

    sketched = weight.float() @ tables.error.matrix()  # (V, kg)
    g_sketch = (r[:, :, None] * sketched[entries]).sum(dim=1)  # (T, kg)
    r_sketch = torch.zeros(len(r), config.kr)
    r_sketch.scatter_add_(1, tables.residual.bucket[entries], r * tables.residual.sign[entries])
    h_sketch = tables.hidden.apply(h.float())  # (T, kh)

    counts = mask[:, 1:].flatten().float()[:, None]
    unit = [x / x.norm(dim=1, keepdim=True).clamp(min=1e-8) * counts for x in (r_sketch, g_sketch, h_sketch)]
    r_hat, g_hat, h_hat = (x.view(len(chunks), length - 1, -1) for x in unit)
    rh = torch.einsum("btr,bth->brh", r_hat, h_hat).flatten(1) * config.lambda_rh
    gh = torch.einsum("btg,bth->bgh", g_hat, h_hat).flatten(1) * config.lambda_gh
    signature = torch.cat([rh, gh], dim=1)
    norm: Tensor = signature.norm(dim=1, keepdim=True)
    return signature / norm
