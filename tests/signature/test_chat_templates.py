from __future__ import annotations

from typing import Any

import pytest

from rise_store.corpus import cache_directory
from rise_store.errors import InputError
from rise_store.signature import load_tokenizer, render_chat
from tests.tiny_models import word_tokenizer

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
TEMPLATE = "{{ bos_token }}{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"


@pytest.fixture
def tokenizer() -> Any:
    tokenizer = word_tokenizer(["some words to learn from"])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def test_the_beginning_token_stands_once(tokenizer: Any) -> None:
    text = render_chat(tokenizer, "tiny", MESSAGES)
    assert text == "[user] Hi\n[assistant] Hello\n"
    ids = tokenizer(text)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids == tokenizer.apply_chat_template(MESSAGES, return_dict=False)


def test_a_beginning_token_that_nobody_adds_again_is_kept(tokenizer: Any) -> None:
    from tokenizers import processors

    tokenizer.backend_tokenizer.post_processor = processors.Sequence([])
    assert render_chat(tokenizer, "tiny", MESSAGES).startswith("<s>[user] Hi")


def test_a_template_of_ones_own_goes_first(tokenizer: Any) -> None:
    assert render_chat(tokenizer, "tiny", MESSAGES, "{{ messages[1].content }}!") == "Hello!"


def test_refusals(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ raise_exception('roles must\n alternate') }}"
    with pytest.raises(InputError, match="the chat template refuses the messages: roles must alternate"):
        render_chat(tokenizer, "tiny", MESSAGES)
    with pytest.raises(InputError, match="the chat template refuses the messages: "):
        render_chat(tokenizer, "tiny", MESSAGES, "{% for %}")
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="model tiny has no chat template for messages; give one with --chat-template"):
        render_chat(tokenizer, "tiny", MESSAGES)
    with pytest.raises(InputError, match="model tiny came without a tokenizer"):
        render_chat(None, "tiny", MESSAGES, TEMPLATE)


def test_a_published_template() -> None:
    model = cache_directory() / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not model.is_file():
        pytest.skip("SmolLM2 was not fetched on this machine")
    tokenizer = load_tokenizer(model)
    assert tokenizer is not None
    text = render_chat(tokenizer, "SmolLM2", MESSAGES)
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n")
    assert tokenizer(text)["input_ids"] == tokenizer.apply_chat_template(MESSAGES, return_dict=False)
