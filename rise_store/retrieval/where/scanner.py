"""The words of a filter and where they stand, for `grammar`, which knows what may stand there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from rise_store.errors import FilterError

_SPACE = re.compile(r"\s*")
_OPERATOR = re.compile(r"!=|<=|>=|[=<>]")
# A field ends before an operator, a parenthesis, a comma or a space, unless they are in a quoted key.
_FIELD = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|[^\s()=<>!,"']|!(?!=))+""", re.DOTALL)
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", re.DOTALL)
_BARE_START = re.compile(r"""[^\s()=<>!,"']""")
_TOKEN = re.compile(r"""[=<>!]=?|[(),]|"[^"]*"?|[^\s()=<>!,"]+""")
_EXCERPT = 30  # characters shown on each side of an error in a long filter


@dataclass(frozen=True, slots=True)
class Value:
    """A value as it was written: its text, and whether in quotes, which keep it from being read as anything else."""

    text: str
    quoted: bool


class Scanner:
    """A cursor over the text of a filter."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def error(self, expected: str, hint: str = "") -> FilterError:
        """An error at the next word, which is not what was expected."""
        self._skip()
        rest = self.text[self.position :]
        token = _TOKEN.match(rest)
        found = f'"{_shortened(token[0] if token else rest[:1])}"' if rest else "the end"
        return self.refusal(f"expected {expected}, found {found}{hint}")

    def refusal(self, reason: str) -> FilterError:
        """An error at the next word."""
        self._skip()
        return FilterError(f"filter {self._excerpt()}: at column {self.position + 1}: {reason}")

    def at_word(self) -> bool:
        """Whether a word follows that could be a field."""
        self._skip()
        return _FIELD.match(self.text, self.position) is not None

    def at_end(self) -> bool:
        """Whether nothing but space follows."""
        self._skip()
        return self.position == len(self.text)

    def take(self, symbol: str) -> bool:
        """Go past a symbol if it follows."""
        self._skip()
        found = self.text.startswith(symbol, self.position)
        self.position += len(symbol) * found
        return found

    def take_keyword(self, *keywords: str) -> str | None:
        """Go past one of these words if it follows, in capitals or not; which one it was."""
        self._skip()
        match = _FIELD.match(self.text, self.position)
        if match is None or match[0].lower() not in keywords:
            return None
        self.position = match.end()
        return match[0].lower()

    def take_operator(self) -> str | None:
        """Go past a comparison if one follows."""
        self._skip()
        match = _OPERATOR.match(self.text, self.position)
        if match is None:
            return None
        self.position = match.end()
        return match[0]

    def take_field(self) -> str | None:
        """Go past a dotted path if one follows."""
        self._skip()
        match = _FIELD.match(self.text, self.position)
        if match is None:
            return None
        self.position = match.end()
        return match[0]

    def take_value(self, *, in_list: bool = False) -> Value | None:
        """Go past a value if one follows: quoted, or bare up to a space, a parenthesis that it did not open itself or,
        in a list, a comma."""
        self._skip()
        quoted = _QUOTED.match(self.text, self.position)
        if quoted is not None:
            text = self._unquoted(quoted[0])
            self.position = quoted.end()
            return Value(text, quoted=True)
        if self.text[self.position : self.position + 1] in ("'", '"'):
            raise self.error("text with a closing quote")
        if _BARE_START.match(self.text, self.position) is None:
            return None
        start, open_parentheses = self.position, 0
        while self.position < len(self.text):
            character = self.text[self.position]
            if character.isspace() or (character == "," and in_list and not open_parentheses):
                break
            open_parentheses += (character == "(") - (character == ")")
            if open_parentheses < 0:
                break
            self.position += 1
        return Value(self.text[start : self.position], quoted=False)

    def _skip(self) -> None:
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()

    def _unquoted(self, quoted: str) -> str:
        body = quoted[1:-1]
        if quoted[0] == "'":  # the same escapes as in double quotes, and the other quote
            body = re.sub(r"""\\.|\"""", lambda part: {"\\'": "'", '"': '\\"'}.get(part[0], part[0]), body, flags=re.S)
        try:
            text: str = json.loads(f'"{body}"', strict=False)
        except ValueError:
            raise self.error("text in quotes with no escapes but those of JSON") from None
        return text

    def _excerpt(self) -> str:
        start, end = self.position - _EXCERPT, self.position + _EXCERPT
        if len(self.text) <= 2 * _EXCERPT:
            return repr(self.text)
        before, after = "..." if start > 0 else "", "..." if end < len(self.text) else ""
        return repr(f"{before}{self.text[max(start, 0) : end]}{after}")


def _shortened(token: str) -> str:
    return token if len(token) <= _EXCERPT else f"{token[:_EXCERPT]}..."
