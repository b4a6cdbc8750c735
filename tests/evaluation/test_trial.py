"""Calibration on stored rows of which it is known what helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest

from rise_store import ConfigError, InputError
from rise_store.evaluation import Target, measure
from rise_store.evaluation.calibration import report_choice
from rise_store.evaluation.labels import Labels
from rise_store.evaluation.trial import Trial, require_same_examples
from rise_store.records import CalibrationReport, EstimatorConfig, LabelledQuery, Settings
from rise_store.retrieval import Scoring, SecondMoments, scan_scores
from rise_store.store import Collection
from tests.retrieval.channel_rows import ESTIMATOR, Channels, collection_of

ROWS, QUERIES = 90, 12
CLASSES = ("books", "forum", "notes")  # datasets of the stored rows, in turn
TARGET = Target("average_precision")


def classes(
    count: int, scale_rh: float, scale_gh: float, seed: int, shared: float = 0, length_gh: float = 2
) -> Channels:
    """Examples of three classes in turn: each channel is noise, plus so much of its class's direction.

    `shared` is the length of a direction of RH that all examples have more or less of, `length_gh` that of GH over RH.
    """
    draw, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    halves = []
    for dim, scale in ((ESTIMATOR.dim_rh, scale_rh), (ESTIMATOR.dim_gh, scale_gh)):
        directions = fixed.standard_normal((3, dim)) / np.sqrt(dim)
        noise = draw.standard_normal((count, dim)) / np.sqrt(dim)
        halves.append(noise + scale * directions[np.arange(count) % 3])
    common = fixed.standard_normal(ESTIMATOR.dim_rh) / np.sqrt(ESTIMATOR.dim_rh)
    halves[0] += shared * draw.standard_normal((count, 1)) * common
    return Channels(halves[0], length_gh * halves[1])


def labelled(count: int = QUERIES) -> list[LabelledQuery]:
    return [
        LabelledQuery(id=f"q{number}", text="Who?", relevant=f"dataset = {CLASSES[number % 3]}")
        for number in range(count)
    ]


@contextmanager
def trial_of(rows: Channels, config: EstimatorConfig = ESTIMATOR) -> Iterator[Trial]:
    with collection_of(rows, config) as collection:
        yield Trial.of_space(collection, labelled())


def calibrated(trial: Trial, queries: Channels) -> CalibrationReport:
    signatures = queries.signatures().astype(np.float32)
    values = trial.run(signatures, TARGET, SecondMoments().preconditioner)
    return report_choice(values, trial.settings, TARGET, rows=ROWS)


def weight_of_gh(settings: Settings) -> float:
    """How much more GH counts over RH than by default."""
    if settings.lambdas is None:
        return settings.weights.gh / max(settings.weights.rh, 1e-9)
    return settings.lambdas.gh / settings.lambdas.rh / (ESTIMATOR.lambda_gh / ESTIMATOR.lambda_rh)


def test_where_gh_is_noise_the_weight_goes_to_rh() -> None:
    with trial_of(classes(ROWS, 0.8, 0, seed=0, length_gh=4)) as trial:
        report = calibrated(trial, classes(QUERIES, 0.8, 0, seed=1, length_gh=4))
    assert weight_of_gh(report.chosen) < 0.5
    assert report.gain.low is not None
    assert report.gain.low > 0.05


def test_where_rh_is_noise_the_weight_goes_to_gh() -> None:
    with trial_of(classes(ROWS, 0, 0.8, seed=2, length_gh=1)) as trial:
        report = calibrated(trial, classes(QUERIES, 0, 0.8, seed=3, length_gh=1))
    assert weight_of_gh(report.chosen) > 2
    assert report.gain.low is not None
    assert report.gain.low > 0.05


def test_where_all_rows_share_a_direction_it_is_preconditioned_away() -> None:
    with trial_of(classes(ROWS, scale_rh=1, scale_gh=0, seed=4, shared=20)) as trial:
        report = calibrated(trial, classes(QUERIES, 1, 0, seed=5, shared=20))
    assert report.chosen.precondition is not None


def test_where_nothing_helps_the_default_stays() -> None:
    with trial_of(classes(ROWS, scale_rh=0, scale_gh=0, seed=6)) as trial:
        report = calibrated(trial, classes(QUERIES, 0, 0, seed=7))
    assert report.chosen == report.default
    assert report.chosen.metric == "dot"


@pytest.fixture(scope="module")
def collection() -> Iterator[Collection]:
    with collection_of(classes(ROWS, 1, 1, seed=8)) as collection:
        yield collection


@pytest.fixture
def signatures() -> npt.NDArray[np.float32]:
    return classes(QUERIES, 1, 1, seed=9).signatures().astype(np.float32)


def test_a_trial_scores_each_setting_as_a_search_would(
    collection: Collection, signatures: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Memory for 7 of the 40 families at a time.
    monkeypatch.setattr("rise_store.evaluation.trial.MOST_BYTES", 7 * 4 * QUERIES * (2 * ROWS + ESTIMATOR.dim))
    trial, moments = Trial.of_space(collection, labelled()), SecondMoments()
    read: list[int] = []
    values = trial.run(signatures, TARGET, moments.preconditioner, read.append)
    assert sum(read) == trial.rows_to_read == ROWS * 6
    assert values.shape == (len(trial.settings), QUERIES)
    for setting, reached in list(zip(trial.settings, values, strict=True))[::4]:
        weights = setting.weights if setting.metric != "paper" else None
        scoring = Scoring.plan(ESTIMATOR, setting.metric, weights, setting.lambdas)
        features = scoring.features(signatures)
        if setting.precondition is not None:
            features = moments.preconditioner(collection, scoring, setting.precondition)(features)
        pages = list(scan_scores(collection, scoring.fold(features), scoring))
        scores = np.concatenate([page.scores for page in pages]).T
        datasets = np.array([point.payload["dataset"] for page in pages for point in page.points])
        expected = [
            measure(row, datasets == CLASSES[number % 3], "average_precision") for number, row in enumerate(scores)
        ]
        assert reached == pytest.approx(expected, abs=0.02)  # rows of nearly equal score may change places


def test_no_two_settings_are_the_same_and_the_default_is_first(collection: Collection) -> None:
    settings = Trial.of_space(collection, labelled()).settings
    assert len(set(settings)) == len(settings)
    assert settings[0].model_dump(exclude_defaults=True) == {"space": collection.space.fingerprint}
    assert {setting.metric for setting in settings} == {"dot", "cosine", "paper"}


def test_a_space_of_one_channel_has_no_weights_to_choose() -> None:
    config = ESTIMATOR.model_copy(update={"lambda_gh": 0.0})
    with trial_of(classes(ROWS, 1, 1, seed=8), config) as trial:
        assert {setting.metric for setting in trial.settings} == {"dot", "cosine"}
        assert {setting.weights.gh for setting in trial.settings} == {1}


def test_labels_from_ids_and_filters(collection: Collection) -> None:
    queries = [
        LabelledQuery(text="a", relevant=("row-3", "row-7")),
        LabelledQuery(text="b", relevant={"field": "dataset", "equals": "books"}, where="license = MIT"),
    ]
    labels = Labels.of_store(collection, queries, where="tokens >= 12")
    assert len(labels.column) == ROWS - 2
    assert labels.relevant_of(0).sum() == 2
    assert (len(labels.relevant_of(1)), labels.relevant_of(1).sum()) == (44, 14)
    scores = np.arange(ROWS - 2, dtype=np.float32)
    assert labels.rows_of(0, scores) is scores
    assert len(labels.rows_of(1, scores)) == 44


@pytest.mark.parametrize(
    ("query", "where", "message"),
    [
        ({"relevant": ("row-3", "gone")}, (), "q.jsonl:7: relevant names 'gone', but no stored example has this id"),
        ({"relevant": ("row-3",)}, "tokens > 50", "no stored example that passes --where has this id"),
        ({"relevant": "dataset = poems"}, (), "q.jsonl:7: no example that is ranked for it is relevant"),
        ({"relevant": "dataset = books", "where": "dataset = forum"}, (), "q.jsonl:7: no example that is ranked"),
        ({"relevant": "datset = books"}, (), "q.jsonl:7: .*no stored example has the field"),
    ],
)
def test_queries_without_positives_are_named(
    collection: Collection, query: dict[str, str], where: str, message: str
) -> None:
    with pytest.raises(Exception, match=message) as refused:
        Labels.of_store(collection, [LabelledQuery(text="a", location="q.jsonl:7", **query)], where)  # type: ignore[arg-type]
    assert type(refused.value).__name__ in ("InputError", "FilterError")


def test_what_passes_no_filter_or_tells_nothing(collection: Collection) -> None:
    with pytest.raises(InputError, match="no stored example passes the filter"):
        Labels.of_store(collection, labelled(), where="tokens > 5000")
    with pytest.raises(InputError, match="no labelled queries"):
        Labels.of_store(collection, [])
    everything = LabelledQuery(text="a", relevant="tokens > 0", location="q.jsonl:2")
    with pytest.raises(InputError, match=r"q.jsonl:2: every example that is ranked for it is relevant"):
        Trial.of_space(collection, [*labelled(), everything])


def test_spaces_of_other_examples_are_not_compared(collection: Collection) -> None:
    trial = Trial.of_space(collection, labelled())
    require_same_examples([trial])
    require_same_examples([trial, trial])
    with trial_of(classes(60, 1, 1, seed=8)) as other, pytest.raises(ConfigError, match="do not hold the same"):
        require_same_examples([trial, other])
