"""How well the queries of a task rank its stored rows, under named settings."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rise_store.evaluation.protocol import evaluate
from rise_store.evaluation.protocol import measure as measured
from rise_store.evaluation.tasks.frame import QueryForm, QueryGroup, TaskData, as_query
from rise_store.records import EstimatorConfig, Evaluation, Example, Lambdas, TaskResult, TaskSetting
from rise_store.retrieval import Scoring, parse_where, scan_scores, score_rows
from rise_store.retrieval.precondition import Moments
from rise_store.store import Collection, Filter

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

Array = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]  # (queries, rows)

PAPER_LAMBDAS = Lambdas(rh=0.7, gh=1.0)
ALPHA = 0.01
SETTINGS = (
    TaskSetting(name="published"),
    TaskSetting(name="paper", metric="paper", lambdas=PAPER_LAMBDAS),
    TaskSetting(name="preconditioned", precondition=ALPHA),
    TaskSetting(name="both", metric="paper", lambdas=PAPER_LAMBDAS, precondition=ALPHA),
)
"""What a task is scored under: the space's own lambdas (published: 1 and 0.3), 0.7 and 1, each without and with
preconditioning."""

_SAMPLE = 512  # stored rows that preconditioning is estimated from, as in a query
_MOST_GROUPS = 100  # of the queries behind a mean; without each of them in turn there is another mean, to be asked


def judge(
    collection: Collection,
    encoder: SignatureEncoder,
    data: TaskData,
    group: QueryGroup,
    settings: Sequence[TaskSetting],
    *,
    query_form: QueryForm,
    ks: Sequence[int],
    bootstrap: int,
    seed: int,
) -> tuple[list[Example], list[TaskResult]]:
    """The rows that have a signature, and how well a group of queries ranks them under each setting.

    The last result is `length`, a ranking without a model: rows of the query's length in tokens come first.

    Args:
        collection: holds the rows, as the dataset `data.dataset`.
        encoder: of the collection's space.
        data: rows that are ranked, and the queries.
        group: which of the queries.
        settings: what the rows are scored under.
        query_form: see `as_query`.
        ks: how many of the highest and lowest rows are judged.
        bootstrap: resamples of the intervals; 0 for none. A mean query's interval is a jackknife's over its queries.
        seed: of the resamples.

    Raises:
        InputError: a query of fewer than 2 tokens, or scikit-learn is missing.
    """
    asked = data.queries[group.name]
    encoded = encoder.encode_queries([as_query(query, query_form) for query in asked])
    signatures, tokens = encoded.signatures, encoded.token_counts.astype(np.float64)
    if group.mean:
        signatures, tokens = _means(signatures, tokens, groups=_MOST_GROUPS if bootstrap else 0)
    rows, lengths, scores = _scores(collection, data, signatures, settings)
    relevant = np.ascontiguousarray(data.relevant(group, rows).T)  # (queries, rows)
    named = {setting.name: own for setting, own in zip(settings, scores, strict=True)}
    named["length"] = -np.abs(np.log(lengths)[None, :] - np.log(tokens)[:, None])
    results = []
    for name, own in named.items():
        if group.mean:
            evaluation = _of_mean(own, relevant[0], ks)
        else:
            ids = tuple(query.key for query in asked)
            evaluation = evaluate(own, relevant, ks=ks, bootstrap=bootstrap, seed=seed, query_ids=ids)
        results.append(
            TaskResult(
                queries=group.name,
                positives=group.positives or "own",
                chance=float(relevant.mean()),
                mean_of=len(asked) if group.mean else None,
                setting=name,
                evaluation=evaluation,
            )
        )
    return rows, results


def _scores(
    collection: Collection, data: TaskData, signatures: Array, settings: Sequence[TaskSetting]
) -> tuple[list[Example], npt.NDArray[np.float64], list[Scores]]:
    """The rows that are stored, in the order of the data, their tokens, and (queries, rows) scores of each setting."""
    where = parse_where({"field": "dataset", "equals": data.dataset})
    places = {row.key: number for number, row in enumerate(data.train)}
    scorings = [scoring_of(setting, collection.space.estimator) for setting in settings]
    folded = _folded(collection, where, places, signatures, settings, scorings)
    scores = np.full((len(settings), len(signatures), len(places)), np.nan)
    lengths = np.full(len(places), np.nan)
    for page in scan_scores(collection, folded[0], scorings[0], where=where, fields=("example_id", "tokens")):
        kept = [number for number, point in enumerate(page.points) if point.payload["example_id"] in places]
        at = [places[page.points[number].payload["example_id"]] for number in kept]
        lengths[at] = [page.points[number].payload["tokens"] for number in kept]
        scores[0][:, at] = page.scores[kept].T
        for own, queries, scoring in zip(scores[1:], folded[1:], scorings[1:], strict=True):
            own[:, at] = score_rows(page.signatures[kept], queries, scoring).T
    stored = np.flatnonzero(~np.isnan(lengths))  # what is missing was too short for a signature
    rows = list(data.train)
    return [rows[number] for number in stored], lengths[stored], [own[:, stored] for own in scores]


def _folded(
    collection: Collection,
    where: Filter | None,
    ranked: Container[str],
    signatures: Array,
    settings: Sequence[TaskSetting],
    scorings: Sequence[Scoring],
) -> list[Array]:
    """What to search with under each setting; preconditioning is estimated from rows that are ranked, alone."""
    sample: Array | None = None
    moments: dict[str, Moments] = {}
    folded = []
    for setting, scoring in zip(settings, scorings, strict=True):
        features = scoring.features(signatures)
        if setting.precondition is not None:
            if sample is None:
                stored = collection.scroll(where, with_vectors=True, fields=("example_id",))
                own = (point.vector for point in stored if point.payload["example_id"] in ranked)
                sample = np.stack([vector for vector in islice(own, _SAMPLE) if vector is not None])
            key = repr((scoring.metric, scoring.lambdas))
            if key not in moments:
                moments[key] = Moments.of_rows(scoring.features(sample))
            features = moments[key].preconditioner(setting.precondition)(features)
        folded.append(scoring.fold(features))
    return folded


def _means(signatures: Array, tokens: npt.NDArray[np.float64], groups: int) -> tuple[Array, npt.NDArray[np.float64]]:
    """The mean of queries, in front of the means without each of their groups, and the mean numbers of tokens."""
    parts = np.arange(len(tokens)) % max(min(len(tokens), groups), 1)
    chosen = [np.ones(len(tokens), dtype=np.bool_), *(parts != part for part in range(1 + parts.max()) if parts.any())]
    means = np.stack([signatures[own].mean(axis=0) for own in chosen])
    unit: Array = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-8)
    return unit, np.array([tokens[own].mean() for own in chosen])


def _of_mean(scores: Scores, relevant: npt.NDArray[np.bool_], ks: Sequence[int]) -> Evaluation:
    """The evaluation of a mean query, with 95 % intervals of the jackknife: `scores[1:]` leave out a group each.

    Resampling with replacement would not do: it repeats queries, so that its means are noisier than the mean is, and
    worse.
    """
    evaluation = evaluate(scores[:1], relevant[None], ks=ks, bootstrap=0)
    groups = len(scores) - 1
    if groups < 2:
        return evaluation
    measures = []
    for one in evaluation.measures:
        values = np.array([measured(own, relevant, one.name, one.k) for own in scores[1:]])
        half = 1.96 * float(np.sqrt((groups - 1) * values.var()))
        if one.value is None or np.isnan(half):
            measures.append(one)
            continue
        interval = {"low": max(one.value - half, 0.0), "high": min(one.value + half, 1.0)}
        measures.append(one.model_copy(update=interval))
    return evaluation.model_copy(update={"measures": tuple(measures)})


def scoring_of(setting: TaskSetting, config: EstimatorConfig) -> Scoring:
    """The metric of a setting; `ConfigError` where a space of these settings cannot have it."""
    return Scoring.plan(config, setting.metric, None, setting.lambdas)
