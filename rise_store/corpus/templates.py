"""Templates: a text with fields in braces, `Q: {question}\\nA: {answer}`. Fields are put in, nothing is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from rise_store.corpus.field_paths import MISSING, Path, join_path, listed, parse_path, value_at
from rise_store.errors import InputError

TEMPLATE_TARGETS = ("text", "prompt", "completion", "instruction", "input", "output")

_TARGET = re.compile(rf"({'|'.join(TEMPLATE_TARGETS)})=", re.DOTALL)
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|\\[nt\\]|[^{}\\]+|\\", re.DOTALL)
_PLAIN = {"{{": "{", "}}": "}", r"\n": "\n", r"\t": "\t", "\\\\": "\\"}


@dataclass(frozen=True)
class Template:
    """What one field of an example is made of: texts as they stand, and paths to fields of the row."""

    target: str
    text: str  # as it was given, without the target
    pieces: tuple[str | Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The fields that it takes."""
        return tuple(piece for piece in self.pieces if isinstance(piece, tuple))

    def fill(self, row: Mapping[str, Any]) -> str:
        """The text of one row; numbers, lists and objects stand in it as JSON.

        Raises `InputError`, without a location, where the row lacks a field or it is null.
        """
        return "".join(piece if isinstance(piece, str) else self._value(row, piece) for piece in self.pieces)

    def _value(self, row: Mapping[str, Any], path: Path) -> str:
        value = value_at(row, path)
        if value is MISSING:
            raise InputError(
                f"the template for {self.target} needs {join_path(path)!r}, which the row lacks; "
                f"its fields: {listed(map(str, row))}"
            )
        if isinstance(value, str):
            return value
        try:
            return orjson.dumps(value).decode()
        except TypeError as error:
            raise InputError(f"{join_path(path)!r} cannot stand in a template: {error}") from None


def parse_template(text: str) -> Template:
    r"""`Q: {question}\nA: {answer}` for the text, or `prompt=...`, `completion=...` and so on.

    `{{` and `}}` are braces, `\n` and `\t` a newline and a tab, `\\` a backslash.

    Raises:
        InputError: a brace without its partner, or a template without a field.
    """
    named = _TARGET.match(text)
    target, body = (named.group(1), text[named.end() :]) if named else ("text", text)
    pieces: list[str | Path] = []
    for match in _PIECE.finditer(body):
        piece, field = match.group(0), match.group(1)
        if piece in ("{", "}"):
            raise _refused(text, f"{piece!r} has no partner; write {piece * 2!r} for a brace")
        if field is not None:
            path = parse_path(field.strip())
            if path is None:
                raise _refused(text, f"{piece!r} names no field")
            pieces.append(path)
        elif pieces and isinstance(pieces[-1], str):
            pieces[-1] += _PLAIN.get(piece, piece)
        else:
            pieces.append(_PLAIN.get(piece, piece))
    if all(isinstance(piece, str) for piece in pieces):
        raise _refused(text, "it names no field, such as {question}")
    return Template(target, body, tuple(pieces))


def _refused(text: str, why: str) -> InputError:
    return InputError(f"template {text[:80]!r}: {why}")
