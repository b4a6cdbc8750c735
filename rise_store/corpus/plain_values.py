"""What databases and columnar files hold -> what JSON can hold, where there is a way that loses nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

_DEEPEST = 200  # levels; `parse_row` refuses fewer
_MOST_BITS = 10_000  # of integers that are written out; Python writes no more than 4,300 digits


def plain_value(value: Any, depth: int = 0) -> Any:
    """A date or time in ISO 8601, a duration in seconds, a decimal as the number it is, binary data as UTF-8 text.

    A decimal that no number of 64 bits equals becomes a text. What has no such form, such as binary data that is no
    UTF-8, stays as it is: `parse_row` refuses it, unless the mapping leaves it out.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if depth >= _DEEPEST:
        return value
    if isinstance(value, list | tuple):
        return [plain_value(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {name: plain_value(item, depth + 1) for name, item in value.items()}
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data
    return value


def well_formed(text: str) -> str:
    """A text with its lone surrogates, which no UTF-8 can hold, replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def printable_value(value: Any, depth: int = 0) -> Any:
    """A value as JSON for people to look at: what has no JSON form is described.

    Lone surrogates are replaced; an integer beyond 64 bits becomes a text.
    """
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value) if value.bit_length() <= _MOST_BITS else f"<integer of {value.bit_length():,} bits>"
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= _DEEPEST:
        return f"<{type(value).__name__}>"
    if isinstance(value, list | tuple):
        return [printable_value(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {well_formed(str(name)): printable_value(item, depth + 1) for name, item in value.items()}
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    return f"<{type(value).__name__}>"


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return math.nan if value.is_nan() else float(value)
    if value == value.to_integral_value() and -(2**63) <= value < 2**64:
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)
