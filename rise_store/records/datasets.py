"""Datasets with their provenance."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rise_store.records.base import Record


class CollectionPeriod(Record):
    """When the data was collected."""

    start: str | None = Field(None, description="first day, RFC 3339 date")
    end: str | None = Field(None, description="last day, RFC 3339 date")


class Dataset(Record):
    """A named, versioned set of examples with its provenance."""

    name: Annotated[str, Field(min_length=1, description="name of the dataset")]
    version: str | None = Field(None, description="version of the dataset")
    source_uri: str | None = Field(None, description="where the dataset came from")
    license: str | None = Field(None, description="SPDX expression of the dataset's licence")
    license_uri: str | None = Field(None, description="text of the licence")
    issuer: str | None = Field(None, description="who publishes the dataset")
    origin: str | None = Field(None, description="how the data came about, such as web crawl, survey or synthetic")
    collection_period: CollectionPeriod | None = Field(None, description="when the data was collected")
    legal_basis: str | None = Field(None, description="ground on which the data may be processed, such as contract")
    consent: str | None = Field(None, description="what the people concerned agreed to, or where that is recorded")
    retention: str | None = Field(None, description="day on which the data must go, or an ISO 8601 duration")
    pii: Literal["none", "pseudonymised", "present", "unknown"] | None = Field(
        None, description="whether the data holds personal information"
    )
    permitted_uses: tuple[str, ...] = Field((), description="what the data may be used for")


class RegisteredDataset(Record):
    """A dataset as a store knows it."""

    dataset: Dataset
    registered_at: str | None = Field(None, description="RFC 3339, UTC; null where it was never registered")
    updated_at: str | None = Field(None, description="when its provenance last changed; RFC 3339, UTC")
    examples: int = Field(0, description="examples stored, vanished ones included")
    vanished: int = Field(0, description="examples that a later version of the dataset no longer has")
    versions: dict[str, int] = Field(default_factory=dict, description="examples by dataset version")
    last_run: str | None = Field(None, description="id of the run that last wrote to it")
