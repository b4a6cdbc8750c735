"""Signature spaces: what makes signatures comparable, and how they are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rise_store.records.base import Record


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
    position_weighting: Literal["uniform", "residual", "surprisal"] = Field(
        "uniform",
        description="what a position counts by: error sketches of unit length (uniform, as published), as long as they "
        "are (residual), or that times the root of -log p of the token that came, over the support (surprisal)",
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


class Storage(Record):
    """How a collection keeps its vectors; chosen when it is created, and no part of the fingerprint."""

    vectors: Literal["float16", "turbo8", "turbo4"] = Field(
        "float16", description="16, 8 or 4 bits a coordinate; turbo8 and turbo4 are Qdrant's rotated quantization"
    )
    quantization: Literal[4, 2, 1] | None = Field(
        None, description="bits a coordinate of a second, coarser copy that approximate search scans first"
    )
    hnsw: bool = Field(False, description="whether a graph is built for approximate search")

    def bytes_per_vector(self, dim: int) -> int:
        """Bytes of one vector of `dim` coordinates on disk, its coarse copy included, a graph not."""
        bits = {"float16": 16, "turbo8": 8, "turbo4": 4}[self.vectors] + (self.quantization or 0)
        return -(-dim * bits // 8)


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
    storage: Storage = Field(default_factory=Storage, description="how the vectors are kept")

    @property
    def dim(self) -> int:
        """Coordinates of a signature."""
        return self.estimator.dim


class ChannelNorms(Record):
    """L2 norms of the two channels of a stored signature; their squares add up to 1."""

    rh: float
    gh: float


class SpaceInfo(Record):
    """A space of a store, and what it holds."""

    space: Space
    examples: int
    size_bytes: int | None = Field(description="bytes on disk, those of deleted examples included; null where unknown")
    logical_bytes: int = Field(
        description="bytes of the examples that are stored: signatures, and payloads estimated from a random sample"
    )
    datasets: dict[str, int] = Field(description="examples by dataset")
    licenses: dict[str, int] = Field(description="examples by licence; examples without one are missing here")


class StoreInfo(Record):
    """What a store holds."""

    location: str
    spaces: tuple[SpaceInfo, ...]
    catalogue_bytes: int | None = Field(
        None, description="bytes on disk of runs, receipts, tombstones ...; null where unknown"
    )
