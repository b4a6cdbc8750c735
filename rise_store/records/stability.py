"""How stable an answer is."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record


class HitStability(Record):
    """What became of one hit when the positions of the query were drawn anew; low and high are 5 and 95 %."""

    in_top: float = Field(description="share of the resamples in which it is among the k best")
    rank_low: int | None = Field(description="5th percentile of its rank; null: beyond `depth`")
    rank_high: int | None = Field(description="95th percentile of its rank; null: beyond `depth`")
    score_low: float = Field(description="5th percentile of its score")
    score_high: float = Field(description="95th percentile of its score")


class SeedAgreement(Record):
    """How far a space that differs only in the seed of its sketch gives the same answer."""

    space: str = Field(description="fingerprint of the other space")
    seed: int = Field(description="of its sketch")
    candidates: int = Field(description="its stored examples that the filter let through")
    overlap: float | None = Field(description="share of the answer that its answer has too; null: no hits")


class Stability(Record):
    """How stable an answer is when the positions of its query are drawn anew, with replacement."""

    resamples: int
    seed: int = Field(description="of the draws")
    positions: int = Field(description="positions that are drawn from; with few of them, there is little to draw")
    k: int = Field(description="length of the answer, to which `in_top` and `overlap` refer")
    depth: int = Field(description="ranks that are told apart")
    overlap: float | None = Field(description="mean share of the answer among the k best of a resample; null: no hits")
    seeds: tuple[SeedAgreement, ...] = Field((), description="spaces that differ only in the seed of the sketch")
