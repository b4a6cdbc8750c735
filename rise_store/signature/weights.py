"""Values of a model's parameters, also when they are offloaded, and a fingerprint of them."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from rise_store.digests import canonical_json

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

    Every parameter is probed at up to `PROBED_VALUES` evenly spaced places, each value rounded to bfloat16, so a
    checkpoint loaded in float32 and in bfloat16 agrees to the bit. Parameters count in the order of their modules,
    without names, which change between releases of transformers.
    """
    digest = hashlib.sha256()
    for module in model.modules():
        for name, _ in module.named_parameters(recurse=False):
            values = weight_of(module, name)
            if values is not None and values.is_floating_point():
                digest.update(canonical_json(list(values.shape)))
                digest.update(_probe(values))
    return digest.hexdigest()


def _probe(values: Tensor) -> bytes:
    """Bits of evenly spaced values as bfloat16, the first and the last among them."""
    flat = values.flatten()
    count = min(flat.numel(), PROBED_VALUES)
    places = torch.arange(count) * (flat.numel() - 1) // max(count - 1, 1)  # (count,)
    probed = flat[places.to(flat.device)].to(torch.bfloat16)
    bits: bytes = probed.cpu().contiguous().view(torch.int16).numpy().tobytes()
    return bits
