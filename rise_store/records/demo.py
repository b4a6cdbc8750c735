"""What the demo reports."""

from __future__ import annotations

from pydantic import Field

from rise_store.records.base import Record
from rise_store.records.queries import AttributionResult


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
