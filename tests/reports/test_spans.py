"""Texts as spans of tokens: nothing of a text or of a score is lost."""

from __future__ import annotations

import pytest

from rise_store.records import ChannelScores, ExplainedToken
from rise_store.reports.spans import Span, excerpt, in_context, text_spans


def token(text: str, start: int | None, end: int | None, score: float = 0.0) -> ExplainedToken:
    channels = ChannelScores(rh=score, gh=0)
    return ExplainedToken(text=text, start=start, end=end, counts=True, score=score, channels=channels)


def test_white_space_before_a_word_and_between_tokens_is_a_span_without_tokens() -> None:
    spans = text_spans("a  key\n.", [token("a", 0, 1, 1), token(" key", 2, 6, 2), token(".", 7, 8, 3)], first=5)
    assert [(span.text, span.tokens, span.score) for span in spans] == [
        ("a", [5], 1),
        ("  ", [], 0),
        ("key", [6], 2),
        ("\n", [], 0),
        (".", [7], 3),
    ]


def test_tokens_that_share_a_character_are_one_span_with_the_sum() -> None:
    parts = [token(" 🗝", 1, 3, 1), token("🗝", 2, 3, 2), token("🗝", 2, 3, 4), token("!", 3, 4, 8)]
    spans = text_spans("a 🗝!", [token("a", 0, 1), *parts])
    assert [(span.text, span.tokens, span.score) for span in spans] == [
        ("a", [0], 0),
        (" ", [], 0),
        ("🗝", [1, 2, 3], 7),
        ("!", [4], 8),
    ]


def test_special_tokens_and_pieces_stand_for_themselves() -> None:
    spans = text_spans("key ", [token("<s>", None, None), token("key", 0, 3)])
    assert [span.text for span in spans] == ["<s>", "key", " "]
    pieces = text_spans("the key", [token("the", None, None), token(" key", None, None)])
    assert [span.text for span in pieces] == ["the", " key"]


@pytest.mark.parametrize(
    ("score", "level"), [(0.0, 0), (0.04, 0), (0.06, 1), (0.5, 5), (1.0, 10), (-1.0, -10), (-0.25, -3)]
)
def test_levels_are_in_proportion(score: float, level: int) -> None:
    assert Span("x", score).level(1.0, 10) == level


def test_no_levels_where_nothing_adds() -> None:
    assert Span("x").level(0.0, 6) == 0


def test_an_excerpt_keeps_what_counts_in_order() -> None:
    spans = [Span(f"{number:03} ", 1.0 if number in (100, 300) else 0.0) for number in range(400)]
    shown = "".join(span.text for span in excerpt(spans, 700))
    first, second = shown.strip(" …").split("…")
    assert "100" in first
    assert "300" in second
    assert shown.count("…") == 3
    assert len(shown) < 700
    assert excerpt(spans[:10], 700) == spans[:10]


def test_a_token_in_context() -> None:
    text = "One day the dog found a shiny\nkey under a big old tree."
    start = text.index("\nkey")
    assert in_context(text, token("\nkey", start, start + 4)) == ("dog found a shiny ", "key", " under a big old")
    assert in_context(text, token("\n", start, start + 1)) == ("dog found a shiny", "⏎", "key under a big old")
    assert in_context(text, token("On", 0, 2)) == ("", "On", "e day the dog found")
    assert in_context(text, token("<s>", None, None)) == ("", "<s>", "")
