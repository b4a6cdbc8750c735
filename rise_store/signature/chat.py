"""Chat messages -> text, with the chat template of a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rise_store.errors import InputError


class ChatTexts:
    """Makes texts of conversations; safe beside a thread that tokenizes."""

    def __init__(self, tokenizer: Any | None, model: str) -> None:
        """Takes the tokenizer of a model, None where it came without one, and the model's name, for messages."""
        self._tokenizer = tokenizer
        self._model = model
        self._added = ""  # the beginning-of-sequence token, where the tokenizer adds it to every text
        begin = getattr(tokenizer, "bos_token", None)
        if tokenizer is not None and begin and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]:
            self._added = begin

    def render(self, messages: Sequence[Mapping[str, Any]], template: str | None = None) -> str:
        """The text of a conversation, without the beginning-of-sequence token that the tokenizer adds anyway.

        Args:
            messages: each with `role` and `content`.
            template: a Jinja template in place of the tokenizer's own.

        Raises:
            InputError: there is no template, or it refuses the messages.
        """
        if template is None and not getattr(self._tokenizer, "chat_template", None):
            raise InputError(
                f"model {self._model} has no chat template for messages; give one with --chat-template FILE, or map "
                "the fields with --map or --template"
            )
        if self._tokenizer is None:
            raise InputError(f"model {self._model} came without a tokenizer, so that messages cannot be rendered")
        try:
            text: str = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages], chat_template=template, tokenize=False
            )
        except Exception as error:  # of Jinja, and of whatever a template does to messages that it did not expect
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"the chat template refuses the messages: {reason}") from None
        return text.removeprefix(self._added)
