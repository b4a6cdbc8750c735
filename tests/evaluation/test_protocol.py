"""The paper's protocol: the K highest and K lowest rows of each query."""

from __future__ import annotations

import math
import re
import sys
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from rise_store import ConfigError, InputError
from rise_store.evaluation import Target, compare, evaluate, measure
from rise_store.evaluation.protocol import ranking

SCORES = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]])
RELEVANT = np.array([[True, False, True, False, False, True, False, False]])


def test_by_hand() -> None:
    found = evaluate(SCORES, RELEVANT, ks=(2, 3))
    # The 2 highest are + -, the 2 lowest - -: the only positive is first.
    assert found.measure("auprc", 2).value == 1
    assert found.measure("auroc", 2).value == 1
    assert found.measure("precision", 2).value == 0.5
    # The 3 highest are + - +, the 3 lowest + - -: positives at ranks 1, 3 and 4 of 6.
    assert found.measure("auprc", 3).value == pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)
    assert found.measure("auroc", 3).value == pytest.approx((3 + 2 + 2) / 9)
    assert found.measure("precision", 3).value == pytest.approx(2 / 3)
    # Over all 8 the positives are at ranks 1, 3 and 6.
    assert found.measure("average_precision").value == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)
    assert found.measure("auroc").value == pytest.approx((5 + 4 + 2) / 15)
    assert (found.queries, found.rows, found.positives) == (1, 8, 3)
    with pytest.raises(KeyError, match="auprc@5"):
        found.measure("auprc", 5)


def test_as_scikit_learn_over_all_rows() -> None:
    draw = np.random.default_rng(0)
    scores, relevant = draw.standard_normal((6, 40)), draw.random((6, 40)) < 0.3
    found = evaluate(scores, relevant)
    own = [average_precision_score(labels, values) for labels, values in zip(relevant, scores, strict=True)]
    assert found.measure("average_precision").per_query == pytest.approx(own)
    areas = [roc_auc_score(labels, values) for labels, values in zip(relevant, scores, strict=True)]
    assert found.measure("auroc").value == pytest.approx(np.mean(areas))
    # 2 K above the number of rows: every row once, as over all.
    assert found.measure("auprc", 50).per_query == pytest.approx(own)
    assert found.measure("precision", 50).value == pytest.approx(relevant.mean())


def test_2k_rows_of_one_class() -> None:
    scores = np.arange(6.0)
    none, all_, some = np.zeros(6, bool), np.ones(6, bool), np.array([0, 0, 1, 1, 0, 0], bool)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate([scores] * 3, [none, all_, some], ks=(2,))
    assert found.measure("auprc", 2).per_query == (0, 1, 0)
    assert found.measure("auroc", 2).per_query == (None, None, None)
    assert (found.measure("auroc", 2).value, found.measure("auroc", 2).undefined) == (None, 3)
    over_all = found.measure("auroc")
    assert (over_all.value, over_all.undefined) == (pytest.approx(0.5), 2)


def test_of_equal_scores_the_earlier_row_is_the_higher() -> None:
    scores, relevant = np.array([[1.0, 2.0, 1.0, 1.0]]), np.array([[True, False, False, False]])
    assert ranking(scores[0]).tolist() == [1, 0, 2, 3]
    assert evaluate(scores, relevant, ks=(2,)).measure("precision", 2).value == 0.5
    assert evaluate(scores, relevant[:, ::-1], ks=(2,)).measure("precision", 2).value == 0


def test_queries_may_rank_different_rows() -> None:
    found = evaluate([SCORES[0], SCORES[0][:3]], [RELEVANT[0], RELEVANT[0][:3]], ks=(1,))
    assert found.rows == 8
    assert found.positives == 2.5
    assert found.measure("precision", 1).per_query == (1, 1)


floats = st.floats(-100, 100, width=32).map(lambda value: round(value, 3))


@st.composite
def labelled_rows(draw: st.DrawFn) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    scores = draw(st.lists(floats, min_size=2, max_size=30, unique=True))
    return np.array(scores), draw(arrays(np.bool_, len(scores)))


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, 30))
def test_average_precision_of_tied_scores_is_that_of_scikit_learn(data: st.DataObject, size: int) -> None:
    scores = data.draw(arrays(np.float32, size, elements=st.integers(0, 5)))
    relevant = data.draw(arrays(np.bool_, size))
    expected = average_precision_score(relevant, scores) if relevant.any() else 0
    assert measure(scores, relevant, "average_precision") == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(rows=labelled_rows(), k=st.integers(1, 20))
def test_only_the_order_of_scores_counts(rows: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]], k: int) -> None:
    scores, relevant = rows
    one = evaluate([scores], [relevant], ks=(k,), bootstrap=0)
    other = evaluate([np.arctan(scores / 50) * 3 + 1], [relevant], ks=(k,), bootstrap=0)
    assert one == other


@settings(max_examples=30, deadline=None)
@given(rows=labelled_rows(), k=st.integers(1, 20), seed=st.integers(0, 100))
def test_the_order_of_rows_does_not_count(
    rows: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]], k: int, seed: int
) -> None:
    scores, relevant = rows
    shuffled = np.random.default_rng(seed).permutation(len(scores))
    for one, other in zip(
        evaluate([scores], [relevant], ks=(k,), bootstrap=0).measures,
        evaluate([scores[shuffled]], [relevant[shuffled]], ks=(k,), bootstrap=0).measures,
        strict=True,
    ):
        assert one.value == (None if other.value is None else pytest.approx(other.value))


@settings(max_examples=30, deadline=None)
@given(rows=labelled_rows(), k=st.integers(1, 20))
def test_measures_lie_between_0_and_1_and_a_perfect_ranking_is_1(
    rows: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]], k: int
) -> None:
    scores, relevant = rows
    for one in evaluate([scores], [relevant], ks=(k,), bootstrap=0).measures:
        assert one.value is None or -1e-12 <= one.value <= 1 + 1e-12
    perfect = np.where(relevant, 1000, 0) + scores
    assert math.isclose(measure(perfect, relevant, "average_precision"), float(relevant.any()))


def test_intervals_shrink_with_queries_and_repeat_with_their_seed() -> None:
    draw = np.random.default_rng(1)
    scores, relevant = draw.standard_normal((200, 30)), draw.random((200, 30)) < 0.3
    few, many = evaluate(scores[:10], relevant[:10], ks=()), evaluate(scores, relevant, ks=())
    one, other = few.measure("average_precision"), many.measure("average_precision")
    assert one.low is not None
    assert one.high is not None
    assert other.low is not None
    assert other.high is not None
    assert one.low < one.value < one.high  # type: ignore[operator]
    assert other.high - other.low < (one.high - one.low) / 2
    assert evaluate(scores[:10], relevant[:10], ks=()) == few
    assert evaluate(scores[:10], relevant[:10], ks=(), seed=1) != few
    # 1.96 standard errors either way, as for any mean of many.
    error = np.std([value for value in other.per_query if value is not None]) / math.sqrt(200)
    assert other.high - other.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_one_query_or_no_resamples_make_no_interval() -> None:
    for found in (
        evaluate(SCORES, RELEVANT),
        evaluate(np.tile(SCORES, (3, 1)), np.tile(RELEVANT, (3, 1)), bootstrap=0),
    ):
        assert {(one.low, one.high) for one in found.measures} == {(None, None)}


def test_two_methods_are_compared_query_by_query() -> None:
    draw = np.random.default_rng(2)
    relevant = draw.random((50, 40)) < 0.3
    noise = draw.standard_normal((50, 40))
    better, worse = evaluate(noise + relevant, relevant, ks=(5,)), evaluate(noise, relevant, ks=(5,))
    found = {one.label: one for one in compare(better, worse)}
    assert list(found) == [one.label for one in better.measures]
    precision = found["average_precision"]
    assert precision.value == pytest.approx(
        better.measure("average_precision").value - worse.measure("average_precision").value  # type: ignore[operator]
    )
    assert precision.low is not None
    assert 0 < precision.low < precision.value < precision.high  # type: ignore[operator]
    same = compare(better, better)
    assert {(one.value, one.low, one.high) for one in same} == {(0, 0, 0)}


def test_what_cannot_be_compared() -> None:
    one = evaluate(SCORES, RELEVANT, query_ids=["a"])
    with pytest.raises(InputError, match="not of the same queries"):
        compare(one, evaluate(SCORES, RELEVANT, query_ids=["b"]))
    with pytest.raises(InputError, match="not of the same queries"):
        compare(one, evaluate(np.tile(SCORES, (2, 1)), np.tile(RELEVANT, (2, 1))))
    alike = one.model_copy(update={"measures": one.measures[:1]})
    with pytest.raises(InputError, match="no measure in common"):
        compare(alike, one.model_copy(update={"measures": one.measures[1:]}))


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        ([], [], "no queries"),
        ([[1.0]], [], "1 queries have scores, 0 labels"),
        ([[1.0, 2.0]], [[True]], r"query 1: \(2,\) scores and \(1,\) labels"),
        ([[]], [[]], "at least one row"),
        ([[1.0, math.nan]], [[True, False]], "query 1: a score is not finite"),
    ],
)
def test_errors(scores: list[list[float]], relevant: list[list[bool]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate([np.array(row) for row in scores], [np.array(row, bool) for row in relevant])


def test_k_is_at_least_1() -> None:
    with pytest.raises(ConfigError, match="K is 0"):
        evaluate(SCORES, RELEVANT, ks=(0,))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("average-precision", Target("average_precision")),
        ("average_precision", Target("average_precision")),
        ("auroc", Target("auroc")),
        ("auprc@10", Target("auprc", 10)),
        ("precision@5", Target("precision", 5)),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize("text", ["auprc", "auprc@0", "auprc@x", "auroc@5", "recall"])
def test_no_targets(text: str) -> None:
    with pytest.raises(ConfigError, match="is no measure to choose by"):
        Target.parse(text)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(InputError, match=re.escape("pip install 'rise-store[eval]'")):
        evaluate(SCORES, RELEVANT)
