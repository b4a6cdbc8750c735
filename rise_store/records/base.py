"""The base of all records, and how fields that a user gave become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

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
