"""Chat messages -> text, with the chat template of a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from rise_store.errors import InputError

_ADDED: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # by tokenizer, so that it works but once for it


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
    return text.removeprefix(_added(tokenizer))


def _added(tokenizer: Any) -> str:
    """The beginning-of-sequence token where the tokenizer adds it to every text, else nothing."""
    if tokenizer not in _ADDED:
        begin = tokenizer.bos_token
        adds = begin and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]
        _ADDED[tokenizer] = begin if adds else ""
    return _ADDED[tokenizer]
