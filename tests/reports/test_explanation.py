"""The HTML of explanations: hostile texts, no network, legible colours."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rise_store import EstimatorConfig, Explanation, InputError, Query, Weights
from rise_store.records import (
    ChannelScores,
    ExampleToken,
    ExplainedExample,
    ModelReference,
    QueryToken,
    TokenPair,
)
from rise_store.reports import explanations_html, write_explanations

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\" {{ 7*7 }} &amp; <!-- </style>"


def zero() -> ChannelScores:
    return ChannelScores(rh=0, gh=0)


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\s*\S+", text)]


def explanation(training: str, answer: str = " An answer.", **fields: object) -> Explanation:
    """An explanation whose tokens are words; the second word of each text adds, the third takes away."""
    scores = {1: 0.5, 2: -0.25}
    spans = words(training)
    tokens = [
        ExampleToken(
            text=training[start:end],
            start=start,
            end=end,
            counts=number > 0,
            score=scores.get(number, 0.0),
            channels=ChannelScores(rh=scores.get(number, 0.0), gh=0),
            partners={1: scores[number]} if number in scores else {},
        )
        for number, (start, end) in enumerate(spans)
    ]
    asked = [
        QueryToken(text=answer[start:end], start=start, end=end, counts=True, score=0.1, channels=zero(), part="query")
        for start, end in words(answer)
    ]
    pair = TokenPair(
        example_token=min(1, len(spans) - 1), query_token=0, score=0.5, channels=ChannelScores(rh=0.5, gh=0)
    )
    values: dict[str, object] = {
        "query": Query(prompt=None, completion=answer),
        "query_text": answer,
        "example": ExplainedExample(example_id="row-7", dataset="books", license="MIT", text=training),
        "rank": 1,
        "score": 0.251,
        "explained": 0.25,
        "rounding": 0.001,
        "channels": ChannelScores(rh=0.4, gh=-0.15),
        "query_tokens": tuple(asked),
        "example_tokens": tuple(tokens),
        "positive_pairs": (pair,),
        "negative_pairs": (),
        "candidates": 12,
        "metric": "dot",
        "weights": Weights(),
        "space": "5ace",
        "estimator": EstimatorConfig(),
        "model": ModelReference(name="tiny"),
    }
    return Explanation.model_validate(values | fields)


class Page(HTMLParser):
    """Elements with their attributes, and the text of some."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def of(self, tag: str) -> Sequence[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def hostile() -> str:
    page = explanation(
        f"one two three {HOSTILE}",
        HOSTILE,
        query=Query(id=HOSTILE, completion=HOSTILE, prompt=HOSTILE, against=HOSTILE, against_prompt=HOSTILE),
        against_text=HOSTILE,
        example=ExplainedExample(
            example_id=HOSTILE,
            dataset=HOSTILE,
            dataset_version=HOSTILE,
            license=HOSTILE,
            source_uri="javascript:alert(3)",
            text=f"one two three {HOSTILE}",
            metadata={HOSTILE: [HOSTILE]},
            read_from={"file": HOSTILE, "row": 1},
            vanished_in=HOSTILE,
        ),
        where=HOSTILE,
        model=ModelReference(name=HOSTILE, revision=HOSTILE),
    )
    return explanations_html([page])


def test_texts_stay_texts(hostile: str) -> None:
    page = Page(hostile)
    assert (len(page.of("script")), len(page.of("style")), len(page.of("img"))) == (1, 1, 0)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert "javascript:" not in re.sub(r">[^<]*<", "><", hostile)  # a source is shown, and is no link
    assert HOSTILE in page.text  # unescaped by the parser: whole
    assert "49" not in re.sub(r"[0-9]{3,}", "", "".join(page.text))


def test_nothing_is_fetched_and_only_our_style_and_script_run(hostile: str) -> None:
    page = Page(hostile)
    for tag in ("link", "iframe", "object", "a", "form"):
        assert page.of(tag) == []
    assert not [attributes for _, attributes in page.elements if {"src", "href", "style"} & attributes.keys()]
    (policy,) = (meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", hostile, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert "http" not in content
        assert "@import" not in content


def test_what_a_reviewer_looks_for() -> None:
    page = Page(explanations_html([explanation("one two three")], created_at="2026-05-04"))
    text = " ".join("".join(page.text).split())
    for said in (
        "row-7",
        "books",
        "MIT",
        "0.2510",
        "metric",
        "dot",
        "5ace",
        "tiny",
        "tau 0.1",
        "2026-05-04",
        "12 examples",
    ):
        assert said.lower() in text.lower(), said
    assert page.of("html") == [{"lang": "en"}]
    assert len(page.of("h1")) == 1
    coloured = {(attributes.get("class"), attributes.get("title")) for attributes in page.of("span")}
    assert {
        ("p6", "+0.5000 (RH +0.5000, GH +0.0000)"),  # of the training text, its strongest
        ("n3", "-0.2500 (RH -0.2500, GH +0.0000)"),
        ("p6", "+0.1000 (RH +0.0000, GH +0.0000)"),  # of the answer
    } < coloured


def test_the_text_is_there_character_by_character() -> None:
    text = "  one\n\n two\tthree  four\n"
    html = explanations_html([explanation(text)])
    (shown,) = re.findall(r'<section class="training">.*?<p class="text">(.*?)</p>', html, re.DOTALL)
    assert re.sub(r"<[^>]+>", "", shown) == text


def test_a_long_text_is_folded_around_what_counts() -> None:
    text = "begin key lock " + "filler " * 2000 + "end"
    html = explanations_html([explanation(text)])
    first, _, rest = html.partition("<details>")
    assert "filler " * 100 not in re.sub(r"<[^>]+>", "", first)
    assert ">key</span> <span" in first
    assert "…" in first
    assert f"{len(text):,} characters" in rest


def test_no_hits() -> None:
    assert "nothing to explain" in explanations_html([])


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        write_explanations(tmp_path / "no" / "why.html", [])
    with pytest.raises(InputError, match="it is a folder"):
        write_explanations(tmp_path, [])
    write_explanations(tmp_path / "why.html", [])
    assert [file.name for file in tmp_path.iterdir()] == ["why.html"]


def test_letters_are_legible_on_every_colour() -> None:
    """A contrast of 4.5 and more, as WCAG 2 asks for, in light, dark and print."""
    (style,) = re.findall(r"<style>(.*?)</style>", explanations_html([]), re.DOTALL)
    themes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(themes) == 3
    for theme in themes:
        colours = dict(re.findall(r"--(\w+): #([0-9a-f]{6})", theme))
        for name in ("page", "panel", *(f"{sign}{level}" for sign in "pn" for level in range(1, 7))):
            assert contrast(colours["ink"], colours[name]) >= 4.5, name
        for name in ("page", "panel"):
            assert contrast(colours["soft"], colours[name]) >= 4.5, name


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
