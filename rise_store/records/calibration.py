"""Which settings of queries suit labelled queries best, and what that gains."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.evaluation import Difference, MeasureName
from rise_store.records.presets import Preset
from rise_store.records.queries import Lambdas, Metric, Weights


class Settings(Record):
    """Settings of queries, as a preset keeps them."""

    space: str = Field(description="fingerprint of the space")
    metric: Metric = Field("dot", description="what a score is")
    weights: Weights = Field(default_factory=Weights, description="of the channels, under dot and cosine")
    lambdas: Lambdas | None = Field(None, description="those of the metric paper")
    precondition: float | None = Field(None, description="alpha; null: none")


class CalibrationFold(Record):
    """One fold of the cross-validation: what the other queries chose, measured on its own queries."""

    chosen: Settings
    queries: int
    value: float = Field(description="mean of the measure over the fold's queries, under what was chosen")
    default: float = Field(description="the same under the default settings")


class CalibrationReport(Record):
    """What calibration chose, and how it does on queries that it was not chosen with."""

    measure: MeasureName
    k: int | None = Field(description="of the measure; null: over all rows")
    queries: int
    rows: int
    spaces: tuple[str, ...] = Field(description="fingerprints of the spaces that were tried; the first is the default")
    tried: int = Field(description="how many settings were tried")
    folds: tuple[CalibrationFold, ...]
    default: Settings
    default_value: float = Field(description="mean of the measure over the queries, under the default settings")
    held_out_value: float = Field(
        description="the same under what was chosen without each query: no query counts for settings it helped choose"
    )
    gain: Difference = Field(description="held_out_value over default_value, with its paired bootstrap interval")
    candidate: Settings = Field(description="what all queries together would choose")
    agreement: int = Field(description="folds that chose the same settings as all queries together")
    chosen: Settings = Field(description="candidate where the interval of the gain lies above 0, else default")
    reason: str = Field(description="why, for people")
    preset: Preset | None = Field(None, description="what was saved; null: nothing")
