from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from rise_store.corpus.plain_values import plain_value, printable_value

SQL_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats()
    | st.binary(max_size=4)
    | st.decimals()
    | st.dates()
    | st.datetimes(timezones=st.just(timezone.utc))
    | st.uuids(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)


def test_each_type() -> None:
    assert plain_value(date(2024, 1, 2)) == "2024-01-02"
    assert plain_value(datetime(2024, 1, 2, 3, 4)) == "2024-01-02T03:04:00"
    assert plain_value(time(3, 4)) == "03:04:00"
    assert plain_value(timedelta(minutes=1)) == 60.0
    assert plain_value(UUID(int=1)) == "00000000-0000-0000-0000-000000000001"
    assert plain_value(memoryview(b"text")) == "text"
    assert plain_value(b"\xff") == b"\xff"
    assert plain_value(({"a": (Decimal("1.5"),)},)) == [{"a": [1.5]}]


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_its_value(value: Decimal) -> None:
    plain = plain_value(value)
    assert Decimal(repr(plain) if isinstance(plain, float) else plain) == value


@given(SQL_VALUE)
def test_what_can_be_printed_can_be_written_as_json(value: Any) -> None:
    printable = printable_value(plain_value(value))
    orjson.dumps(printable)


def test_what_no_json_can_hold() -> None:
    assert printable_value({"a\ud800": ["b\udfff", 2**64, -(2**63) - 1, 2**64 - 1, True]}) == {
        "a\ufffd": ["b\ufffd", str(2**64), str(-(2**63) - 1), 2**64 - 1, True]
    }
    assert printable_value(1 << 99_999) == "<integer of 100,000 bits>"


def test_numbers_that_are_none_stay_for_the_row_to_be_refused() -> None:
    assert math.isnan(plain_value(Decimal("NaN")))
    assert plain_value(Decimal("Infinity")) == math.inf
