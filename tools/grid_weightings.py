"""Weightings of token positions, and the signatures that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from grid_positions import Positions

from rise_store.records import EstimatorConfig
from rise_store.signature import average_chunks

Array = npt.NDArray[Any]
Weigh = Callable[[Positions, Array], tuple[Array, Array]]  # positions, rarity -> weights of r^_t and of g^_t


@dataclass(frozen=True)
class Weighting:
    """`RH = sum_t w_t r^_t (x) h^_t` and `GH = sum_t v_t g^_t (x) h^_t`, r^, g^ and h^ being of unit length."""

    meaning: str  # of w_t and v_t
    weigh: Weigh
    smooth: bool = False  # whether r^ and g^ are those at tau 1


def _both(weights: Callable[[Positions], Array]) -> Weigh:
    """The same weight in both channels."""
    return lambda p, rarity: (weights(p), weights(p))


def _scaled(factor: Callable[[Positions], Array]) -> Weigh:
    """The lengths of the sketches times a factor that both channels share."""
    return lambda p, rarity: (factor(p) * p.residual_length, factor(p) * p.error_length)


def _power(exponent: float) -> Weigh:
    return lambda p, rarity: (p.residual_length**exponent, p.error_length**exponent)


def _clipped(longest: float) -> Weigh:
    return _scaled(lambda p: np.minimum(1.0, longest / np.maximum(p.residual_length, 1e-8)))


def _repeats(p: Positions) -> Array:
    """How often the token that a position predicts is predicted in its chunk, (T,)."""
    chunk = np.repeat(np.arange(len(p.lengths)), p.lengths)
    _, same, counts = np.unique(chunk * (p.targets.max() + 1) + p.targets, return_inverse=True, return_counts=True)
    repeats: Array = counts[same].astype(np.float32)
    return repeats


WEIGHTINGS: dict[str, Weighting] = {
    "uniform": Weighting("1", _both(lambda p: np.ones_like(p.loss))),
    "residual": Weighting("length of the sketch, |r| and |g|", _power(1)),
    "residual^0.5": Weighting("its square root", _power(0.5)),
    "residual^2": Weighting("its square", _power(2)),
    "residual<=0.5": Weighting("|r| clipped at 0.5, |g| shortened as much", _clipped(0.5)),
    "residual<=1": Weighting("|r| clipped at 1, |g| shortened as much", _clipped(1.0)),
    "loss": Weighting("-log p(y) at tau 1", _both(lambda p: p.loss)),
    "loss^0.5": Weighting("its square root", _both(lambda p: np.sqrt(np.maximum(p.loss, 0)))),
    "log(1+loss)": Weighting("log(1 - log p(y))", _both(lambda p: np.log1p(np.maximum(p.loss, 0)))),
    "surprise": Weighting("1 - p(y) at tau 1", _both(lambda p: -np.expm1(-p.loss))),
    "gradient": Weighting("|p - onehot(y)| at tau 1", _both(lambda p: p.gradient_length)),
    "entropy": Weighting("entropy of p at tau 1", _both(lambda p: p.entropy)),
    "residual*loss": Weighting("|r|, |g| times -log p(y)", _scaled(lambda p: p.loss)),
    "residual*loss^0.5": Weighting("|r|, |g| times its square root", _scaled(lambda p: np.sqrt(np.maximum(p.loss, 0)))),
    "residual*surprise": Weighting("|r|, |g| times 1 - p(y)", _scaled(lambda p: -np.expm1(-p.loss))),
    "residual/(1+entropy)": Weighting("|r|, |g| over 1 + entropy", _scaled(lambda p: 1 / (1 + p.entropy))),
    "residual/repeats^0.5": Weighting(
        "|r|, |g| over the root of how often the chunk has y", _scaled(lambda p: 1 / np.sqrt(_repeats(p)))
    ),
    "residual/repeats": Weighting("|r|, |g| over how often the chunk has y", _scaled(lambda p: 1 / _repeats(p))),
    "residual*hidden": Weighting("|r|, |g| times |h|", _scaled(lambda p: p.hidden_length)),
    "loss^2": Weighting("(-log p(y))^2 at tau 1", _both(lambda p: p.loss**2)),
    "residual*loss^2": Weighting("|r|, |g| times its square", _scaled(lambda p: p.loss**2)),
    "sharp loss": Weighting("-log p(y) at tau 0.1", _both(lambda p: p.sharp_loss)),
    "sharp loss^0.5": Weighting("its square root", _both(lambda p: np.sqrt(np.maximum(p.sharp_loss, 0)))),
    "residual*sharp loss": Weighting("|r|, |g| times -log p(y) at tau 0.1", _scaled(lambda p: p.sharp_loss)),
    "residual*loss/repeats^0.5": Weighting(
        "|r|, |g| times -log p(y), over the root of how often the chunk has y",
        _scaled(lambda p: p.loss / np.sqrt(_repeats(p))),
    ),
    "residual*loss^0.5/repeats^0.5": Weighting(
        "|r|, |g| times the root of -log p(y), over the root of how often the chunk has y",
        _scaled(lambda p: np.sqrt(np.maximum(p.loss, 0) / _repeats(p))),
    ),
    "residual*loss^0.5/repeats": Weighting(
        "|r|, |g| times the root of -log p(y), over how often the chunk has y",
        _scaled(lambda p: np.sqrt(np.maximum(p.loss, 0)) / _repeats(p)),
    ),
    "surprisal": Weighting(
        "|r|, |g| times the root of -log p(y) at tau 0.1", _scaled(lambda p: np.sqrt(np.maximum(p.sharp_loss, 0)))
    ),
    "surprisal/repeats^0.5": Weighting(
        "that over the root of how often the chunk has y",
        _scaled(lambda p: np.sqrt(np.maximum(p.sharp_loss, 0) / _repeats(p))),
    ),
    "residual*loss*rarity": Weighting(
        "|r|, |g| times -log p(y) times rarity",
        lambda p, rarity: (rarity * p.loss * p.residual_length, rarity * p.loss * p.error_length),
    ),
    "rarity": Weighting("-log(share of y among the rows' tokens)", lambda p, rarity: (rarity, rarity)),
    "residual*rarity": Weighting(
        "|r|, |g| times that", lambda p, rarity: (rarity * p.residual_length, rarity * p.error_length)
    ),
    "uniform, tau 1": Weighting("1, r and g at tau 1", _both(lambda p: np.ones_like(p.loss)), smooth=True),
    "residual, tau 1": Weighting(
        "length of the sketch at tau 1", lambda p, rarity: (p.smooth_residual_length, p.smooth_error_length), True
    ),
}


def token_rarity(rows: Positions) -> Array:
    """`-log` of the share that each token has among the predicted ones, with one more of each, (V,) float32."""
    counts = np.bincount(rows.targets) + 1.0
    rarity: Array = -np.log(counts / counts.sum()).astype(np.float32)
    return rarity


def signatures(p: Positions, weighting: Weighting, rarity: Array, config: EstimatorConfig) -> Array:
    """Signatures of n texts, (n, dim) float32 (DESIGN section 2, steps 6 and 7).

    Args:
        p: their positions.
        weighting: how positions count.
        rarity: of the rows' tokens, as `token_rarity` gives it; a token that no row has is as rare as the rarest.
        config: lambdas and widths.
    """
    seen = np.minimum(p.targets, len(rarity) - 1)
    w, v = weighting.weigh(p, np.where(p.targets < len(rarity), rarity[seen], rarity.max()))
    residual, error = (p.smooth_residual, p.smooth_error) if weighting.smooth else (p.residual, p.error)
    weighed = np.concatenate(
        [residual * (config.lambda_rh * w)[:, None], error * (config.lambda_gh * v)[:, None]], axis=1, dtype=np.float32
    )  # (T, kr + kg)
    hidden = p.hidden.astype(np.float32)
    ends = np.cumsum(p.lengths)
    parts = np.empty((len(p.lengths), config.dim), dtype=np.float32)
    for i, (start, end) in enumerate(zip(ends - p.lengths, ends, strict=True)):
        flat = (weighed[start:end].T @ hidden[start:end]).ravel()  # RH row-major, then GH
        parts[i] = flat / max(float(np.linalg.norm(flat)), 1e-8)
    return average_chunks(parts, p.chunks)
