"""The protocol of the RISE paper (arXiv 2604.16197): how well scores tell the rows apart that ought to rank high.

For each query the K rows of highest and the K of lowest score are taken (each once, where there are fewer than 2K).
`auprc@K` and `auroc@K` are over those, `precision@K` is the share of positives among the K highest. The same over all
rows is `average_precision` and `auroc`. Each is averaged over queries.

Areas under the precision-recall curve are average precision (scikit-learn's `average_precision_score`): 0 without a
positive, 1 without a negative. There auroc is undefined, and such a query is left out of its mean and counted.
Which rows are the K highest does not depend on chance: of equal scores, the earlier row is the higher.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rise_store.corpus.extras import require_extra
from rise_store.errors import ConfigError, InputError
from rise_store.evaluation.bootstrap import DEFAULT_BOOTSTRAP, mean_interval
from rise_store.records import Difference, Evaluation, Measure
from rise_store.records.evaluation import MeasureName, measure_label

DEFAULT_KS = (5, 10, 50)
Scores = npt.NDArray[Any]  # (rows,) floats
Mask = npt.NDArray[np.bool_]  # (rows,)


def evaluate(
    scores: Scores | Sequence[Scores],
    relevant: Mask | Sequence[Mask],
    *,
    ks: Sequence[int] = DEFAULT_KS,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
    query_ids: Sequence[str] = (),
) -> Evaluation:
    """Measure a method by its scores.

    Args:
        scores: (queries, rows) floats, or one array a query where queries rank different rows.
        relevant: of the same shape, bool: the rows that ought to rank high.
        ks: how many of the highest and of the lowest rows count.
        bootstrap: resamples of the intervals; 0 for none.
        seed: of the resamples.
        query_ids: names of the queries, for the record and for errors.

    Raises:
        InputError: no queries, no rows, shapes that differ, scores that are not finite, or scikit-learn is missing.
        ConfigError: a K below 1.
    """
    check_ks(ks)
    ids = tuple(query_ids) or tuple(str(number) for number in range(1, len(scores) + 1))
    if len(scores) == 0:
        raise InputError("there are no queries to evaluate")
    if not len(scores) == len(relevant) == len(ids):
        raise InputError(f"{len(scores)} queries have scores, {len(relevant)} labels and {len(ids)} names")
    wanted: list[tuple[MeasureName, int | None]] = [
        *((name, k) for k in ks for name in ("auprc", "auroc", "precision")),
        ("average_precision", None),
        ("auroc", None),
    ]
    per_query: list[list[float]] = [[] for _ in wanted]
    for id_, own, labels in zip(ids, scores, relevant, strict=True):
        _check(id_, own, labels)
        order = ranking(own)
        for values, (name, k) in zip(per_query, wanted, strict=True):
            values.append(measure(own, labels, name, k, order=order))
    return Evaluation(
        measures=tuple(
            _summary(name, k, values, bootstrap, seed) for (name, k), values in zip(wanted, per_query, strict=True)
        ),
        queries=len(scores),
        rows=max(len(own) for own in scores),
        positives=float(np.mean([np.count_nonzero(labels) for labels in relevant])),
        query_ids=tuple(query_ids),
    )


def compare(
    evaluation: Evaluation, baseline: Evaluation, *, bootstrap: int = DEFAULT_BOOTSTRAP, seed: int = 0
) -> tuple[Difference, ...]:
    """How far an evaluation is ahead of another of the same queries in each measure that both have.

    The intervals are of the mean difference, queries being drawn in pairs.

    Raises:
        InputError: the queries are not the same, or no measure is.
    """
    if evaluation.queries != baseline.queries or (
        evaluation.query_ids and baseline.query_ids and evaluation.query_ids != baseline.query_ids
    ):
        raise InputError("the two evaluations are not of the same queries in the same order; evaluate both on one file")
    others = {(one.name, one.k): one for one in baseline.measures}
    differences = [
        difference(one.name, one.k, one.per_query, others[one.name, one.k].per_query, bootstrap, seed)
        for one in evaluation.measures
        if (one.name, one.k) in others
    ]
    if not differences:
        raise InputError("the two evaluations have no measure in common; use the same K")
    return tuple(differences)


def difference(
    name: MeasureName,
    k: int | None,
    values: Sequence[float | None],
    baseline: Sequence[float | None],
    bootstrap: int = DEFAULT_BOOTSTRAP,
    seed: int = 0,
) -> Difference:
    """The mean of `values - baseline` over the queries that have both, with its interval."""
    pairs = zip(values, baseline, strict=True)
    gains = [own - other for own, other in pairs if own is not None and other is not None]
    low, high = mean_interval(gains, bootstrap, seed)
    return Difference(
        name=name, k=k, value=math.fsum(gains) / len(gains) if gains else None, low=low, high=high, queries=len(gains)
    )


def measure(
    scores: Scores,
    relevant: Mask,
    name: MeasureName,
    k: int | None = None,
    *,
    order: npt.NDArray[np.intp] | None = None,
) -> float:
    """One measure of one query, from scores (rows,) and labels (rows,); NaN where it is undefined.

    `order` is the `ranking` of the scores, where it is known.
    """
    order = ranking(scores) if order is None else order
    if k is not None:
        if name == "precision":
            return float(relevant[order[:k]].mean())
        order = order if 2 * k >= len(order) else np.concatenate([order[:k], order[-k:]])
    scores, relevant = scores[order], relevant[order]
    if name != "auroc":
        return _average_precision(scores, relevant)
    if np.count_nonzero(relevant) in (0, len(relevant)):
        return math.nan
    return float(_sklearn().roc_auc_score(relevant, scores))


def ranking(scores: Scores) -> npt.NDArray[np.intp]:
    """Numbers of the rows, highest score first; of equal scores the earlier row first."""
    return np.argsort(-np.asarray(scores), kind="stable")


_MEASURES = "average-precision, auroc, auprc@K or precision@K, such as auprc@10"


@dataclass(frozen=True)
class Target:
    """A measure that is to be raised, defined for every query that has both relevant rows and others."""

    name: MeasureName
    k: int | None = None

    @property
    def label(self) -> str:
        """In one word, as `auprc@10`."""
        return measure_label(self.name, self.k)

    @classmethod
    def parse(cls, text: str) -> Target:
        """From `average-precision`, `auroc`, `auprc@10` or `precision@10`; `ConfigError` for anything else."""
        found = re.fullmatch(r"(auprc|precision)@([1-9]\d{0,8})", text)
        if found:
            return cls("auprc" if found[1] == "auprc" else "precision", int(found[2]))
        if text.replace("_", "-") == "average-precision":
            return cls("average_precision")
        if text == "auroc":
            return cls("auroc")
        raise ConfigError(f"{text!r} is no measure to choose by; give {_MEASURES}")


def check_ks(ks: Sequence[int]) -> None:
    """`ConfigError` unless every K is at least 1."""
    for k in ks:
        if k < 1:
            raise ConfigError(f"K is {k}; at least 1 of the highest rows counts")


def _average_precision(scores: Scores, relevant: Mask) -> float:
    """The precision at each positive, averaged, of rows in the order of their scores; equal scores are one step.

    scikit-learn gives the same in 100 times the time for a hundred rows, and calibration asks ten thousand times.
    """
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # of the rows of one score
    found = np.cumsum(relevant)[last]
    return float(np.diff(found, prepend=0) @ (found / (last + 1)) / max(found[-1], 1))


def _summary(name: MeasureName, k: int | None, values: Sequence[float], bootstrap: int, seed: int) -> Measure:
    defined = [value for value in values if not math.isnan(value)]
    low, high = mean_interval(defined, bootstrap, seed)
    return Measure(
        name=name,
        k=k,
        value=math.fsum(defined) / len(defined) if defined else None,
        low=low,
        high=high,
        undefined=len(values) - len(defined),
        per_query=tuple(None if math.isnan(value) else value for value in values),
    )


def _check(id_: str, scores: Scores, relevant: Mask) -> None:
    if len(scores) == 0 or np.shape(scores) != np.shape(relevant):
        raise InputError(
            f"query {id_}: {np.shape(scores)} scores and {np.shape(relevant)} labels; each row has one of both, "
            "and there is at least one row"
        )
    if not np.isfinite(scores).all():
        raise InputError(f"query {id_}: a score is not finite; leave such rows out, or give them a number")


def _sklearn() -> Any:
    return require_extra("sklearn.metrics", "eval", "measuring ranked answers")
