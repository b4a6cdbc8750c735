"""The settings of queries that calibration tries in a space."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rise_store.records import EstimatorConfig, Lambdas, Metric, Settings, Space, Weights

ALPHAS = (None, 0.001, 0.01, 0.1, 1.0)  # of preconditioning; None is none
WEIGHTS = ((1.0, 1.0), (1.0, 0.0), (1.0, 0.1), (1.0, 0.3), (0.3, 1.0), (0.1, 1.0), (0.03, 1.0), (0.0, 1.0))
LAMBDAS = ((1.0, 0.1), (1.0, 0.3), (1.0, 1.0), (0.7, 1.0), (0.3, 1.0), (0.1, 1.0))


def settings_of(space: Space) -> list[Settings]:
    """Every setting that is tried, the default first; none that ranks as an earlier one does."""
    plain = Settings(space=space.fingerprint)
    tried = [plain]
    for metric, weights, lambdas in _scores(space.estimator):
        for alpha in ALPHAS:
            setting = Settings(
                space=space.fingerprint, metric=metric, weights=weights, lambdas=lambdas, precondition=alpha
            )
            if setting != plain:
                tried.append(setting)
    return tried


def departures(setting: Settings, default: Settings) -> int:
    """How many things a setting changes: space, metric (with its lambdas), weights, preconditioning."""
    return sum(
        (
            setting.space != default.space,
            setting.metric != default.metric,
            setting.weights != default.weights,
            setting.precondition != default.precondition,
        )
    )


def _scores(config: EstimatorConfig) -> Iterator[tuple[Metric, Weights, Lambdas | None]]:
    both = bool(config.lambda_rh and config.lambda_gh)
    metrics: tuple[Metric, ...] = ("dot", "cosine")
    for metric in metrics:
        for rh, gh in WEIGHTS if both else WEIGHTS[:1]:
            yield metric, Weights(rh=rh, gh=gh), None
    if both:
        own = config.lambda_gh / config.lambda_rh
        for rh, gh in LAMBDAS:
            if not math.isclose(gh / rh, own):  # under the space's own lambdas the metric paper is dot
                yield "paper", Weights(), Lambdas(rh=rh, gh=gh)
