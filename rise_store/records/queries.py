"""What is asked of a store, and the ranked answers."""

from __future__ import annotations

from pydantic import Field, model_validator

from rise_store.records.base import Metadata, Record


class Weights(Record):
    """Query-time channel weights; they fold into the query, so nothing is reindexed."""

    rh: float = Field(1.0, ge=-1e30, le=1e30)
    gh: float = Field(1.0, ge=-1e30, le=1e30)

    @model_validator(mode="after")
    def _not_empty(self) -> Weights:
        if self.rh == 0 and self.gh == 0:
            raise ValueError("both weights are 0, so every score would be 0")
        return self


class Query(Record):
    """What is asked about: a text, or a prompt with the completion whose causes are sought."""

    id: str = Field("", description="the caller's own name for the query")
    text: str | None = Field(None, description="encoded as an example is")
    prompt: str | None = Field(None, description="context of the completion; its own tokens do not count")
    completion: str | None = Field(None, description="the model output to be attributed")

    @model_validator(mode="after")
    def _one_kind(self) -> Query:
        pair = self.prompt is not None or self.completion is not None
        if pair == (self.text is not None) or (pair and not self.completion):
            raise ValueError("a query is either a text, or a prompt with a completion")
        return self


class ChannelScores(Record):
    """What each channel adds to a score; the two add up to it."""

    rh: float
    gh: float


class Attribution(Record):
    """One training example in the ranked answer to a query."""

    rank: int = Field(description="1 is the most influential")
    score: float = Field(description="weighted dot product of the query's signature and the example's")
    channels: ChannelScores
    example_id: str
    dataset: str
    dataset_version: str | None = None
    license: str | None = None
    source_uri: str | None = None
    text: str | None = None
    tokens: int | None = None
    metadata: Metadata = Field(default_factory=dict)


class AttributionResult(Record):
    """The ranked answer to one query."""

    query: Query
    results: tuple[Attribution, ...]
    space: str = Field(description="fingerprint of the space")
    weights: Weights
    where: str | None = Field(None, description="the filter, in the language of --where")
    candidates: int = Field(description="stored examples that the filter let through")
