"""What candidates are worth, which of them to train on, and what is odd or stands in a corpus several times."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from rise_store.records.base import Metadata, Record
from rise_store.records.examples import RowOrigin
from rise_store.records.queries import ChannelScores, Lambdas, Metric, Weights

ValueBy = Literal["mean", "max", "rrf"]
Strategy = Literal["mean", "max", "rrf", "mmr", "facility-location"]


class KnownExample(Record):
    """Where an example is from: one that is stored, or one that was read."""

    example_id: str = Field(description="key within its dataset or file")
    dataset: str | None = Field(None, description="null where it is not stored")
    dataset_version: str | None = None
    license: str | None = None
    source_uri: str | None = None
    tokens: int | None = Field(None, description="that were encoded, special ones included")
    metadata: Metadata = Field(default_factory=dict)
    read_from: RowOrigin | None = Field(None, description="where the row was read; null where nobody noted it")
    text: str | None = Field(None, description="null unless texts were asked for")


class CandidateValue(KnownExample):
    """How much one candidate would help with a set of targets."""

    value: float = Field(description="mean or largest score over the targets, or sum of 1 / (60 + rank) over them")
    channels: ChannelScores | None = Field(None, description="what each channel adds; null under rrf")
    scores: tuple[float, ...] | None = Field(None, description="of each target, where they were asked for")


class SelectedExample(KnownExample):
    """One candidate that was chosen to be trained on."""

    rank: int = Field(description="1 was chosen first")
    value: float = Field(description="mean or largest score over the targets, or sum of 1 / (60 + rank) over them")
    record: dict[str, Any] = Field(description="the row as it was read; of a stored example, its text and metadata")


class SelectionLimit(Record):
    """At most so much of the selection may share a value."""

    field: str = Field(description="payload field: dataset, license, source_uri, metadata.x ...")
    value: str | None = Field(None, description="the value; empty: no value; null: each value of the field by itself")
    rows: int | None = Field(None, description="examples")
    tokens: int | None = Field(None, description="tokens")


class Selection(Record):
    """Candidates that were chosen to be trained on, and how."""

    examples: tuple[SelectedExample, ...] = Field(description="in the order in which they were chosen")
    strategy: Strategy
    k: int | None = Field(None, description="examples asked for; null: as many as the tokens allow")
    tokens: int | None = Field(None, description="token budget; null: none")
    limits: tuple[SelectionLimit, ...] = ()
    diversity: float | None = Field(None, description="lambda of mmr; null for the other strategies")
    candidates: int = Field(description="candidates that were scored")
    pool: int = Field(description="best candidates that were held at the end and chosen from")
    targets: int
    space: str = Field(description="fingerprint of the space")
    metric: Metric = "dot"
    weights: Weights = Field(default_factory=Weights)
    lambdas: Lambdas | None = None
    precondition: float | None = Field(None, description="alpha of the preconditioning; null: there was none")
    preset: str | None = Field(None, description="name of the preset that settings were taken from")

    @property
    def used_tokens(self) -> int:
        """Tokens of the chosen examples."""
        return sum(one.tokens or 0 for one in self.examples)

    def training_rows(self) -> list[dict[str, Any]]:
        """The chosen rows as they were read, best first; `rise` in each says why it was chosen and where it is from."""
        how = {"strategy": self.strategy, "space": self.space}
        return [
            {
                **one.record,
                "rise": {
                    "rank": one.rank,
                    "value": one.value,
                    **how,
                    **one.model_dump(
                        mode="json", exclude={"rank", "value", "record", "text", "metadata"}, exclude_none=True
                    ),
                },
            }
            for one in self.examples
        ]


class SelfInfluence(KnownExample):
    """How far a step on one example would lower its own loss: large for rows that the model finds wrong."""

    self_influence: float = Field(description="squared length of the gradient of the mean loss at the LM head")
    adjusted: float = Field(
        description="self-influence times the tokens that count, which short rows do not lead by their length alone"
    )
    loss: float = Field(description="nats a token that counts")
    positions: int = Field(
        description="tokens that count; of a long text in each window by itself, twice where windows overlap"
    )
    typicality: float | None = Field(
        None, description="mean cosine with the other stored examples of its dataset; null for rows that are not stored"
    )


class DuplicateExample(KnownExample):
    """One member of a cluster of near-duplicates."""

    similarity: float = Field(description="cosine of its signature with the representative's")


class DuplicateCluster(Record):
    """Stored examples that hang together by signatures which are nearly the same."""

    representative: DuplicateExample = Field(description="the member nearest to the mean of the cluster")
    others: tuple[DuplicateExample, ...] = Field(description="most similar first")
    threshold: float = Field(description="cosine from which on two examples are near-duplicates")
    space: str = Field(description="fingerprint of the space")

    @property
    def size(self) -> int:
        """Members."""
        return 1 + len(self.others)
