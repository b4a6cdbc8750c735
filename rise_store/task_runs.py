"""What `AttributionStore` does to evaluate itself on a task: store the rows, score all of them, measure."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from rise_store.corpus import fetch_smollm2
from rise_store.encoders import LoadOptions
from rise_store.errors import ConfigError, StoreError
from rise_store.evaluation.bootstrap import DEFAULT_BOOTSTRAP
from rise_store.evaluation.protocol import DEFAULT_KS, check_ks, require_sklearn
from rise_store.evaluation.tasks.frame import QueryForm, TaskData, check_form, count, label_of
from rise_store.evaluation.tasks.judging import SETTINGS, judge, scoring_of
from rise_store.ingest import Progress
from rise_store.ingestion import Ingestion
from rise_store.records import (
    Dataset,
    EstimatorConfig,
    Example,
    TaskDataSummary,
    TaskReport,
    TaskResult,
    TaskSetting,
)

if TYPE_CHECKING:
    from rise_store.signature import SignatureEncoder

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
            ConfigError: settings that do not fit the space, a K below 1, or completions of queries that have none.
            SpaceMismatchError: the store holds this space in another precision.
            InputError: a query of fewer than 2 tokens, or scikit-learn is missing (extra `eval`).
            ModelError, StoreError: the model or the store cannot be used.
        """
        check_ks(ks)
        require_sklearn()
        check_form(data, query_form)
        if not settings:
            raise ConfigError("name at least one setting")
        started = time.monotonic()
        announce("loading the model")
        encoder = self._task_encoder(model, config, loading, announce)
        for setting in settings:
            scoring_of(setting, encoder.config)
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
            ranked, found = judge(
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
