"""How good ranked answers are, by queries whose right answers are known."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.queries import Lambdas, Metric, Weights

MeasureName = Literal["auprc", "auroc", "precision", "average_precision"]


def measure_label(name: MeasureName, k: int | None) -> str:
    """A measure in one word: `auprc@10`, or `average_precision` over all rows."""
    return name if k is None else f"{name}@{k}"


class Measure(Record):
    """One measure of the answers to several queries."""

    name: MeasureName
    k: int | None = Field(description="of the K highest and K lowest rows; null: over all rows")
    value: float | None = Field(description="mean over the queries where it is defined; null: there are none")
    low: float | None = Field(None, description="lower end of the bootstrap interval over queries; null: not estimated")
    high: float | None = Field(None, description="its upper end")
    undefined: int = Field(0, description="queries that the mean leaves out: auroc of rows that are all of one class")
    per_query: tuple[float | None, ...] = Field((), description="the value of each query, in order")

    @property
    def label(self) -> str:
        """In one word, as `auprc@10`."""
        return measure_label(self.name, self.k)


class Evaluation(Record):
    """Measures of the answers to several queries."""

    measures: tuple[Measure, ...]
    queries: int
    rows: int = Field(description="ranked for each query; the most, where queries differ")
    positives: float = Field(description="rows that ought to rank high, the mean over queries")
    query_ids: tuple[str, ...] = Field((), description="the caller's own names for the queries; empty: none")

    def measure(self, name: MeasureName, k: int | None = None) -> Measure:
        """The measure of this name, at K or over all rows; `KeyError` where it was not taken."""
        for one in self.measures:
            if (one.name, one.k) == (name, k):
                return one
        raise KeyError(measure_label(name, k))


class StoreEvaluation(Evaluation):
    """Measures of what a store answers, with the settings that it answered under."""

    space: str = Field(description="fingerprint of the space")
    metric: Metric = Field("dot", description="what a score is")
    weights: Weights = Field(default_factory=Weights, description="of the channels, under dot and cosine")
    lambdas: Lambdas | None = Field(None, description="those of the metric paper")
    precondition: float | None = Field(None, description="alpha of the preconditioning; null: there was none")
    preset: str | None = Field(None, description="name of the preset that settings were taken from")
    where: str | None = Field(None, description="the filter, in the language of --where")


class Difference(Record):
    """How much one method is ahead of another in a measure, on the same queries."""

    name: MeasureName
    k: int | None
    value: float | None = Field(description="mean over queries of the difference; null: no query has both")
    low: float | None = Field(None, description="lower end of the paired bootstrap interval; null: not estimated")
    high: float | None = Field(None, description="its upper end")
    queries: int = Field(description="that the mean is over")

    @property
    def label(self) -> str:
        """In one word, as `auprc@10`."""
        return measure_label(self.name, self.k)
