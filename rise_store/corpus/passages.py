"""A page of plain documentation text -> passages of a few sentences, each under the heading of its section.

The pages are those of `pydoc`: headings are underlined, paragraphs stand between blank lines, and what belongs to
the line before it (code, grammar, the body of a definition) is indented further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MIN_CHARACTERS = 250
"""Passages below this (about 60 tokens) are merged with their neighbours where the page has any."""

MAX_CHARACTERS = 1000
"""Longest passage without its heading, about 240 tokens."""

_LONGEST_UNIT = 850  # leaves room for a short neighbour

_UNDERLINE = re.compile(r"([*=~^\"-])\1{2,}$")
_MARKERS = re.compile(r"-\[ .* \]-$")  # "-[ Footnotes ]-"
_VERSION_NOTE = re.compile(r" *(New|Added|Changed|Deprecated) (in version|since)")


def split_passages(page: str) -> list[str]:
    """The passages of a page, in order; each begins with the heading of its section where there is one.

    Sections are cut at paragraph ends. A paragraph stays with the indented block behind it, and all code behind a
    line that ends in a colon stays together, up to `MAX_CHARACTERS`.
    """
    passages: list[tuple[str, str]] = []
    for heading, paragraphs in _sections(page.splitlines()):
        parts = _merged([piece for unit in _units(paragraphs) for piece in _cut(unit)])
        if parts and passages and len(passages[-1][1]) < MIN_CHARACTERS and _fits(passages[-1][1], heading, parts[0]):
            # a section too short to stand alone goes in front of the next one
            before_heading, before = passages.pop()
            passages.append((before_heading, "\n\n".join(filter(None, (before, heading, parts.pop(0))))))
        passages += [(heading, part) for part in parts]
    return [f"{heading}\n\n{text}" if heading else text for heading, text in passages]


def _fits(*texts: str) -> bool:
    return sum(len(text) + 2 for text in texts) <= MAX_CHARACTERS


def _sections(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Headings with the paragraphs under them."""
    heading = ""
    paragraphs: list[str] = []
    current: list[str] = []
    for line in [*lines, ""]:
        if line.strip() and not (_UNDERLINE.match(line) or _MARKERS.match(line)):
            current.append(line.rstrip())
            continue
        if _UNDERLINE.match(line) and len(current) == 1:
            yield heading, paragraphs
            heading, paragraphs, current = current[0], [], []
        if current:
            paragraphs.append("\n".join(current))
            current = []
    yield heading, paragraphs


def _units(paragraphs: list[str]) -> list[str]:
    """Paragraphs, each with the more indented ones or the table that belong to it, and with its version notes."""
    units: list[str] = []
    head = ""  # the first paragraph of the last unit
    for paragraph in paragraphs:
        is_deeper = bool(units) and (_indent(paragraph) > _indent(head) or paragraph.startswith("+--"))
        if is_deeper and units[-1] == head:
            units[-1] += f"\n\n{paragraph}"  # whatever its length: _cut ends a long unit at a line of the block
        elif (
            units
            and _fits(units[-1], paragraph)
            and (_VERSION_NOTE.match(paragraph) or (is_deeper and head.endswith(":")))
        ):
            units[-1] += f"\n\n{paragraph}"
        else:
            units.append(paragraph)
            head = paragraph
    return units


def _indent(paragraph: str) -> int:
    return len(paragraph) - len(paragraph.lstrip())


def _cut(unit: str) -> Iterator[str]:
    """The unit, or pieces of it that end at a line end and are no longer than `_LONGEST_UNIT`."""
    piece = ""
    for line in unit.split("\n"):
        if piece and len(piece) + 1 + len(line) > _LONGEST_UNIT:
            yield piece.rstrip()
            piece = line
        else:
            piece = f"{piece}\n{line}" if piece else line
    yield piece.rstrip()


def _merged(units: list[str]) -> list[str]:
    """Neighbours joined until each has `MIN_CHARACTERS`; a short rest goes to the one before it where it fits."""
    passages: list[str] = []
    for unit in units:
        if passages and len(passages[-1]) < MIN_CHARACTERS and _fits(passages[-1], unit):
            passages[-1] += f"\n\n{unit}"
        else:
            passages.append(unit)
    if len(passages) > 1 and len(passages[-1]) < MIN_CHARACTERS and _fits(*passages[-2:]):
        rest = passages.pop()
        passages[-1] += f"\n\n{rest}"
    return passages
