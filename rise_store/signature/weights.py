"""Values of a model's parameters, also when they are offloaded, and a fingerprint of them."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from rise_store.digests import json_sha256

PROBED_ROWS = 512  # rows of the unembedding
PROBED_VALUES = 4096  # values of each parameter


def weight_of(module: nn.Module, name: str = "weight") -> Tensor | None:
    """A parameter's values, on the device where the module computes, also when they are offloaded."""
    parameter: Tensor | None = getattr(module, name, None)
    if parameter is None:
        return None
    if parameter.device.type != "meta":
        return parameter.detach()
    from accelerate.utils import align_module_device

    with align_module_device(module):
        aligned: Tensor = getattr(module, name)
        return aligned.detach().clone()


def weights_fingerprint(model: Any) -> str:
    """Digest of a model's weights: the same in float32 and bfloat16, and wherever the weights lie.

    Weights are probed by extremes: the largest and smallest of some rows of the unembedding and of the leading values
    of every parameter, rounded to bfloat16. Rounding keeps order, so a checkpoint loaded in float32 and in bfloat16
    agrees to the bit. Names are left out: they change between releases of transformers.
    """
    parts = []
    for module in model.modules():
        for name, _ in module.named_parameters(recurse=False):
            values = weight_of(module, name)
            if values is not None and values.is_floating_point():
                parts.append(_extremes(values.flatten()[:PROBED_VALUES].unsqueeze(0)))
    head = model.get_output_embeddings()
    unembedding = weight_of(head) if head is not None else None
    if unembedding is not None:
        v = len(unembedding)
        rows = torch.linspace(0, v - 1, min(v, PROBED_ROWS), dtype=torch.float64).long()
        parts.append(_extremes(unembedding[rows.to(unembedding.device)]))
    return json_sha256(sorted(set(parts)))


def _extremes(rows: Tensor) -> str:
    """Hexadecimal bits of the largest and smallest value of each row, as bfloat16: (n, m) -> 2 n values."""
    extremes = torch.cat([rows.amax(dim=1), rows.amin(dim=1)]).to(torch.bfloat16)
    bits: bytes = extremes.cpu().contiguous().view(torch.int16).numpy().tobytes()
    return hashlib.sha256(bits).hexdigest()
