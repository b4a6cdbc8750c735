"""Named settings of queries."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.queries import Lambdas, Metric, Weights


class Preset(Record):
    """Settings of queries under a name, kept in the store."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    space: str = Field(description="fingerprint of the space that the settings were chosen for")
    metric: Metric = Field("dot", description="what a score is")
    weights: Weights = Field(default_factory=Weights, description="of the channels, under dot and cosine")
    lambdas: Lambdas | None = Field(None, description="those of the metric paper")
    precondition: float | None = Field(None, gt=0, allow_inf_nan=False, description="alpha; null: none")
    note: str = Field("", description="where the settings come from, for people")
    created_at: str = Field("", description="RFC 3339, UTC")
