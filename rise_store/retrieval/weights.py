"""Query-time channel weights."""

from __future__ import annotations

import math

from rise_store.errors import ConfigError
from rise_store.records import Weights, validated


def parse_weights(text: str) -> Weights:
    """Weights from `rh=1,gh=0.5`; a channel that is not named has weight 1.

    Raises:
        ConfigError: an unknown channel, a value that is no finite number, or no channel left.
    """
    return validated(Weights, f"weights {text!r}", parse_channels(text, "weight", "rh=1,gh=0.5"))


def parse_channels(text: str, what: str, model: str) -> dict[str, float]:
    """One number a channel from text like `model`; channels may be left out.

    Raises:
        ConfigError: an unknown channel, or a value that is no finite number; calls the numbers `what`.
    """
    values: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if name not in ("rh", "gh"):
            raise ConfigError(f"unknown {what} {name!r} in {text!r}; the channels are rh and gh, as in {model}")
        if name in values:
            raise ConfigError(f"{what} {name!r} stands twice in {text!r}")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not equals or not math.isfinite(number):
            raise ConfigError(f"{what} {part!r} has no number; write {model}")
        values[name] = number
    return values
