"""Datasets with their provenance."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from rise_store.records.base import Record

_DAY = r"\d{4}-\d{2}-\d{2}"
_DATE = re.compile(rf"{_DAY}([Tt]\d{{2}}:\d{{2}}:\d{{2}}(\.\d{{1,9}})?([Zz]|[+-]\d{{2}}:\d{{2}}))?")
_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?")


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError(f"{value[:60]!r} has control characters, or spaces at an end")
    return value


def _uri(value: str) -> str:
    if not value.isprintable() or any(character.isspace() for character in value):
        raise ValueError(f"{value[:60]!r} has spaces or control characters, which a URI has not (write them as %20)")
    try:
        parts = urlsplit(value)
        password, _ = parts.password, parts.port
    except ValueError as error:
        raise ValueError(f"not a URI: {error}") from None
    if password:
        raise ValueError("the URI holds a password, which every example would show: leave it out")
    if parts.scheme in ("http", "https") and not parts.hostname:
        raise ValueError(f"{value[:60]!r} names no host")
    return value


def _date(value: str) -> str:
    if not _DATE.fullmatch(value):
        raise ValueError(f"{value[:40]!r} is no RFC 3339 date, such as 2026-01-31")
    try:
        date.fromisoformat(value[:10])
        datetime.fromisoformat(f"{value[:10]}T{value[11:19] or '00:00:00'}")
    except ValueError as error:
        raise ValueError(f"{value[:40]!r} is no date: {error}") from None
    return value


def _retention(value: str) -> str:
    if _DURATION.fullmatch(value):
        return value
    try:
        return _date(value)
    except ValueError:
        raise ValueError(
            f"{value[:40]!r} is neither a day, such as 2030-12-31, nor an ISO 8601 duration, such as P5Y"
        ) from None


Label = Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_printable)]
Uri = Annotated[str, Field(min_length=1), AfterValidator(_uri)]
Date = Annotated[str, AfterValidator(_date)]


class CollectionPeriod(Record):
    """When the data was collected."""

    start: Date | None = Field(None, description="first day, RFC 3339 date")
    end: Date | None = Field(None, description="last day, RFC 3339 date")

    @model_validator(mode="after")
    def _in_order(self) -> CollectionPeriod:
        if self.start is not None and self.end is not None and self.start[:10] > self.end[:10]:
            raise ValueError(f"the collection period ends ({self.end}) before it starts ({self.start})")
        return self


class Dataset(Record):
    """A named, versioned set of examples with its provenance."""

    name: Annotated[str, Field(min_length=1, description="name of the dataset")]
    version: Label | None = Field(None, description="version of the dataset")
    source_uri: Uri | None = Field(None, description="where the dataset came from")
    license: Label | None = Field(None, description="SPDX expression of the dataset's licence")
    license_uri: Uri | None = Field(None, description="text of the licence")
    issuer: Label | None = Field(None, description="who publishes the dataset")
    origin: Label | None = Field(None, description="how the data came about, such as web crawl, survey or synthetic")
    collection_period: CollectionPeriod | None = Field(None, description="when the data was collected")
    legal_basis: Label | None = Field(None, description="ground on which the data may be processed, such as contract")
    consent: Label | None = Field(None, description="what the people concerned agreed to, or where that is recorded")
    retention: Annotated[str, AfterValidator(_retention)] | None = Field(
        None, description="day on which the data must go, or an ISO 8601 duration"
    )
    pii: Literal["none", "pseudonymised", "present", "unknown"] | None = Field(
        None, description="whether the data holds personal information"
    )
    permitted_uses: tuple[Label, ...] = Field((), description="what the data may be used for")


class RegisteredDataset(Record):
    """A dataset as a store knows it."""

    dataset: Dataset
    registered_at: str | None = Field(None, description="RFC 3339, UTC; null where it was never registered")
    updated_at: str | None = Field(None, description="when its provenance last changed; RFC 3339, UTC")
    examples: int = Field(0, description="examples stored, vanished ones included")
    vanished: int = Field(0, description="examples that a later version of the dataset no longer has")
    versions: dict[str, int] = Field(default_factory=dict, description="examples by dataset version")
    last_run: str | None = Field(None, description="id of the run that last wrote to it")
    changes: tuple[str, ...] = Field((), description="what registering it just now changed, one line each")
    warnings: tuple[str, ...] = Field((), description="what was odd about registering it just now, one line each")
