"""Filters as JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from rise_store import FilterError
from rise_store.retrieval import parse_where
from rise_store.store import And, DateRange, Equals, Exists, Filter, In, Not, Or, Prefix, Range

DAY = datetime(2026, 1, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"field": "license", "equals": "MIT"}, Equals("license", "MIT")),
        ({"field": "page", "equals": 5}, Equals("metadata.page", 5)),
        ({"field": 'metadata."a.b"', "equals": True}, Equals('metadata."a.b"', True)),
        ({"field": "license", "in": ["MIT", 5, False]}, In("license", ("MIT", 5, False))),
        ({"field": "tokens", "gte": 50, "lt": 90.5}, Range("tokens", gte=50, lt=90.5)),
        ({"gt": "2026-01-05", "field": "day"}, DateRange("metadata.day", gt=DAY)),
        ({"field": "ingested_at", "lte": "2026-01-05T02:00:00+02:00"}, DateRange("ingested_at", lte=DAY)),
        ({"field": "source_uri", "startswith": "https:"}, Prefix("source_uri", "https:")),
        ({"field": "license", "exists": True}, Exists("license")),
        ({"not": {"field": "license", "exists": True}}, Not(Exists("license"))),
        ({"or": [{"and": [{"field": "license", "exists": True}]}]}, Or((And((Exists("license"),)),))),
        ({"field": "tokens", "lt": 10**400}, Range("tokens", lt=10**400)),
    ],
)  # fmt: skip
def test_what_json_means(tree: dict[str, Any], expected: Filter) -> None:
    assert repr(parse_where(tree)) == repr(expected)
    assert repr(parse_where(f" {json.dumps(tree)}")) == repr(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"field": "a" "equals": 1}', "is not JSON: Expecting ',' delimiter at column 15"),
        ('{"field": "a", "equals": NaN}', "filter: NaN is no JSON; use a finite number"),
        ('{"field": "a", "equals": 1e999}', "filter: at equals: expected text, a finite number, true or false"),
        ('{"field": "a", "field": "b", "equals": 1}', "filter: the key 'field' stands twice in one object"),
        ("{}", "filter: at field: expected the name of a field, found null"),
        ('{"field": 5, "equals": 1}', "filter: at field: expected the name of a field, found 5"),
        ('{"field": "a"}', "filter: at the top: expected one of equals, in, startswith, exists, or bounds"),
        ('{"field": "a", "equals": 1, "gt": 1}', "found equals and gt"),
        ('{"field": "a", "like": "x"}', 'at the top: expected "and", "or", "not", or "field" with a condition, found'),
        ('{"and": [], "or": []}', 'filter: at the top: expected nothing beside "and", found "or"'),
        ('{"and": {"field": "a"}}', 'filter: at and: expected a list of filters, at least one, found {"fi'),
        ('{"and": []}', "filter: at and: expected a list of filters, at least one, found []"),
        ('{"not": {"or": []}}', "filter: at not.or: expected a list of filters, at least one, found []"),
        ('{"not": {"field": "a", "in": []}}', "filter: at not.in: expected a list of values, at least one, found []"),
        (f'{{"field": "a", "equals": {"9" * 5_000}}}', "holds a number of too many digits; use a shorter one"),
        (r'{"field": "\ud800", "exists": true}', r"filter: at field: '\ud800' is not a field: it is not valid Unicode"),
        ('{"and": [{"not": 5}]}', "filter: at and[0].not: expected an object, found 5"),
        ('{"or": [{"field": "a", "exists": true}, {"field": "b", "in": "x"}]}', "filter: at or[1].in: expected a list"),
        ('{"field": "a", "in": ["x", [1]]}', "filter: at in[1]: expected text, a finite number, true or false, found"),
        ('{"field": "a", "equals": null}', "filter: at equals: expected a value (null is none"),
        ('{"field": "a", "exists": false}', "filter: at exists: expected true (for the opposite"),
        ('{"field": "a", "startswith": 5}', "filter: at startswith: expected text, found 5"),
        ('{"field": "a", "gt": "soon"}', "filter: at gt: expected a number or a date such as 2026-01-05, found"),
        ('{"field": "a", "gt": true}', "filter: at gt: expected a number or a date such as 2026-01-05, found true"),
        ('{"field": "a", "gt": 5, "lt": "2026-01-05"}', "expected bounds of one kind, found a number and a date"),
        ('{"field": "a..b", "gt": 5}', "filter: at field: 'a..b' is not a field"),
        ('{"not":' * 200 + "{}" + "}" * 200, "filter: nested deeper than 100 levels"),
        ('{"not":' * 100_000, "nested deeper than 100 levels"),
    ],
)  # fmt: skip
def test_errors_say_where_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_where(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_neither_text_nor_json_nor_a_filter_is_refused() -> None:
    with pytest.raises(FilterError, match=r"^5 is not a filter: give text"):
        parse_where([5])  # type: ignore[list-item]
    with pytest.raises(FilterError, match="at equals: expected text, a finite number, true or false, found set"):
        parse_where({"field": "a", "equals": {1}})


def test_no_conditions_are_no_filter() -> None:
    assert parse_where() is None
    assert parse_where([]) is None
    assert parse_where(["a exists", Exists("license")]) == And((Exists("metadata.a"), Exists("license")))
