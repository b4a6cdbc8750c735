"""The filters of docs/filters.md can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rise_store import FilterError
from rise_store.retrieval import format_where, parse_where
from rise_store.store import OWN_FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "filters.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"the page has no block of {language!r}"
    return found


@pytest.mark.parametrize("text", [*blocks("filter")[0].splitlines(), *blocks("json")])
def test_examples_can_be_read(text: str) -> None:
    where = parse_where(text)
    assert where is not None
    assert parse_where(format_where(where)) == where


def test_the_error_is_the_one_that_is_raised() -> None:
    with pytest.raises(FilterError) as caught:
        parse_where("tokens >> 5")
    assert f"{caught.value}\n" in blocks("")


def test_every_own_field_is_named() -> None:
    named = set(re.findall(r"`([a-z0-9_.]+)`", PAGE))
    internal = {"flags", "record_sha256", "channel_norms", "metadata"}
    assert set(OWN_FIELDS) - internal <= named
