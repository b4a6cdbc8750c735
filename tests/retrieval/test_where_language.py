"""The language of filters: what it says, where it is wrong, and that it can be written back."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rise_store import FilterError
from rise_store.retrieval import format_where, parse_where
from rise_store.retrieval.where.json_form import from_json, to_json
from rise_store.store import And, DateRange, Equals, Exists, Filter, In, Not, Or, Prefix, Range
from tests.store.brute_force import matches

DAY = datetime(2026, 1, 5, tzinfo=timezone.utc)
FORUM = Equals("dataset", "forum")
FIVE = Or((Equals("metadata.a", "5"), Equals("metadata.a", 5)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("license=MIT", Equals("license", "MIT")),
        ("  license  =  MIT  ", Equals("license", "MIT")),
        ('dataset = "forum"', FORUM),
        ("dataset = 'forum'", FORUM),
        ("metadata.a = 5", FIVE),
        ("a = 5", FIVE),
        ('a = "5"', Equals("metadata.a", "5")),
        ("a = 5.0", Or((Equals("metadata.a", "5.0"), Equals("metadata.a", 5.0)))),
        ("a = true", Or((Equals("metadata.a", "true"), Equals("metadata.a", True)))),
        ("a = True", Equals("metadata.a", "True")),
        ("a = nan", Equals("metadata.a", "nan")),
        ("a != 5", Not(FIVE)),
        ("a!=5", Not(FIVE)),
        ("license in (MIT, CC-BY-4.0)", In("license", ("MIT", "CC-BY-4.0"))),
        ("license not in(MIT,'a, b')", Not(In("license", ("MIT", "a, b")))),
        ("a in (5, x, false)", In("metadata.a", ("5", 5, "x", "false", False))),
        ("tokens >= 50", Range("tokens", gte=50)),
        ("tokens>50", Range("tokens", gt=50)),
        ("tokens<0", Range("tokens", lt=0)),
        ("channel_norms.rh <= 0.5", Range("channel_norms.rh", lte=0.5)),
        ("ingested_at > 2026-01-05", DateRange("ingested_at", gt=DAY)),
        ("ingested_at < 2026-01-05T00:00:00Z", DateRange("ingested_at", lt=DAY)),
        ("ingested_at >= 2026-01-05T05:30+05:30", DateRange("ingested_at", gte=DAY)),
        ("ingested_at <= '2026-01-05 00:00:00.25'", DateRange("ingested_at", lte=DAY.replace(microsecond=250_000))),
        ("source_uri startswith https://x.org/", Prefix("source_uri", "https://x.org/")),
        ("source_uri startswith ''", Prefix("source_uri", "")),
        ("license exists", Exists("license")),
        ('metadata."a.b".c exists', Exists('metadata."a.b".c')),
        ('"a.b".c=x', Equals('metadata."a.b".c', "x")),
        ('"two words" = x', Equals('metadata."two words"', "x")),
        ('"not" = x', Equals("metadata.not", "x")),
        ("k[0]!x=y", Equals('metadata."k[0]!x"', "y")),
        ("source_uri=https://x.org/a?b=c&d=(e),f", Equals("source_uri", "https://x.org/a?b=c&d=(e),f")),
        ("(source_uri=https://x.org/A_(b))", Equals("source_uri", "https://x.org/A_(b)")),
        ("a = b=c", Equals("metadata.a", "b=c")),
        ("a = O'Brien", Equals("metadata.a", "O'Brien")),
        (r"a = 'it\'s \"x\" \u00e9\n\\'", Equals("metadata.a", 'it\'s "x" é\n\\')),
        ("not license exists", Not(Exists("license"))),
        ("NOT(license Exists)", Not(Exists("license"))),
        (
            "license in (MIT, CC-BY-4.0) and tokens >= 50 and not dataset = 'forum'",
            And((In("license", ("MIT", "CC-BY-4.0")), Range("tokens", gte=50), Not(FORUM))),
        ),
        (
            "a exists or b exists AND NOT c exists",
            Or((Exists("metadata.a"), And((Exists("metadata.b"), Not(Exists("metadata.c")))))),
        ),
        (
            "(a exists or b exists) and c exists\n",
            And((Or((Exists("metadata.a"), Exists("metadata.b"))), Exists("metadata.c"))),
        ),
    ],
)
def test_what_a_filter_means(text: str, expected: Filter) -> None:
    assert repr(parse_where(text)) == repr(expected)  # 5 == 5.0 and 1 == True, but they are written differently


COMPARISONS = '"=", "!=", "<", "<=", ">", ">=", "in", "not in", "startswith" or "exists"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "filter '': at column 1: expected a field, found the end"),
        ("tokens >> 5", """filter 'tokens >> 5': at column 9: expected a value after ">", found ">\""""),
        ("a == b", """filter 'a == b': at column 4: expected a value after "=", found "=\""""),
        ("a =", """filter 'a =': at column 4: expected a value after "=", found the end"""),
        ("=7", """filter '=7': at column 1: expected a field, found "=\""""),
        ("page", f"filter 'page': at column 5: expected {COMPARISONS}, found the end"),
        ("page ~ 7", f"""filter 'page ~ 7': at column 6: expected {COMPARISONS}, found "~\""""),
        ("a exists and or b exists", """at column 14: expected a field, found "or\""""),
        (
            "a exists b exists",
            """at column 10: expected "and", "or" or the end, found "b". A value with""",
        ),
        ("title=A story", """at column 9: expected "and", "or" or the end, found "story". A value with spaces needs"""),
        ("a=1)", """filter 'a=1)': at column 4: expected "and", "or" or the end, found ")\""""),
        ("(a=1", """filter '(a=1': at column 5: expected "and", "or" or ")", found the end"""),
        ("(a=b c)", """at column 6: expected "and", "or" or ")", found "c". A value with spaces needs quotes"""),
        ("a in 5", """at column 6: expected "(" after "in", found "5\""""),
        ("a in ()", """at column 7: expected a value after "(", found ")\""""),
        ("a in (1,)", """at column 9: expected a value after ",", found ")\""""),
        ("a in (b c)", """at column 9: expected "," or ")", found "c". A value with spaces needs quotes"""),
        ("a in (b", """at column 8: expected "," or ")", found the end"""),
        ("a not b", """at column 7: expected "in" after "not", found "b\""""),
        ("a startswith", """at column 13: expected a value after "startswith", found the end"""),
        ("day > soon", """at column 7: expected a number or a date after ">", found "soon\""""),
        ('day > "5"', """at column 7: expected a number or a date after ">", found ""5\"""" + '"'),
        ("day > 2026-02-30", """at column 7: expected a number or a date after ">", found "2026-02-30\""""),
        ("day > 9999-12-31T23:00:00-05:00", "at column 7: expected a number or a date"),
        ("day > inf", """at column 7: expected a number or a date after ">", found "inf\""""),
        ('a = "open', "at column 5: expected text with a closing quote"),
        (r'a = "\q"', "at column 5: expected text in quotes with no escapes but those of JSON"),
        ("a..b=7", "filter 'a..b=7': at column 1: 'a..b' is not a field: write keys separated by dots, like a.b"),
        ("b = 1 and a.=7", "at column 11: 'a.' is not a field"),
        ("a = 1 and \udcff = 2", r"at column 11: '\udcff' is not a field: it is not valid Unicode; write it in UTF-8"),
        (r'"\ud800" = 2', "is not a field: it is not valid Unicode"),
        ("x" * 80 + " ~ 5 " + "y" * 80, f"filter '...{'x' * 29} ~ 5 {'y' * 26}...': at column 82: expected"),
        ("(" * 200 + "a=1" + ")" * 200, "expected at most 100 levels of parentheses and negations"),
        ("not " * 5000 + "a=1", "expected at most 100 levels of parentheses and negations"),
    ],
)
def test_errors_say_where_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_where(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "license = MIT",
        "license in (MIT, CC-BY-4.0) and tokens >= 50 and dataset != forum",
        "a = 5 or b = true",
        'a = "5" and b in ("6", 7, "x y", false)',
        "(a exists or b exists) and not (c exists and d exists)",
        "not not a exists",
        "ingested_at >= 2026-01-05 and ingested_at < 2026-01-05T10:00:00.000250Z",
        'source_uri startswith "https://"',
        'metadata.not = x and metadata.license exists and "two words" exists',
        "source_uri = https://x.org/A_(b)?c=d",
        'a = "x,y" and a = "" and a = "(" and a = "it\'s \\"so\\""',
    ],
)
def test_what_is_written_is_what_was_read(text: str) -> None:
    where = parse_where(text)
    assert where is not None
    assert format_where(where) == text


def test_json_says_what_the_language_cannot() -> None:
    assert format_where(Equals("tokens", 5)) == '{"field": "tokens", "equals": 5}'
    assert format_where(Range("tokens", gte=1, lt=3)) == '{"field": "tokens", "gte": 1, "lt": 3}'


def test_what_has_no_parts_is_written_as_what_holds_everywhere_or_nowhere() -> None:
    exists = '{"field": "%s", "exists": true}'
    page, example = exists % "metadata.page", exists % "example_id"
    assert format_where(Not(In("metadata.page", ()))) == f'{{"not": {{"and": [{page}, {{"not": {page}}}]}}}}'
    assert format_where(And(())) == f'{{"or": [{example}, {{"not": {example}}}]}}'
    assert format_where(Or(())) == f'{{"and": [{example}, {{"not": {example}}}]}}'


FIELDS = st.sampled_from(
    [
        "license",
        "metadata.a",
        "metadata.not",
        'metadata."a.b".c',
        "metadata.license",
        'metadata."x y"',
        'metadata."é(,)"',
    ]
)
WORDS = st.sampled_from(
    [
        "MIT",
        "5",
        "5.0",
        "true",
        "True",
        "and",
        "not",
        "a b",
        "a,b",
        "(",
        "f(x)",
        "",
        "'",
        '"',
        " 5",
        "{",
        "=",
        "x=y",
        "é\n",
    ]
)
NUMBERS = (
    st.integers(-3, 6)
    | st.sampled_from([0.5, 5.0, -1.5, 1e300, 2**70])
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.booleans() | NUMBERS | WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
MOMENTS = st.sampled_from(
    [
        DAY,
        DAY.replace(tzinfo=None),
        DAY.replace(hour=10, microsecond=250),
        DAY.replace(tzinfo=timezone(timedelta(hours=5, seconds=7))),
    ]
)
SIDES = st.sampled_from(["gt", "gte", "lt", "lte"])


def bounds(limits: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(SIDES, limits, max_size=2)


LEAVES = (
    st.builds(Equals, FIELDS, VALUES)
    | st.builds(In, FIELDS, st.lists(VALUES, max_size=4).map(tuple))
    | st.builds(lambda field, given: Range(field, **given), FIELDS, bounds(NUMBERS))
    | st.builds(lambda field, given: DateRange(field, **given), FIELDS, bounds(MOMENTS))
    | st.builds(Prefix, FIELDS, WORDS)
    | st.builds(Exists, FIELDS)
    | st.sampled_from([FIVE, In("license", ("5", 5)), In("license", ("true", True, "x"))])
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=6,
)
STORED = VALUES | st.sampled_from([None, "2026-01-05", "2026-01-05T10:00:00Z", [], [0, 5], ["5", 1, "MIT"], [5, True]])


KEYS = st.sampled_from(["a", "not", "c", "own", "x", "e", "license"])


def payload_of(values: dict[str, Any]) -> dict[str, Any]:
    metadata = {
        "a": values.get("a"),
        "not": values.get("not"),
        "a.b": {"c": values.get("c")},
        "license": values.get("own"),
        "x y": values.get("x"),
        "é(,)": values.get("e"),
    }
    return {"license": values.get("license"), "metadata": metadata}


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(where=FILTERS, payloads=st.lists(st.dictionaries(KEYS, STORED), max_size=5))
def test_whatever_is_written_can_be_read_to_the_same_effect(where: Filter, payloads: list[dict[str, Any]]) -> None:
    text = format_where(where)
    again = parse_where(text)
    assert again is not None
    for payload in map(payload_of, payloads):
        assert matches(again, payload) == matches(where, payload), text
    assert "\n" not in text
    in_json = to_json(where)
    assert to_json(from_json(json.loads(json.dumps(in_json)))) == in_json


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text("ab1=!<>()\"'\\, notiexsrd.{}:[]5-", max_size=30))
def test_any_text_is_a_filter_or_an_error_of_ours(text: str) -> None:
    with suppress(FilterError):
        where = parse_where(text)
        assert where is not None
        assert parse_where(format_where(where)) == where


def test_a_field_outside_the_payload_cannot_be_written() -> None:
    with pytest.raises(FilterError, match=r"'author\.name' is no field of a stored example"):
        format_where(Equals("author.name", "Ada"))
