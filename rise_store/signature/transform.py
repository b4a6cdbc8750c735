"""What a model applies to its logits after the head: a scale, soft-capping, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rise_store.errors import ModelError


@dataclass(frozen=True)
class LogitTransform:
    """`z -> cap * tanh(scale * z / cap)`, or `scale * z` without a cap; increasing in z."""

    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config: Any) -> LogitTransform:
        """Read the transform from a model's configuration.

        Raises:
            ModelError: the configuration holds a scale that is not positive.
        """
        scale = 1.0
        try:
            if getattr(config, "logit_scale", None) is not None:  # Cohere
                scale *= float(config.logit_scale)
            if getattr(config, "logits_scaling", None) is not None:  # Granite divides
                scale /= float(config.logits_scaling)
            if getattr(config, "lm_head_multiplier", None) is not None:  # Falcon-H1
                scale *= float(config.lm_head_multiplier)
        except (TypeError, ValueError) as error:
            raise ModelError(f"the model scales its logits in a way that rise_store does not know: {error}") from error
        if scale <= 0:
            raise ModelError(f"the model scales its logits by {scale}, which must be positive")
        cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2 and 3
        return cls(scale, float(cap) if cap else None)

    def __call__(self, z: Tensor) -> Tensor:
        """Raw logits to the model's own logits, elementwise."""
        if self.scale != 1.0:
            z = z * self.scale
        return z if self.cap is None else torch.tanh(z / self.cap) * self.cap

    def inverse(self, z: Tensor) -> Tensor:
        """The model's own logits to raw ones, elementwise, never above the exact value by more than rounding."""
        if self.cap is not None:
            ratio = z.to(torch.float64) / self.cap
            z = (torch.atanh(ratio.clamp(min=-1.0, max=1.0 - 1e-12)) * self.cap).to(torch.float32)
        return z / self.scale
