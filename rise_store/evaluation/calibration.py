"""Calibration: which settings of queries suit labelled queries best, and what that gains on other queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rise_store.errors import ConfigError
from rise_store.evaluation.bootstrap import DEFAULT_BOOTSTRAP
from rise_store.evaluation.choice import DEFAULT_FOLDS, Values, choose, cross_validate, held_out
from rise_store.evaluation.grid import departures
from rise_store.evaluation.protocol import Target, difference
from rise_store.records import CalibrationFold, CalibrationReport, Difference, Preset, Settings

DEFAULT_MEASURE = "average-precision"


def report_choice(
    values: Values,
    settings: Sequence[Settings],
    target: Target,
    *,
    rows: int,
    folds: int = DEFAULT_FOLDS,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> CalibrationReport:
    """Choose among settings by cross-validation, and say what that gains.

    Chosen is what all queries together choose, where the interval of the gain on held-out queries lies above 0; else
    the default.

    Args:
        values: of the measure, (settings, queries).
        settings: the default first.
        target: the measure.
        rows: that were ranked, for the record.
        folds: of the cross-validation.
        bootstrap: resamples of the gain's interval, 1 at least.
        seed: of the folds and the resamples.

    Raises:
        InputError: see `cross_validate`.
        ConfigError: no resamples.
    """
    check_bootstrap(bootstrap)
    default = settings[0]
    changes = [departures(setting, default) for setting in settings]
    parts = cross_validate(values, changes, folds, seed)
    reached = held_out(values, parts)
    gain = difference(target.name, target.k, reached.tolist(), values[0].tolist(), bootstrap, seed)
    best = choose(values, changes)
    chosen, reason = _decide(gain, settings[best], default, target)
    return CalibrationReport(
        measure=target.name,
        k=target.k,
        queries=values.shape[1],
        rows=rows,
        spaces=tuple(dict.fromkeys(setting.space for setting in settings)),
        tried=len(settings),
        folds=tuple(
            CalibrationFold(
                chosen=settings[fold.chosen],
                queries=len(fold.queries),
                value=float(values[fold.chosen, fold.queries].mean()),
                default=float(values[0, fold.queries].mean()),
            )
            for fold in parts
        ),
        default=default,
        default_value=float(values[0].mean()),
        held_out_value=float(np.mean(reached)),
        gain=gain,
        candidate=settings[best],
        agreement=sum(fold.chosen == best for fold in parts),
        chosen=chosen,
        reason=reason,
    )


def check_bootstrap(bootstrap: int) -> None:
    """`ConfigError` unless there is an interval to decide by."""
    if bootstrap < 1:
        raise ConfigError("calibration decides by the interval of the gain; give at least 1 bootstrap resample")


def preset_of(report: CalibrationReport, name: str) -> Preset:
    """What was chosen, under a name, with where it comes from and why it was chosen."""
    gain = report.gain
    note = (
        f"calibrated with {report.queries} queries: {gain.label} {report.default_value:.4f} by default, "
        f"{report.held_out_value:.4f} held out, gain {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]; "
        f"chosen: {report.reason}"
    )
    return Preset(name=name, note=note, **dict(report.chosen))


def _decide(gain: Difference, best: Settings, default: Settings, target: Target) -> tuple[Settings, str]:
    assert gain.value is not None
    assert gain.low is not None
    assert gain.high is not None
    if best == default:
        return default, "the default settings: nothing else is better by more than a standard error"
    interval = f"{gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
    if gain.low > 0:
        return best, f"held-out queries gain {interval} in {target.label}, an interval above 0"
    return default, (
        f"the default settings: held-out queries gain {interval} in {target.label} by what the others choose, an "
        "interval that is not above 0"
    )
