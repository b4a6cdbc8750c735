"""What is asked of a store, and the ranked answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from rise_store.records.base import Metadata, Record
from rise_store.records.examples import RowOrigin
from rise_store.records.stability import HitStability, Stability

Metric = Literal["dot", "cosine", "paper"]


class Weights(Record):
    """Query-time channel weights; they fold into the query, so nothing is reindexed."""

    rh: float = Field(1.0, ge=-1e30, le=1e30)
    gh: float = Field(1.0, ge=-1e30, le=1e30)

    @model_validator(mode="after")
    def _not_empty(self) -> Weights:
        if self.rh == 0 and self.gh == 0:
            raise ValueError("both weights are 0, so every score would be 0")
        return self


class Lambdas(Record):
    """Weights of the channels inside a signature, as the paper has them: `normalised [rh RH, gh GH]`."""

    rh: float = Field(ge=0, le=1e30)
    gh: float = Field(ge=0, le=1e30)

    @model_validator(mode="after")
    def _not_empty(self) -> Lambdas:
        if self.rh == 0 and self.gh == 0:
            raise ValueError("both lambdas are 0, so every signature would be empty")
        return self


class ApproximateSearch(Record):
    """How an approximate search compares fewer signatures, or coarser ones, than an exact one."""

    method: Literal["quantized", "hnsw"] = Field(
        description="quantized scans a coarse copy of the signatures, hnsw walks a graph of them"
    )
    oversampling: float = Field(
        4.0, ge=1, le=1e6, description="times k: so many are rescored with the stored signatures, if there is a copy"
    )
    ef: int | None = Field(None, ge=1, le=1_000_000, description="width of the walk; null: as the engine has it")


class Query(Record):
    """What is asked about: a text, or a prompt with the completion whose causes are sought."""

    id: str = Field("", description="the caller's own name for the query")
    text: str | None = Field(None, description="encoded as an example is")
    prompt: str | None = Field(None, description="context of the completion; its own tokens do not count")
    completion: str | None = Field(None, description="the model output to be attributed")
    against: str | None = Field(
        None,
        description="what the model might have answered instead (of a text: another text); its signature is subtracted",
    )
    against_prompt: str | None = Field(None, description="prompt of `against`, where it is not the query's own")
    where: str | dict[str, Any] | None = Field(None, description="a filter of this query's own, beside the common one")
    k: int | None = Field(None, description="how many examples to return for this query")

    @field_validator("id", "text", "prompt", "completion", "against", "against_prompt")
    @classmethod
    def _unicode(cls, value: str | None) -> str | None:
        try:
            (value or "").encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"no valid Unicode at character {error.start + 1}; give text in UTF-8") from error
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Query:
        pair = self.prompt is not None or self.completion is not None
        if pair == (self.text is not None) or (pair and not self.completion):
            raise ValueError("a query is either a text, or a prompt with a completion")
        if self.against == "":
            raise ValueError("against is empty; give what the model might have answered instead")
        if self.against_prompt is not None and self.against is None:
            raise ValueError("against_prompt goes with against, the completion that follows it")
        return self

    @property
    def counterfactual(self) -> Query | None:
        """What the query is asked against, as a query: after its own prompt, else the query's, else a text."""
        if self.against is None:
            return None
        prompt = self.prompt if self.against_prompt is None else self.against_prompt
        if prompt is None and self.text is not None:
            return Query(id=self.id, text=self.against)
        return Query(id=self.id, prompt=prompt, completion=self.against)


Fusion = Literal["mean", "rrf"]


class QuerySet(Record):
    """Several queries that are answered as one."""

    id: str = Field("", description="the caller's own name for the set")
    queries: tuple[Query, ...]
    fusion: Fusion = Field(
        description="mean: one search with the mean signature; rrf: the sum of 1 / (60 + rank) over the rankings"
    )


class ChannelScores(Record):
    """What each channel adds to a score; the two add up to it.

    Under fusion rrf a query adds 1 / (60 + rank), which is split as `abs(rh) : abs(gh)` of the score behind the rank.
    """

    rh: float
    gh: float


class Attribution(Record):
    """One training example in the ranked answer to a query."""

    rank: int = Field(description="1 is the most influential")
    score: float = Field(
        description="of the query's signature and the example's, as the metric has it; under fusion rrf, see `ranks`"
    )
    channels: ChannelScores
    example_id: str
    dataset: str
    dataset_version: str | None = None
    license: str | None = None
    source_uri: str | None = None
    text: str | None = None
    tokens: int | None = None
    metadata: Metadata = Field(default_factory=dict)
    read_from: RowOrigin | None = Field(None, description="where the row was read; null where nobody noted it")
    vanished_in: str | None = Field(
        None, description="version of the dataset that has the example no more; null: it was there in the latest"
    )
    ranks: tuple[int | None, ...] | None = Field(
        None,
        description="under fusion rrf, by query of the set; the score is the sum of 1 / (60 + rank); null: over 1,000",
    )
    stability: HitStability | None = Field(None, description="under resampled positions of the query")


class AttributionResult(Record):
    """The ranked answer to one query."""

    query: Query | QuerySet
    results: tuple[Attribution, ...]
    space: str = Field(description="fingerprint of the space")
    weights: Weights
    where: str | None = Field(None, description="the filter, in the language of --where")
    candidates: int = Field(description="stored examples that the filter let through")
    metric: Metric = Field("dot", description="what a score is")
    lambdas: Lambdas | None = Field(None, description="those of the metric paper")
    approximate: ApproximateSearch | None = Field(None, description="how the search approximated; null: it was exact")
    offset: int = Field(0, description="examples that were passed over; ranks count them")
    min_score: float | None = Field(None, description="examples that score less were left out")
    precondition: float | None = Field(None, description="alpha of the preconditioning; null: there was none")
    preset: str | None = Field(None, description="name of the preset that settings were taken from")
    stability: Stability | None = Field(None, description="under resampled positions of the query; null: not asked for")
