from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rise_store.corpus import ExampleReader, RejectedRow, open_examples
from rise_store.corpus.chat import chat_messages
from rise_store.errors import InputError
from rise_store.records import Example

MESSAGES = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def render(messages: list[dict[str, Any]], template: str | None) -> str:
    return (template or "") + "|".join(f"{message['role']}: {message['content']}" for message in messages)


def read(path: Path, *rows: Any, rendered: bool = True, **options: Any) -> list[Example | RejectedRow]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reader = open_examples([path], **options)
    if rendered:
        reader.render_chat = render
    return list(reader)


def refusal(conversation: Any) -> str:
    with pytest.raises(InputError) as caught:
        chat_messages(conversation, "messages")
    return str(caught.value)


def test_messages_become_the_text_and_other_fields_stay(tmp_path: Path) -> None:
    (example,) = read(tmp_path / "a.jsonl", {"messages": MESSAGES, "id": "c", "topic": "greeting"})
    assert isinstance(example, Example)
    assert (example.text, example.id) == ("user: Hi|assistant: Hello", "c")
    assert example.metadata == {"topic": "greeting"}


def test_sharegpt_and_mapped_conversations(tmp_path: Path) -> None:
    turns = [{"from": "system", "value": "S"}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    (example,) = read(tmp_path / "a.jsonl", {"conversations": turns})
    assert isinstance(example, Example)
    assert example.text == "system: S|user: Hi|assistant: Hello"
    (mapped,) = read(tmp_path / "b.jsonl", {"dialog": {"turns": MESSAGES}}, map="messages=dialog.turns")
    assert isinstance(mapped, Example)
    assert mapped.text == "user: Hi|assistant: Hello"


def test_parts_of_a_message_are_joined_and_tool_calls_kept() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, "c"]
    calls = [{"function": {"name": "f"}}]
    assert chat_messages(
        [{"role": "user", "content": parts}, {"role": "assistant", "content": None, "tool_calls": calls}], "messages"
    ) == [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "", "tool_calls": calls}]


def test_messages_as_json_in_a_text(tmp_path: Path) -> None:
    assert chat_messages(json.dumps(MESSAGES), "messages") == MESSAGES
    file = tmp_path / "a.csv"
    file.write_text('id,messages\n1,"[{""role"": ""user"", ""content"": ""Hi""}]"\n')
    reader = open_examples([file])
    reader.render_chat = render
    (example,) = reader
    assert isinstance(example, Example)
    assert (example.id, example.text) == ("1", "user: Hi")


def test_a_text_goes_before_messages(tmp_path: Path) -> None:
    (example,) = read(tmp_path / "a.jsonl", {"text": "plain", "messages": MESSAGES})
    assert isinstance(example, Example)
    assert (example.text, example.metadata) == ("plain", {"messages": MESSAGES})


def test_what_is_no_conversation_is_rejected() -> None:
    assert refusal("Hi") == '"messages" is no list of messages'
    assert refusal([]) == '"messages" is no list of messages'
    assert refusal(["Hi"]) == 'message 1 of "messages" is no object with "role" and "content"'
    assert refusal([MESSAGES[0], {"content": "x"}]) == 'message 2 of "messages" has no "role"'
    assert refusal([{"role": "user"}]) == 'message 1 of "messages" has no "content"'
    assert refusal([{"role": "user", "content": 5}]).startswith('"content" of message 1')
    image = [{"type": "image_url", "image_url": "x"}]
    assert refusal([{"role": "user", "content": image}]).endswith("holds a part that is no text (image_url)")


def test_without_a_model_chat_rows_are_rejected_and_others_read(tmp_path: Path) -> None:
    rejected, example = read(tmp_path / "a.jsonl", {"messages": MESSAGES}, {"text": "plain"}, rendered=False)
    assert isinstance(rejected, RejectedRow)
    assert 'a chat row ("messages") becomes a text through the chat template of a model' in rejected.reason
    assert isinstance(example, Example)


def test_a_refusal_of_the_template_rejects_the_row(tmp_path: Path) -> None:
    def refuse(messages: list[dict[str, Any]], template: str | None) -> str:
        raise InputError("roles must alternate")

    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"messages": MESSAGES}))
    reader = ExampleReader([file])
    reader.render_chat = refuse
    (rejected,) = reader
    assert isinstance(rejected, RejectedRow)
    assert rejected.reason == f"{file}:1: roles must alternate"


def test_a_chat_template_of_ones_own(tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    template.write_text("own ")
    (example,) = read(tmp_path / "a.jsonl", {"messages": MESSAGES}, chat_template=template)
    assert isinstance(example, Example)
    assert example.text == "own user: Hi|assistant: Hello"
    assert set(open_examples([tmp_path / "a.jsonl"], chat_template=template).settings) == {"chat_template"}
    with pytest.raises(InputError, match=r"none.jinja: cannot be read: No such file"):
        open_examples([tmp_path / "a.jsonl"], chat_template=tmp_path / "none.jinja")
