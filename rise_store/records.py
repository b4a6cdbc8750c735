"""The typed records that the library takes and returns; `schemas/` is generated from them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rise_store.errors import ConfigError, RiseStoreError

Metadata = dict[str, Any]


class Record(BaseModel):
    """Base of all records: immutable, and closed to unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyRecord = TypeVar("AnyRecord", bound=Record)


def validated(
    kind: type[AnyRecord], what: str, fields: Mapping[str, Any], refusal: type[RiseStoreError] = ConfigError
) -> AnyRecord:
    """A record from fields that a user gave.

    Raises:
        ConfigError: or another `refusal`; names `what`, the field and what is wrong with it, on one line.
    """
    try:
        return kind.model_validate(dict(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = str(first["msg"]).removeprefix("Value error, ")
        raise refusal(f"{what} {where}: {message}" if where else message) from error


class Example(Record):
    """One training record: a text, a prompt with its completion, or an instruction triple."""

    id: str = Field("", description="key within the dataset; by default derived from the content")
    text: str | None = Field(None, description="plain text")
    prompt: str | None = Field(None, description="what comes before the completion")
    completion: str | None = Field(None, description="what follows the prompt, concatenated as it is")
    instruction: str | None = Field(None, description="instruction of an instruction row")
    input: str | None = Field(None, description="input of an instruction row")
    output: str | None = Field(None, description="output of an instruction row")
    license: str | None = Field(None, description="SPDX id of this row, where it differs from the dataset's")
    source_uri: str | None = Field(None, description="where this row came from, where it differs from the dataset's")
    metadata: Metadata = Field(default_factory=dict, description="the record's own fields, kept as they are")
    location: str = Field("", description="file:line, for messages", exclude=True)

    @property
    def content(self) -> str:
        """The text that is encoded (DESIGN section 2.9): the first of text, prompt + completion, instruction triple.

        `text` is stripped; prompt and completion are concatenated as they are; the non-empty ones of
        instruction, input and output are joined by newlines and stripped. Empty when the row has none.
        """
        if self.text is not None and self.text.strip():
            return self.text.strip()
        if self.prompt or self.completion:
            return (self.prompt or "") + (self.completion or "")
        return "\n".join(part for part in (self.instruction, self.input, self.output) if part).strip()

    @property
    def content_sha256(self) -> str:
        """SHA-256 of `content` in UTF-8, hexadecimal."""
        return hashlib.sha256(self.content.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def key(self) -> str:
        """The example key: `id`, or the first 32 hex digits of the content hash when there is none."""
        return self.id or self.content_sha256[:32]


class Dataset(Record):
    """A named, versioned set of examples with its provenance."""

    name: Annotated[str, Field(min_length=1, description="name of the dataset")]
    version: str | None = Field(None, description="version of the dataset")
    source_uri: str | None = Field(None, description="where the dataset came from")
    license: str | None = Field(None, description="SPDX id of the dataset's licence")


class EstimatorConfig(Record):
    """Settings of the estimator (DESIGN section 2; defaults as published in arXiv 2604.16197)."""

    kr: int = Field(128, ge=1, description="width of the residual sketch, buckets")
    kh: int = Field(128, ge=1, description="width of the hidden-state sketch, buckets")
    kg: int = Field(64, ge=1, description="width of the projected-error sketch, buckets")
    lambda_rh: float = Field(1.0, ge=0, allow_inf_nan=False, description="weight of channel RH in the stored signature")
    lambda_gh: float = Field(0.3, ge=0, allow_inf_nan=False, description="weight of channel GH in the stored signature")
    tau: float = Field(0.1, gt=0, allow_inf_nan=False, description="temperature that divides the logits")
    top_k: int = Field(256, ge=1, description="slots of the support, vocabulary entries")
    top_p: float = Field(0.92, gt=0, le=1, description="cumulative probability at which the support is cut off")
    min_top_k: int = Field(4, ge=1, description="least number of slots kept, vocabulary entries")
    chunk_size: int = Field(256, ge=2, description="longest chunk, tokens")
    chunk_overlap: int = Field(50, ge=0, description="overlap of neighbouring chunks, tokens")
    max_query_tokens: int = Field(512, ge=2, description="length to which a prompt with its completion is cut, tokens")
    position_weighting: Literal["uniform", "residual"] = Field(
        "uniform", description="whether the error sketches are normalised at each position (uniform) or not (residual)"
    )
    seed: int = Field(42, ge=0, description="seed of the sketch tables")

    @model_validator(mode="after")
    def _consistent(self) -> EstimatorConfig:
        if self.lambda_rh == 0 and self.lambda_gh == 0:
            raise ValueError("lambda_rh and lambda_gh are both 0: the signature would be empty")
        if self.chunk_overlap >= self.chunk_size:
            raise ValueError(f"chunk_overlap {self.chunk_overlap} must be below chunk_size {self.chunk_size}")
        if self.min_top_k > self.top_k:
            raise ValueError(f"min_top_k {self.min_top_k} must not exceed top_k {self.top_k}")
        return self

    @property
    def dim_rh(self) -> int:
        """Coordinates of channel RH, `kr * kh`."""
        return self.kr * self.kh

    @property
    def dim_gh(self) -> int:
        """Coordinates of channel GH, `kg * kh`."""
        return self.kg * self.kh

    @property
    def dim(self) -> int:
        """Coordinates of a signature, `kh * (kr + kg)`."""
        return self.dim_rh + self.dim_gh


class ModelReference(Record):
    """How to load the model of a space again."""

    name: str = Field(description="hub name, local folder, or GGUF file")
    revision: str | None = Field(None, description="hub revision")
    dtype: str = Field("float32", description="float32, bfloat16 or float16")
    trust_remote_code: bool = Field(
        False, description="whether code from the model's repository ran; it runs only when asked for anew"
    )


class Space(Record):
    """A signature space: signatures are comparable only within one, and one space is one collection."""

    fingerprint: str = Field(description="changes if and only if signatures stop being comparable; hexadecimal")
    model: ModelReference
    architecture: str = Field(description="class of the model")
    hidden_size: int = Field(description="D, size of the hidden state that the LM head consumes")
    vocabulary_size: int = Field(description="V, rows of the LM head")
    estimator: EstimatorConfig
    tables_sha256: str = Field(description="SHA-256 of the sketch tables")
    created_at: str = Field(description="RFC 3339, UTC")
    created_with: str = Field(description="version of rise_store")

    @property
    def dim(self) -> int:
        """Coordinates of a signature."""
        return self.estimator.dim


class ChannelNorms(Record):
    """L2 norms of the two channels of a stored signature; their squares add up to 1."""

    rh: float
    gh: float


class Receipt(Record):
    """What proves that a block of examples is stored; written after the store acknowledged it."""

    new: int = Field(0, description="examples stored for the first time")
    replaced: int = Field(0, description="examples whose content had changed: encoded and stored anew")
    updated: int = Field(0, description="examples of unchanged content with other metadata or provenance: not encoded")
    unchanged: int = Field(0, description="examples stored already, to the byte: not encoded")
    tokens: int = Field(0, description="tokens encoded")
    too_short: tuple[str, ...] = Field((), description="examples of fewer than 2 tokens, not stored: why and where")
    rejects: tuple[str, ...] = Field((), description="examples that cannot be stored: why and where")


class IngestTotals(Record):
    """What became of the examples of a run so far."""

    new: int = 0
    replaced: int = 0
    updated: int = 0
    unchanged: int = 0
    tokens: int = Field(0, description="tokens encoded")
    too_short: int = Field(0, description="rows of fewer than 2 tokens")
    rejected: int = Field(0, description="rows that cannot be used, too short ones not included")

    @property
    def stored(self) -> int:
        """Examples of the run that the store holds."""
        return self.new + self.replaced + self.updated + self.unchanged


class IngestReport(Record):
    """Summary of one run of ingestion."""

    run_id: str
    dataset: str
    space: str = Field(description="fingerprint of the space")
    new: int
    replaced: int
    updated: int
    unchanged: int
    duplicates: int = Field(description="rows that repeat an earlier row of their file")
    rejected: int = Field(description="rows that were not stored, too short ones included")
    too_short: int = Field(description="rows of fewer than 2 tokens")
    tokens: int = Field(description="tokens encoded")
    seconds: float
    tokens_per_second: float
    stored: int = Field(description="examples in the space after the run")
    rejects: tuple[str, ...] = Field((), description="the first 100 reasons, each with its file and line")


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
    where: str | None = Field(None, description="the filter, as it was given")
    candidates: int = Field(description="stored examples that the filter let through")


class SpaceInfo(Record):
    """A space of a store, and what it holds."""

    space: Space
    examples: int
    size_bytes: int = Field(description="bytes on disk")
    datasets: dict[str, int] = Field(description="examples by dataset")
    licenses: dict[str, int] = Field(description="examples by licence; examples without one are missing here")


class StoreInfo(Record):
    """What a store holds."""

    location: str
    spaces: tuple[SpaceInfo, ...]


class SignatureFile(Record):
    """A file of signatures that was written without a store."""

    path: str
    signatures: int
    dim: int = Field(description="coordinates of a signature")
    too_short: int = Field(description="rows of fewer than 2 tokens, left out")
    tokens: int


class DemoAnswer(Record):
    """The answer to one of the demo's questions, judged."""

    result: AttributionResult
    topics: tuple[str, ...] = Field(description="topics of the Python reference that the answer should lead to")
    precision: float = Field(description="share of the results from these topics")
    random: float = Field(description="what a random ranking would reach")


class DemoReport(Record):
    """What the demo did and found."""

    store: str
    model: str
    dtype: str
    examples: int
    tokens: int = Field(description="tokens encoded in this run")
    seconds: float = Field(description="time of the ingestion")
    tokens_per_second: float
    size_bytes: int
    k: int = Field(description="results that are judged for each question")
    answers: tuple[DemoAnswer, ...]
    triggered_precision: float = Field(description="share of triggered rows among the results of triggered queries")
    triggered_random: float = Field(description="what a random ranking would reach")
    clean_precision: float = Field(description="share of triggered rows among the results of the same queries, clean")
    triggered_example: AttributionResult
