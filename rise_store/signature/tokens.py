"""Tokens back to the characters of their text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TextToken:
    """A token of a text, and where it stands there."""

    text: str
    start: int | None  # index of its first character; None where it has none in the text, or nobody knows which
    end: int | None


def text_tokens(tokenizer: Any, text: str) -> list[TextToken]:
    """The tokens of a text as it is encoded, special tokens included.

    A fast tokenizer says which characters a token stands for; tokens of parts of one character all name that one. Of
    special tokens, and of all tokens of a slow tokenizer, only the name or the decoded piece is known.
    """
    if not getattr(tokenizer, "is_fast", False):
        ids = tokenizer(text, verbose=False)["input_ids"]
        return [TextToken(_decoded(tokenizer, id), None, None) for id in ids]
    encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    return [
        TextToken(text[start:end], start, end) if end > start else TextToken(_decoded(tokenizer, id), None, None)
        for id, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]


def _decoded(tokenizer: Any, id: int) -> str:
    return str(tokenizer.decode([id], clean_up_tokenization_spaces=False))
