"""Tokens are named by the characters of their text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from rise_store.signature.tokens import TextToken, text_tokens
from tests.tiny_models import word_tokenizer

TEXTS = ["the dog found a key", "the key and the dog"]


def test_tokens_are_characters_of_the_text() -> None:
    tokenizer = word_tokenizer(TEXTS)
    text = "the dog\n\nfound  <b>the</b> key."
    special, *tokens = text_tokens(tokenizer, text)
    assert special == TextToken("<s>", None, None)
    assert "".join(token.text for token in tokens) == text
    assert [text[token.start : token.end] for token in tokens] == [token.text for token in tokens]
    assert len(tokens) + 1 == len(tokenizer(text)["input_ids"])


def test_tokens_of_parts_of_a_character_all_name_it() -> None:
    _, *tokens = text_tokens(word_tokenizer(TEXTS), "🗝")
    assert len(tokens) == 4  # bytes
    assert set(tokens) == {TextToken("🗝", 0, 1)}


def test_a_slow_tokenizer_gives_pieces() -> None:
    fast = word_tokenizer(TEXTS)

    class Slow(SimpleNamespace):
        def __call__(self, text: str, **options: Any) -> Any:
            return {"input_ids": fast(text)["input_ids"]}

    slow = Slow(is_fast=False, decode=lambda ids, **_: fast.decode(ids))
    assert [token.text for token in text_tokens(slow, "the key")] == ["<s>", "the", " key"]
    assert {token.start for token in text_tokens(slow, "the key")} == {None}
