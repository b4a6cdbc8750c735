"""Chat rows: `messages`, or ShareGPT's `conversations`, as a chat template takes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from rise_store.corpus.mapping import CONTENT
from rise_store.errors import InputError

Message = dict[str, Any]

ChatRenderer = Callable[[list[Message], str | None], str]
"""Messages, and a chat template that takes the place of the model's own -> text; `InputError` if it cannot."""

CHAT_FIELDS = ("messages", "conversations")

_SHAREGPT_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}


def chat_field(row: Any) -> str | None:
    """The field that holds the conversation of a row whose text is nowhere else; None if it is no chat row."""
    if not isinstance(row, Mapping):
        return None
    if any(row.get(name) for name in CONTENT.difference(CHAT_FIELDS)):
        return None
    return next((name for name in CHAT_FIELDS if row.get(name) is not None), None)


def chat_messages(conversation: Any, field: str) -> list[Message]:
    """The messages of a conversation, each with a `role` and a `content` that is text.

    A text that holds the list as JSON, as databases keep it, is read. A content of several parts is joined; ShareGPT's
    `from` and `value` are read as role and content. What else a message holds, such as `tool_calls`, stays for the
    template.

    Raises:
        InputError: without a location: what is no conversation, or holds parts that are no text.
    """
    if isinstance(conversation, str):
        try:
            conversation = orjson.loads(conversation)
        except orjson.JSONDecodeError:
            raise InputError(f'"{field}" is no list of messages') from None
    if not isinstance(conversation, list | tuple) or not conversation:
        raise InputError(f'"{field}" is no list of messages')
    return [_message(message, f'message {number} of "{field}"') for number, message in enumerate(conversation, 1)]


def read_chat_template(path: str | os.PathLike[str] | None) -> str | None:
    """The chat template in a file; None without one.

    Raises:
        InputError: the file cannot be read.
    """
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"chat template {os.fspath(path)}: cannot be read: {reason}") from None


def _message(message: Any, what: str) -> Message:
    if not isinstance(message, Mapping):
        raise InputError(f'{what} is no object with "role" and "content"')
    others = {str(name): value for name, value in message.items()}
    role, content = others.pop("role", None), others.pop("content", None)
    if role is None and content is None and "from" in others:
        role, content = others.pop("from"), others.pop("value", None)
        role = _SHAREGPT_ROLES.get(role, role) if isinstance(role, str) else role
    if not isinstance(role, str) or not role:
        raise InputError(f'{what} has no "role"')
    if content is None and not others.get("tool_calls"):
        raise InputError(f'{what} has no "content"')
    return {"role": role, "content": _text(content, what), **others}


def _text(content: Any, what: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise InputError(f'"content" of {what} is neither a text nor a list of parts')
    parts = []
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else None
            raise InputError(f"{what} holds a part that is no text" + (f" ({str(kind)[:40]})" if kind else ""))
        parts.append(text)
    return "".join(parts)
