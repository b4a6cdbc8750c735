"""Chat messages -> text, with the chat template of a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rise_store.errors import InputError


def render_chat(
    tokenizer: Any | None, model: str, messages: Sequence[Mapping[str, Any]], template: str | None = None
) -> str:
    """The text of a conversation, without the beginning-of-sequence token that the tokenizer adds anyway.

    Args:
        tokenizer: of the model; None where it came without one.
        model: its name, for messages.
        messages: each with `role` and `content`.
        template: a Jinja template in place of the tokenizer's own.

    Raises:
        InputError: there is no template, or it refuses the messages.
    """
    if template is None and not getattr(tokenizer, "chat_template", None):
        raise InputError(
            f"model {model} has no chat template for messages; give one with --chat-template FILE, or map the fields "
            "with --map or --template"
        )
    if tokenizer is None:
        raise InputError(f"model {model} came without a tokenizer, so that messages cannot be rendered")
    try:
        text: str = tokenizer.apply_chat_template(
            [dict(message) for message in messages], chat_template=template, tokenize=False
        )
    except Exception as error:  # of Jinja, and of whatever a template does to messages that it did not expect
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"the chat template refuses the messages: {reason}") from None
    begin = tokenizer.bos_token
    if begin and text.startswith(begin) and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]:
        return text.removeprefix(begin)
    return text
