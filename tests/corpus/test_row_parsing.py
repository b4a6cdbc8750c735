from __future__ import annotations

import datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rise_store.corpus import parse_row
from rise_store.errors import InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ("id", "text", "prompt", "completion", "generation", "instruction", "input", "output", "license", "source_uri")
) | st.sampled_from(("metadata", "messages", "label", "source"))


def refusal(row: object) -> str:
    with pytest.raises(InputError) as caught:
        parse_row(row, "rows.jsonl:7")
    message = str(caught.value)
    assert message.startswith("rows.jsonl:7: ")
    assert "\n" not in message
    return message


def test_known_fields_become_the_examples_own_and_the_others_its_metadata() -> None:
    row = {
        "id": "a-1",
        "instruction": "Say hello.",
        "input": "",
        "output": "Hello.",
        "license": "CC-BY-4.0",
        "source_uri": "https://example.org/1",
        "source": "a book",
        "label": "clean",
        "date": None,
        "metadata": {"page": 3},
    }
    example = parse_row(row, "rows.jsonl:1")
    assert (example.id, example.instruction, example.input, example.output) == ("a-1", "Say hello.", "", "Hello.")
    assert (example.license, example.source_uri) == ("CC-BY-4.0", "https://example.org/1")
    assert example.metadata == {"page": 3, "source": "a book", "label": "clean", "date": None}
    assert example.location == "rows.jsonl:1"
    assert example.content == "Say hello.\nHello."


def test_an_integer_id_becomes_a_string() -> None:
    assert parse_row({"id": 12, "text": "a"}, "").id == "12"
    assert parse_row({"id": 0, "text": "a"}, "").id == "0"


def test_without_an_id_the_key_comes_from_the_content() -> None:
    example = parse_row({"id": None, "text": "a"}, "")
    assert example.id == ""
    assert example.key == example.content_sha256[:32]


def test_generation_is_read_as_completion_only_where_there_is_none() -> None:
    assert parse_row({"prompt": "p", "generation": "g"}, "").completion == "g"
    assert parse_row({"prompt": "p", "completion": None, "generation": "g"}, "").completion == "g"
    both = parse_row({"prompt": "p", "completion": "c", "generation": "g"}, "")
    assert both.completion == "c"
    assert both.metadata == {"generation": "g"}


def test_null_and_empty_provenance_count_as_absent() -> None:
    example = parse_row({"text": "a", "prompt": None, "license": "", "source_uri": "", "metadata": None}, "")
    assert (example.prompt, example.license, example.source_uri, example.metadata) == (None, None, None, {})


def test_metadata_may_repeat_a_field_but_not_contradict_it() -> None:
    assert parse_row({"text": "a", "x": [1], "metadata": {"x": [1]}}, "").metadata == {"x": [1]}
    assert parse_row({"text": "a", "x": None, "metadata": {"x": 1}}, "").metadata == {"x": 1}
    assert parse_row({"text": "a", "x": {"a": 1, "b": 2}, "metadata": {"x": {"b": 2, "a": 1}}}, "").metadata
    for other in (2, True, 1.0, "1"):
        assert "'x'" in refusal({"text": "a", "x": 1, "metadata": {"x": other}})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([], "expected an object with the fields of one example, found a list"),
        (None, "found null"),
        ("text", "found a string"),
        ({"text": 5}, '"text" is an integer; expected a string'),
        ({"text": ["a"]}, '"text" is a list; expected a string'),
        ({"text": "a", "prompt": True}, '"prompt" is true or false; expected a string'),
        ({"prompt": "a", "generation": {}}, '"generation" is an object; expected a string'),
        ({"text": "a", "license": 1.5}, '"license" is a number; expected a string'),
        ({"text": "a", "id": 1.5}, '"id" is a number; expected a string or an integer'),
        ({"text": "a", "id": True}, '"id" is true or false'),
        ({"text": "a", "metadata": []}, '"metadata" is a list; expected an object'),
        ({"text": "a", "metadata": "x"}, '"metadata" is a string; expected an object'),
        ({}, "the row has no text"),
        ({"text": " \n", "prompt": "", "output": ""}, "the row has no text"),
        ({"text": "a", "score": float("nan")}, "'score' holds NaN or infinity"),
        ({"text": "a", "score": 2**70}, "an integer of more than 64 bits"),
        ({"text": "a", "when": datetime.date(2024, 1, 1)}, "'when' holds a Python date"),
        ({"text": "a", "x": {1: 2}}, "field name 1 is an integer; expected a string"),
        ({"text": "a", 5: 2}, "field name 5 is an integer"),
    ],
)
def test_a_row_that_is_no_example_is_refused_with_its_reason(row: object, said: str) -> None:
    assert said in refusal(row)


def test_chat_rows_are_refused_where_nothing_renders_them() -> None:
    chat = {"messages": [{"role": "user", "content": "hello"}]}
    assert 'a chat row ("messages") becomes a text through the chat template of a model' in refusal(chat)
    assert parse_row({**chat, "text": "hello"}, "").metadata == chat


def test_surrogates_without_a_partner_are_replaced() -> None:
    example = parse_row(
        {"id": "\udc00", "text": "a\ud800b \ud83d\ude00", "tags": ["\ud800"], "\ud800": 1, "metadata": {"m": "\udfff"}},
        "",
    )
    assert example.text == "a\ufffdb \U0001f600"
    assert example.id == "\ufffd"
    assert example.metadata == {"tags": ["\ufffd"], "\ufffd": 1, "m": "\ufffd"}
    example.model_dump_json().encode()


def test_metadata_that_is_nested_too_deep_for_a_json_writer_is_refused() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    orjson.dumps(parse_row({"text": "a", "x": nested(100)}, "").metadata)
    for depth in (101, 5000):
        assert "'x' is nested more than 100 levels deep" in refusal({"text": "a", "x": nested(depth)})


def test_a_long_or_broken_field_name_is_shortened_in_messages() -> None:
    assert len(refusal({"text": "a", "\n" * 5000: float("inf")})) < 150


@given(st.dictionaries(FIELDS, JSON, max_size=6) | JSON)
def test_any_json_value_is_an_example_that_can_be_written_or_an_input_error(row: object) -> None:
    try:
        example = parse_row(row, "f:1")
    except InputError:
        refusal(row)
        return
    assert example.content.strip()
    orjson.dumps(example.model_dump())
    assert len(example.content_sha256) == 64
