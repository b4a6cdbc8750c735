"""A text as a row of spans, each with what its tokens add to a score."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rise_store.records import ExplainedToken

WORDS = 20  # characters on either side of a token that its context has
AROUND = 120  # characters that an excerpt shows on either side of a token


@dataclass
class Span:
    """Characters of a text that belong together: those of a token, of tokens that share one, or of none."""

    text: str
    score: float = 0.0
    rh: float = 0.0
    gh: float = 0.0
    tokens: list[int] = field(default_factory=list)  # indices; empty between tokens
    counts: bool = False

    def level(self, largest: float, levels: int) -> int:
        """Its colour: 0 for none to `levels` for the largest contribution, negative where it takes away."""
        if not largest:
            return 0
        level = min(levels, int(abs(self.score) / largest * levels + 0.5))
        return level if self.score > 0 else -level


def text_spans(text: str, tokens: Iterable[ExplainedToken], first: int = 0) -> list[Span]:
    """The spans of a text, which together are the text and all of its tokens.

    Args:
        text: what the tokens are of.
        tokens: in their order.
        first: index of the first of them.
    """
    spans: list[Span] = []
    position: int | None = None
    for index, token in enumerate(tokens, first):
        if token.start is None or token.end is None:
            spans.append(Span(token.text))
        else:
            begin = position or 0
            if token.start >= begin or not spans:
                core = text[token.start : token.end]
                start = token.start + len(core) - len(core.lstrip() or core)
                if start > begin:
                    spans.append(Span(text[begin:start]))  # white space before a word bears no colour
                spans.append(Span(text[start : token.end]))
            else:  # tokens of parts of one character
                spans[-1].text += text[begin : token.end]
            position = max(begin, token.end)
        span = spans[-1]
        span.tokens.append(index)
        span.score += token.score
        span.rh += token.channels.rh
        span.gh += token.channels.gh
        span.counts = span.counts or token.counts
    if position is not None and position < len(text):
        spans.append(Span(text[position:]))
    return spans


def largest_score(spans: Iterable[Span]) -> float:
    """The largest contribution of a span, of either sign."""
    return max((abs(span.score) for span in spans), default=0.0)


def excerpt(spans: Sequence[Span], limit: int) -> list[Span]:
    """About `limit` characters around the spans that add or take most; spans of `…` stand for what is left out."""
    lengths = [len(span.text) for span in spans]
    if sum(lengths) <= limit:
        return list(spans)
    kept: set[int] = set()
    size = 0
    for index in sorted(range(len(spans)), key=lambda i: -abs(spans[i].score)):
        near = _around(lengths, index) - kept
        if kept and not spans[index].score:
            break
        if size and size + sum(lengths[i] for i in near) > limit:
            break
        kept |= near
        size += sum(lengths[i] for i in near)
    shown: list[Span] = []
    for index, span in enumerate(spans):
        if index in kept:
            shown.append(span)
        elif index == 0 or index - 1 in kept:
            shown.append(Span(" … "))
    return shown


def _around(lengths: Sequence[int], index: int) -> set[int]:
    found = {index}
    for step in (-1, 1):
        size, other = 0, index + step
        while 0 <= other < len(lengths) and size < AROUND:
            size += lengths[other]
            found.add(other)
            other += step
    return found


def in_context(text: str, token: ExplainedToken) -> tuple[str, str, str]:
    """A token with the words around it: what stands before it, its characters, and what stands behind it."""
    if token.start is None or token.end is None:
        return "", token.text, ""
    core = text[token.start : token.end]
    lead = len(core) - len(core.lstrip()) if core.strip() else 0
    before = text[max(0, token.start + lead - WORDS) : token.start + lead]
    after = text[token.end : token.end + WORDS]
    if token.start + lead > WORDS and (cut := re.match(r"\S*\s+", before)):
        before = before[cut.end() :]  # no parts of words
    if token.end + WORDS < len(text) and (cut := re.search(r"\s+\S*$", after)):
        after = after[: cut.start()]
    return re.sub(r"\s+", " ", before), visible(core[lead:]), re.sub(r"\s+", " ", after)


def visible(text: str) -> str:
    """A token on one line, its line breaks and tabs as marks, and one of spaces alone as well."""
    marked = text.replace("\n", "⏎").replace("\t", "⇥")
    return marked if marked.strip() else marked.replace(" ", "␣")
