"""Why an example ranks: its score, spread over the tokens of both sides."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rise_store.records.base import Metadata, Record
from rise_store.records.examples import RowOrigin
from rise_store.records.queries import ChannelScores, Lambdas, Metric, Query, Weights
from rise_store.records.spaces import EstimatorConfig, ModelReference


class ExplainedToken(Record):
    """A token, and what the positions that predict it add to the score."""

    text: str = Field(description="its characters in the text; what the tokenizer calls it where it has none")
    start: int | None = Field(None, description="index of its first character in the text; null: it has none there")
    end: int | None = Field(None, description="index behind its last character")
    counts: bool = Field(description="whether its prediction counts: not the first token's, and not the prompt's")
    score: float = Field(description="what predicting it adds to the score, paired with all tokens of the other side")
    channels: ChannelScores


class QueryToken(ExplainedToken):
    """A token of the query, or of what it is asked against, which counts negatively."""

    part: Literal["query", "against"]


class ExampleToken(ExplainedToken):
    """A token of the training example."""

    partners: dict[int, float] = Field(
        description="index of a token of the query -> what the pair adds, for the strongest of either sign"
    )


class TokenPair(Record):
    """What one token of the example and one of the query add to the score together."""

    example_token: int = Field(description="index in example_tokens")
    query_token: int = Field(description="index in query_tokens")
    score: float
    channels: ChannelScores


class ExplainedExample(Record):
    """The training example whose score is explained."""

    example_id: str
    dataset: str
    dataset_version: str | None = None
    license: str | None = None
    source_uri: str | None = None
    text: str = Field(description="as it is stored")
    metadata: Metadata = Field(default_factory=dict)
    read_from: RowOrigin | None = Field(None, description="where the row was read; null where nobody noted it")
    vanished_in: str | None = Field(
        None, description="version of the dataset that has the example no more; null: it was there in the latest"
    )


class Explanation(Record):
    """One score, as the sum of what pairs of tokens add to it."""

    query: Query
    query_text: str = Field(description="what query_tokens of part query are of: a prompt and completion are joined")
    against_text: str | None = Field(None, description="likewise of part against; null: there is none")
    example: ExplainedExample
    rank: int | None = Field(description="in the answer to the query; null: the example was named")
    score: float = Field(description="of the stored signature, as a search gives it")
    explained: float = Field(description="the sum over all pairs, from both texts encoded anew")
    rounding: float = Field(
        description="score - explained: what storing rounds, and a model of low precision in another batch"
    )
    channels: ChannelScores = Field(description="their parts of explained")
    query_tokens: tuple[QueryToken, ...] = Field(description="their scores add up to explained")
    example_tokens: tuple[ExampleToken, ...] = Field(description="their scores add up to explained")
    positive_pairs: tuple[TokenPair, ...] = Field(description="those that add most, the largest first")
    negative_pairs: tuple[TokenPair, ...] = Field(description="those that take most away, the largest first")
    candidates: int = Field(description="stored examples that the filter let through")
    where: str | None = Field(None, description="the filter, in the language of --where")
    metric: Metric = Field(description="what a score is")
    weights: Weights
    lambdas: Lambdas | None = Field(None, description="those of the metric paper")
    precondition: float | None = Field(None, description="alpha of the preconditioning; null: there was none")
    preset: str | None = Field(None, description="name of the preset that settings were taken from")
    space: str = Field(description="fingerprint of the space")
    estimator: EstimatorConfig
    model: ModelReference = Field(description="what both texts were encoded with")
