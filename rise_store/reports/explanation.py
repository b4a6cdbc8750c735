"""Explanations as one HTML file: no network, no other file, and readable without its script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rise_store.records import Explanation, TokenPair
from rise_store.reports.spans import Span, excerpt, in_context, largest_score, text_spans, visible
from rise_store.version import __version__
from rise_store.whole_files import whole_file

if TYPE_CHECKING:
    import jinja2

LEVELS = 6  # of a colour
LONG = 1800  # characters of a text that is folded: an excerpt, and the whole below it
SHOWN_PAIRS = 10  # of either sign


def explanations_html(explanations: Sequence[Explanation], *, created_at: str | None = None) -> str:
    """The page of explanations of the hits of one query.

    Args:
        explanations: as `AttributionStore.explain` gives them.
        created_at: what the page says of its date; now, in UTC, if None.
    """
    style, script = _part("explanation.css"), _part("explanation.js")
    page: str = _template().render(
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        hits=[_hit(explanation) for explanation in explanations],
        first=explanations[0] if explanations else None,
        created_at=created_at or datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        levels=range(1, LEVELS + 1),
    )
    return page


def write_explanations(out: str | Path, explanations: Sequence[Explanation]) -> None:
    """Write the page of explanations; it appears whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    out = Path(out)
    page = explanations_html(explanations)
    with whole_file(out) as draft:
        draft.write_text(page, encoding="utf-8")


def _hit(explanation: Explanation) -> dict[str, Any]:
    """What the template shows of one explanation."""
    own = [token for token in explanation.query_tokens if token.part == "query"]
    training = text_spans(explanation.example.text, explanation.example_tokens)
    query = text_spans(explanation.query_text, own)
    against = text_spans(explanation.against_text or "", explanation.query_tokens[len(own) :], len(own))
    largest = max(largest_score(query), largest_score(against))
    whole = abs(explanation.channels.rh) + abs(explanation.channels.gh)
    return {
        "explanation": explanation,
        "training": _text(training, largest_score(training), explanation),
        "query": _text(query, largest),
        "against": _text(against, largest) if against else None,
        "bars": [
            (name, part, round(100 * abs(part) / whole) if whole else 0)
            for name, part in (("RH", explanation.channels.rh), ("GH", explanation.channels.gh))
        ],
        "positive": _pairs(explanation, explanation.positive_pairs),
        "negative": _pairs(explanation, explanation.negative_pairs),
    }


def _text(spans: Sequence[Span], largest: float, explanation: Explanation | None = None) -> dict[str, Any]:
    """A text's spans, and an excerpt of them where it is long."""
    size = sum(len(span.text) for span in spans)
    return {
        "largest": largest,
        "size": size,
        "whole": _marked(spans, largest, explanation),
        "excerpt": _marked(excerpt(spans, LONG), largest, explanation) if size > LONG else None,
    }


def _marked(spans: Iterable[Span], largest: float, explanation: Explanation | None) -> list[dict[str, Any]]:
    marked = []
    for span in spans:
        level = span.level(largest, LEVELS)
        text = span.text
        if level and not text.strip():
            text = visible(text) + "\n" * text.count("\n")
        partners: dict[int, float] = {}
        if explanation is not None:
            for token in span.tokens:
                for index, score in explanation.example_tokens[token].partners.items():
                    partners[index] = partners.get(index, 0.0) + score
        marked.append(
            {
                "text": text,
                "kind": _kind(span, level),
                "title": f"{span.score:+.4f} (RH {span.rh:+.4f}, GH {span.gh:+.4f})" if span.counts else "",
                "tokens": " ".join(map(str, span.tokens)),
                "partners": " ".join(f"{index}:{score:.3g}" for index, score in partners.items() if score),
            }
        )
    return marked


def _kind(span: Span, level: int) -> str:
    """The class of a span: p1 to p6 adds, n1 to n6 takes away, z does neither, u does not count."""
    if level:
        return f"{'p' if level > 0 else 'n'}{abs(level)}"
    if span.tokens:
        return "z" if span.counts else "u"
    return ""


def _pairs(explanation: Explanation, pairs: Sequence[TokenPair]) -> list[dict[str, Any]]:
    shown = []
    for pair in pairs[:SHOWN_PAIRS]:
        token = explanation.query_tokens[pair.query_token]
        of = explanation.query_text if token.part == "query" else explanation.against_text or ""
        shown.append(
            {
                "example": in_context(explanation.example.text, explanation.example_tokens[pair.example_token]),
                "query": in_context(of, token),
                "against": token.part == "against",
                "pair": pair,
            }
        )
    return shown


def _part(name: str) -> str:
    return (files("rise_store.reports") / name).read_text(encoding="utf-8")


def _csp_hash(content: str) -> str:
    """What a Content-Security-Policy allows an inline style or script by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["signed"] = lambda value: f"{value:+.4f}"
    return environment.from_string(_part("explanation.html.j2"))
