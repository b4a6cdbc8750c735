"""Choosing settings by few queries, and measuring the choice on others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rise_store import ConfigError, InputError
from rise_store.evaluation import Target
from rise_store.evaluation.calibration import preset_of, report_choice
from rise_store.evaluation.choice import choose, cross_validate, held_out
from rise_store.records import CalibrationReport, Settings

DEFAULT = Settings(space="5ace")
SETTINGS = (
    DEFAULT,
    Settings(space="5ace", metric="cosine"),
    Settings(space="5ace", metric="cosine", precondition=0.01),
    Settings(space="0ther", precondition=0.1),
)
TARGET = Target("average_precision")


def report(values: np.ndarray, folds: int = 5, seed: int = 0) -> CalibrationReport:  # type: ignore[type-arg]
    return report_choice(values, SETTINGS, TARGET, rows=100, folds=folds, seed=seed)


def noisy(*means: float, queries: int = 20, noise: float = 0.05, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    """Values whose means differ by setting; queries are easy or hard for all settings alike."""
    draw = np.random.default_rng(seed)
    easy = draw.uniform(-0.2, 0.2, queries)
    return np.array(means)[:, None] + easy + noise * draw.standard_normal((len(means), queries))


def test_the_best_is_chosen_where_it_is_clearly_better() -> None:
    assert choose(noisy(0.5, 0.6, 0.7, 0.5), [0, 1, 2, 2]) == 2


def test_of_settings_within_a_standard_error_the_plainest_is_chosen() -> None:
    best = np.array([0.7, 0.5, 0.7, 0.5])
    near = best + np.array([0.01, -0.02, 0.01, -0.01])  # behind by 0.0025, less than a standard error
    far = best - np.array([0.1, 0.1, 0.09, 0.11])
    assert choose(np.stack([near, best, far]), [0, 1, 1]) == 0
    assert choose(np.stack([far, near, best]), [0, 1, 2]) == 1
    assert choose(np.stack([far, near, best]), [0, 2, 1]) == 2
    assert choose(np.stack([far, near, best]), [0, 1, 1]) == 2  # equally plain: the better one


def test_equal_settings_leave_the_default() -> None:
    assert choose(np.full((4, 5), 0.3), [0, 1, 2, 2]) == 0


def test_folds_part_the_queries_and_do_not_see_their_own() -> None:
    values = noisy(0.5, 0.6, 0.55, 0.5, queries=13)
    folds = cross_validate(values, [0, 1, 2, 2], folds=4)
    assert sorted(np.concatenate([fold.queries for fold in folds]).tolist()) == list(range(13))
    for fold in folds:
        # Whatever the fold's own values are, the choice for it is the same.
        blind = values.copy()
        blind[:, fold.queries] = np.random.default_rng(1).random((4, len(fold.queries)))
        again = cross_validate(blind, [0, 1, 2, 2], folds=4)
        assert next(one for one in again if one.queries[0] == fold.queries[0]).chosen == fold.chosen
    reached = held_out(values, folds)
    for fold in folds:
        assert reached[fold.queries].tolist() == values[fold.chosen, fold.queries].tolist()


def test_with_fewer_queries_than_folds_each_is_a_fold() -> None:
    assert [len(fold.queries) for fold in cross_validate(noisy(0.5, 0.6, queries=4), [0, 1])] == [1, 1, 1, 1]


@pytest.mark.parametrize(("queries", "folds", "message"), [(3, 5, "4 labelled queries at least"), (9, 1, "at least 2")])
def test_too_few(queries: int, folds: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        report(noisy(0.5, 0.6, 0.5, 0.5, queries=queries), folds)


def test_no_interval_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 bootstrap resample"):
        report_choice(noisy(0.5, 0.6, 0.5, 0.5), SETTINGS, TARGET, rows=100, bootstrap=0)


def test_a_clear_gain_is_taken_and_told_of_held_out_queries() -> None:
    found = report(noisy(0.5, 0.55, 0.7, 0.6))
    assert found.chosen == found.candidate == SETTINGS[2]
    assert (found.agreement, len(found.folds), found.tried, found.queries, found.rows) == (5, 5, 4, 20, 100)
    assert found.spaces == ("5ace", "0ther")
    assert found.gain.low is not None
    assert 0 < found.gain.low < 0.2 < found.gain.high + 0.05  # type: ignore[operator]
    assert found.held_out_value - found.default_value == pytest.approx(found.gain.value)
    preset = preset_of(found, "tuned")
    assert (preset.name, preset.space, preset.metric, preset.precondition) == ("tuned", "5ace", "cosine", 0.01)
    assert preset.note.startswith("calibrated with 20 queries: average_precision 0.")
    assert preset.note.endswith(f"; chosen: {found.reason}")


def test_a_gain_whose_interval_holds_0_leaves_the_default() -> None:
    values = noisy(0.5, 0.5, 0.5, 0.5, queries=8, noise=0.1, seed=3)
    values[2, :7] += 0.12
    values[2, 7] = 0.0  # one query does far worse
    found = report(values)
    assert found.chosen == DEFAULT
    assert found.gain.low is not None
    assert found.gain.low <= 0
    assert "default settings" in found.reason
    assert "; chosen: the default settings: " in preset_of(found, "tuned").note


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), queries=st.integers(4, 30))
def test_what_is_chosen_of_noise_never_hurts_by_more_than_its_interval(seed: int, queries: int) -> None:
    found = report(noisy(0.5, 0.5, 0.5, 0.5, queries=queries, seed=seed))
    assert found.chosen == DEFAULT or (found.gain.low is not None and found.gain.low > 0)
    assert found.gain.low <= found.gain.value <= found.gain.high  # type: ignore[operator]


def test_the_same_seed_gives_the_same_report() -> None:
    values = noisy(0.5, 0.55, 0.56, 0.5)
    assert report(values) == report(values)
    assert report(values, seed=1).folds != report(values).folds
