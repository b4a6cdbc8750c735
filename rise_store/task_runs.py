"""What `AttributionStore` does to evaluate itself on a task: store the rows, score all of them, measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from typing_extensions import Unpack

from rise_store.corpus import fetch_smollm2
from rise_store.encoders import LoadOptions
from rise_store.errors import ConfigError, StoreError
from rise_store.evaluation.bootstrap import DEFAULT_BOOTSTRAP, LEVEL
from rise_store.evaluation.protocol import DEFAULT_KS, check_ks, evaluate
from rise_store.evaluation.protocol import measure as measured
from rise_store.evaluation.tasks.frame import QueryForm, QueryGroup, TaskData, as_query, count, label_of
from rise_store.ingest import Progress
from rise_store.ingestion import Ingestion
from rise_store.records import Dataset, EstimatorConfig, Example, Lambdas
from rise_store.records.evaluation import Evaluation
from rise_store.records.tasks import TaskDataSummary, TaskReport, TaskResult, TaskSetting
from rise_store.retrieval import Scoring, parse_where, scan_scores, score_rows
from rise_store.retrieval.precondition import Moments
from rise_store.store import Collection, Filter

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

Array = npt.NDArray[np.float32]

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
_MOST_MEANS = 100  # resamples of a mean query: each is a query of its own
_SOURCES = 20


class TaskRuns(Ingestion):
    """Tasks: the part of `AttributionStore` that measures how well it answers."""

    def run_task(
        self,
        data: TaskData,
        *,
        model: str | Path | SignatureEncoder | None = None,
        config: EstimatorConfig | None = None,
        settings: Sequence[TaskSetting] = SETTINGS,
        query_form: QueryForm = "text",
        ks: Sequence[int] = DEFAULT_KS,
        bootstrap: int = DEFAULT_BOOTSTRAP,
        seed: int = 0,
        announce: Callable[[str], None] = lambda line: None,
        progress: Progress | None = None,
        **loading: Unpack[LoadOptions],
    ) -> TaskReport:
        """Store the training rows of a task, score all of them for each of its queries, and measure.

        Rows that are stored already are not encoded again; the queries are, each time. A space is made where the store
        has none of this model and these settings.

        Args:
            data: see `load_task`.
            model: hub name, local folder, GGUF file, or an encoder; SmolLM2-135M from its PyPI wheel if None.
            config: estimator settings; the published ones if None.
            settings: what the rows are scored under.
            query_form: whether whole queries count, as rows do, or their completions alone.
            ks: how many of the highest and lowest rows are judged.
            bootstrap: resamples of the intervals; 0 for none.
            seed: of the resamples.
            announce: is told what happens next.
            progress: is told of every batch and block of the ingestion.
            loading: how to load the model; without a dtype, that of the store, else bfloat16 where the machine is much
                faster at it, else float32.

        Raises:
            ConfigError: settings that do not fit the space, or a K below 1.
            SpaceMismatchError: the store holds this space in another precision.
            InputError: a query of fewer than 2 tokens, or scikit-learn is missing (extra `eval`).
            ModelError, StoreError: the model or the store cannot be used.
        """
        check_ks(ks)
        if not settings:
            raise ConfigError("name at least one setting")
        started = time.monotonic()
        announce("loading the model")
        encoder = self._task_encoder(model, config, loading, announce)
        for setting in settings:
            _scoring(setting, encoder.config)
        announce(f"storing {len(data.train):,} rows of {data.task.name}; those that are stored cost nothing")
        report = self.ingest(
            data.train,
            dataset=Dataset(name=data.dataset, origin=f"data of the task {data.task.name}"),
            model=encoder,
            new_space=True,
            partial=True,
            notify=announce,
            progress=progress,
        )
        if report.state == "FAILED":
            raise StoreError(f"run {report.run_id} does not add up: {report.message}")
        ingested = time.monotonic()
        collection = self._backend.open_collection(encoder.fingerprint)
        results: list[TaskResult] = []
        ranked: list[Example] = []
        for group in data.task.groups:
            if group.name not in data.queries:
                continue
            announce(f"asking {len(data.queries[group.name]):,} queries: {group.name}")
            ranked, found = _judge(
                collection, encoder, data, group, settings, query_form=query_form, ks=ks, bootstrap=bootstrap, seed=seed
            )
            results += found
        return TaskReport(
            task=data.task.name,
            title=data.task.title,
            data=_summary(data, ranked),
            query_form=query_form,
            store=self._backend.location,
            space=encoder.fingerprint,
            model=Path(encoder.reference.name).name,
            dtype=encoder.reference.dtype,
            estimator=encoder.config,
            settings=tuple(settings),
            results=tuple(results),
            tokens=report.tokens,
            ingest_seconds=round(ingested - started, 3),
            seconds=round(time.monotonic() - started, 3),
        )

    def _task_encoder(
        self,
        model: str | Path | SignatureEncoder | None,
        config: EstimatorConfig | None,
        loading: LoadOptions,
        announce: Callable[[str], None],
    ) -> SignatureEncoder:
        if not (model is None or isinstance(model, str | Path)):
            return model
        options: LoadOptions = {**loading}
        if options.get("dtype") is None:
            from rise_store.signature.precision import fastest_dtype

            kept = sorted({space.model.dtype for space in self._backend.spaces()})
            options["dtype"] = kept[0] if kept else fastest_dtype(options.get("device", "auto"))
        return self._encoders.load(model or fetch_smollm2(progress=announce), config, **options)


def _judge(
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
    """The rows that have a signature, and how well a group of queries ranks them under each setting."""
    asked = data.queries[group.name]
    encoded = encoder.encode_queries([as_query(query, query_form) for query in asked])
    signatures, tokens = encoded.signatures, encoded.token_counts.astype(np.float64)
    if group.mean:
        drawn = np.random.default_rng(seed).integers(len(asked), size=(min(bootstrap, _MOST_MEANS), len(asked)))
        signatures = _unit(np.stack([signatures.mean(axis=0), *(signatures[own].mean(axis=0) for own in drawn)]))
        tokens = np.array([tokens.mean(), *(tokens[own].mean() for own in drawn)])
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
) -> tuple[list[Example], npt.NDArray[np.float64], list[npt.NDArray[np.float64]]]:
    """The rows that are stored, in the order of the data, their tokens, and (queries, rows) scores of each setting."""
    where = parse_where({"field": "dataset", "equals": data.dataset})
    places = {row.key: number for number, row in enumerate(data.train)}
    scorings = [_scoring(setting, collection.space.estimator) for setting in settings]
    folded = _folded(collection, where, signatures, settings, scorings)
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
    signatures: Array,
    settings: Sequence[TaskSetting],
    scorings: Sequence[Scoring],
) -> list[Array]:
    """What to search with under each setting; preconditioning is estimated from rows of the task alone."""
    sample: Array | None = None
    moments: dict[str, Moments] = {}
    folded = []
    for setting, scoring in zip(settings, scorings, strict=True):
        features = scoring.features(signatures)
        if setting.precondition is not None:
            if sample is None:
                points = islice(collection.scroll(where, with_vectors=True, fields=("example_id",)), _SAMPLE)
                sample = np.stack([point.vector for point in points if point.vector is not None])
            key = repr((scoring.metric, scoring.lambdas))
            if key not in moments:
                moments[key] = Moments.of_rows(scoring.features(sample))
            features = moments[key].preconditioner(setting.precondition)(features)
        folded.append(scoring.fold(features))
    return folded


def _of_mean(scores: npt.NDArray[np.float64], relevant: npt.NDArray[np.bool_], ks: Sequence[int]) -> Evaluation:
    """The evaluation of a mean query, whose intervals come from the means of resampled queries in `scores[1:]`."""
    evaluation = evaluate(scores[:1], relevant[None], ks=ks, bootstrap=0)
    if len(scores) == 1:
        return evaluation
    measures = []
    for one in evaluation.measures:
        values = [measured(own, relevant, one.name, one.k) for own in scores[1:]]
        defined = [value for value in values if not np.isnan(value)]
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if defined else (None, None)
        interval = {"low": None if low is None else float(low), "high": None if high is None else float(high)}
        measures.append(one.model_copy(update=interval))
    return evaluation.model_copy(update={"measures": tuple(measures)})


def _scoring(setting: TaskSetting, config: EstimatorConfig) -> Scoring:
    return Scoring.plan(config, setting.metric, None, setting.lambdas)


def _unit(signatures: Array) -> Array:
    unit: Array = signatures / np.maximum(np.linalg.norm(signatures, axis=1, keepdims=True), 1e-8)
    return unit


def _summary(data: TaskData, ranked: Sequence[Example]) -> TaskDataSummary:
    everything = [*data.train, *(query for queries in data.queries.values() for query in queries)]
    sources = count([str(row.metadata.get("source", "unknown")).partition("#")[0] for row in everything])
    return TaskDataSummary(
        folder=str(data.folder),
        sha256=data.sha256,
        train_sha256=data.train_sha256,
        rows=len(ranked),
        left_out=len(data.train) - len(ranked),
        labels=count([label_of(row) for row in ranked]),
        licenses=count([row.license or "unknown" for row in everything]),
        sources=dict(islice(sources.items(), _SOURCES)),
    )
