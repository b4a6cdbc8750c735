"""What an evaluation on one of the paper's tasks reports."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.evaluation import Evaluation
from rise_store.records.queries import Lambdas, Metric
from rise_store.records.spaces import EstimatorConfig


class TaskSetting(Record):
    """Named settings that a task is scored under."""

    name: str
    metric: Metric = Field("dot", description="what a score is")
    lambdas: Lambdas | None = Field(None, description="those of the metric paper")
    precondition: float | None = Field(None, gt=0, allow_inf_nan=False, description="alpha; null: none")


class TaskDataSummary(Record):
    """The data that a task was evaluated on."""

    folder: str
    sha256: str = Field(description="of keys, texts and labels of the rows and queries that were used")
    train_sha256: str = Field(description="of the file of training rows")
    rows: int = Field(description="training rows that were ranked")
    left_out: int = Field(0, description="training rows of fewer than 2 tokens, which have no signature")
    labels: dict[str, int] = Field(description="training rows by label")
    licenses: dict[str, int] = Field(description="training rows and queries by licence")
    sources: dict[str, int] = Field(description="training rows and queries by source, of the 20 most frequent")


class TaskResult(Record):
    """How well one group of queries found its rows under one setting."""

    queries: str = Field(description="name of the group of queries")
    positives: str = Field(description="label of the rows that ought to rank high; own: the query's")
    chance: float = Field(description="share of these rows: what the measures of precision are at random")
    mean_of: int | None = Field(None, description="queries whose mean signature was asked; null: each was asked alone")
    setting: str = Field(description="name of the setting, or length: rows as long as the query rank high")
    evaluation: Evaluation


class TaskReport(Record):
    """An evaluation on one of the paper's tasks."""

    task: str
    title: str
    data: TaskDataSummary
    query_form: str = Field(description="text: queries are encoded as rows are; completion: only outputs count")
    store: str
    space: str = Field(description="fingerprint of the space")
    model: str
    dtype: str
    estimator: EstimatorConfig
    settings: tuple[TaskSetting, ...]
    results: tuple[TaskResult, ...] = Field(description="by group of queries, then by setting")
    tokens: int = Field(description="tokens of training rows that were encoded in this run")
    ingest_seconds: float
    seconds: float = Field(description="time of the whole evaluation")
