"""Limits as people write them."""

from __future__ import annotations

import pytest

from rise_store.errors import ConfigError, FilterError
from rise_store.records import SelectionLimit
from rise_store.retrieval.select import Limits


def test_quotas_and_limits_of_each_value() -> None:
    limits = Limits.plan(
        200, None, ["license=MIT:30%", "source_uri=https://x.example/a:7", "topic=:0"], ["dataset=50%"]
    )
    assert limits.shares == (
        SelectionLimit(field="license", value="MIT", rows=60),
        SelectionLimit(field="source_uri", value="https://x.example/a", rows=7),
        SelectionLimit(field="metadata.topic", value="", rows=0),
        SelectionLimit(field="dataset", rows=100),
    )
    assert limits.fields == ("license", "source_uri", "metadata.topic", "dataset")


def test_a_per_cent_of_a_token_budget_is_in_tokens() -> None:
    assert Limits.plan(None, 5_000, ["license=MIT:10%"]).shares == (
        SelectionLimit(field="license", value="MIT", tokens=500),
    )
    assert Limits.plan(10, 5_000, ["license=MIT:10%"]).shares[0].rows == 1


def test_a_per_cent_is_never_rounded_to_nothing() -> None:
    assert Limits.plan(3, 40, (), ["license=30%"]).shares == (SelectionLimit(field="license", rows=1, tokens=12),)
    assert Limits.plan(3, None, ["license=MIT:0%"]).shares[0].rows == 0


def test_values_that_are_no_texts_are_compared_as_json() -> None:
    limits = Limits.plan(5, None, ["year=2020:1", "draft=true:1", 'tags=["a","b"]:1'])
    fields = {"metadata": {"year": 2020, "draft": True, "tags": ["a", "b"]}}
    assert [number for number, _ in limits.keys(fields)] == [0, 1, 2]
    assert limits.keys({"metadata": {"year": 2021}}) == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None), "say how much to select: a number of rows with -k, a token budget with --tokens, or both"),
        ((0, None), "k is 0; select at least 1 row"),
        ((None, 1), "the token budget is 1; the shortest example has 2 tokens"),
        ((5, None, ["license=MIT"]), "quota 'license=MIT' is not FIELD=VALUE:N, such as license=MIT:100"),
        ((5, None, ["MIT:5"]), "quota 'MIT:5' is not FIELD=VALUE:N"),
        ((5, None, ["license=MIT:x"]), "quota 'license=MIT:x': 'x' is no number of rows and no per cent"),
        ((5, None, ["license=MIT:101%"]), "101% is more than everything"),
        ((5, None, (), ["license"]), "limit 'license' is not FIELD=N, such as source_uri=3"),
        ((5, None, (), ["text=3"]), "limit 'text=3': text makes no groups; name a field such as dataset"),
    ],
)
def test_limits_that_cannot_be_read(arguments: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace("[", r"\[")):
        Limits.plan(*arguments)


def test_what_is_no_field() -> None:
    with pytest.raises(FilterError, match=r"'a\.\.b' is not a field"):
        Limits.plan(5, None, ["a..b=x:1"])
