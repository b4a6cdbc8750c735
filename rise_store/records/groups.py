"""Influence by group: which datasets, sources or licences an output comes from."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.queries import ApproximateSearch, Lambdas, Metric, Query, Weights


class InfluenceShare(Record):
    """One group of examples, and its share of the influence on one query."""

    group: str | int | float | bool | None = Field(
        description="the value that its examples share; null: they have none; a list or an object is its JSON"
    )
    share: float | None = Field(description="its positive scores over those of all groups; null: nothing is positive")
    rows: int = Field(description="examples of the group among those considered")
    positive: float = Field(description="sum of their positive scores")
    negative: float = Field(description="sum of their negative scores, 0 or below")


class AttributionGroups(Record):
    """The influence on one query by group, over a stated number of examples."""

    query: Query
    by: str = Field(description="payload field whose values make the groups")
    groups: tuple[InfluenceShare, ...] = Field(description="largest share first")
    rows: int = Field(description="examples considered: those of largest score")
    positive: float = Field(description="sum of their positive scores")
    negative: float = Field(description="sum of their negative scores, 0 or below")
    space: str = Field(description="fingerprint of the space")
    weights: Weights
    where: str | None = Field(None, description="the filter, in the language of --where")
    candidates: int = Field(description="stored examples that the filter let through")
    metric: Metric = Field("dot", description="what a score is")
    lambdas: Lambdas | None = Field(None, description="those of the metric paper")
    approximate: ApproximateSearch | None = Field(None, description="how the search approximated; null: it was exact")
    min_score: float | None = Field(None, description="examples that score less were left out")
    precondition: float | None = Field(None, description="alpha of the preconditioning; null: there was none")
    preset: str | None = Field(None, description="name of the preset that settings were taken from")
