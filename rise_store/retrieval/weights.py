"""Query-time channel weights."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rise_store.errors import ConfigError
from rise_store.records import EstimatorConfig, Weights, validated


def parse_weights(text: str) -> Weights:
    """Weights from `rh=1,gh=0.5`; a channel that is not named has weight 1.

    Raises:
        ConfigError: an unknown channel, a value that is no finite number, or no channel left.
    """
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in Weights.model_fields:
            raise ConfigError(f"unknown weight {name!r} in {text!r}; the channels are rh and gh, as in rh=1,gh=0.5")
        if name in values:
            raise ConfigError(f"weight {name!r} stands twice in {text!r}")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number):
            raise ConfigError(f"weight {part!r} has no number; write rh=1,gh=0.5")
        values[name] = number
    return validated(Weights, f"weights {text!r}", values)


def fold_weights(
    signatures: npt.NDArray[np.float32], weights: Weights, config: EstimatorConfig
) -> npt.NDArray[np.float32]:
    """`[w_rh q_rh, w_gh q_gh]`: the dot product with a stored signature is then the weighted sum of the channels'.

    Args:
        signatures: (n, dim) float32.
        weights: one number a channel.
        config: where the channels part.

    Returns:
        (n, dim) float32.
    """
    folded: npt.NDArray[np.float32] = signatures.copy()
    folded[:, : config.dim_rh] *= np.float32(weights.rh)
    folded[:, config.dim_rh :] *= np.float32(weights.gh)
    return folded
