from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rise_store.corpus import RejectedRow, open_examples, parse_row
from rise_store.corpus.field_paths import MISSING, join_path, parse_path, value_at
from rise_store.corpus.mapping import OWN_FIELDS, parse_mapping
from rise_store.errors import InputError
from rise_store.records import Example

NAME = st.text("ab.\\,é ", min_size=1, max_size=4).map(str.strip).filter(bool)
VALUE = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path, **options: Any) -> list[Example | RejectedRow]:
    return list(open_examples([path], **options))


def refusal(**options: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_mapping(**options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_fields_of_a_foreign_layout_become_those_of_an_example(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"body": "hello", "doc_id": 7, "by": "Ann", "tags": ["x"], "lic": "MIT"})
    (example,) = read(file, map="text=body,id=doc_id,metadata.author=by,license=lic")
    assert isinstance(example, Example)
    assert (example.text, example.id, example.license) == ("hello", "7", "MIT")
    assert example.metadata == {"author": "Ann", "tags": ["x"]}


def test_unnamed_fields_can_be_left_out(tmp_path: Path) -> None:
    row = {"body": "hello", "by": "Ann", "tags": ["x"], "id": "k", "metadata": {"page": 1}}
    (example,) = read(write(tmp_path / "a.jsonl", row), map=["text=body", "metadata.author=by"], only_mapped=True)
    assert isinstance(example, Example)
    assert (example.id, example.metadata) == ("k", {"author": "Ann"})


def test_paths_lead_into_objects_and_lists() -> None:
    row = {"meta": {"a.b": "dotted"}, "turns": [{"text": "first"}, {"text": "second"}]}
    mapping = parse_mapping(r"text=turns.1.text,metadata.deep.er=meta.a\.b")
    assert mapping(row)["text"] == "second"
    assert mapping(row)["metadata"] == {"deep": {"er": "dotted"}}
    assert value_at(row, ("turns", "2", "text")) is MISSING
    assert value_at(row, ("turns", "-1")) is MISSING


@given(st.lists(NAME, min_size=1, max_size=3))
def test_a_path_is_what_it_was_written_from(names: list[str]) -> None:
    path = tuple(names)
    assert parse_path(join_path(path)) == path


@given(st.dictionaries(NAME.filter(lambda name: name not in OWN_FIELDS), VALUE, max_size=4), st.text(min_size=1), VALUE)
def test_mapping_a_row_is_writing_it_by_hand(others: dict[str, Any], body: str, author: Any) -> None:
    foreign = {**others, "_body": body, "_by": author, "_number": 12}
    by_hand = {**others, "text": body, "id": 12}
    if author is not None:
        by_hand["metadata"] = {"_author": author}
    mapped = parse_mapping("text=_body,id=_number,metadata._author=_by")(foreign)
    if body.strip():
        assert parse_row(mapped, "") == parse_row(by_hand, "")
    else:
        with pytest.raises(InputError):
            parse_row(mapped, "")


@given(st.dictionaries(NAME, VALUE, max_size=5))
def test_a_comma_in_a_name_is_escaped(row: dict[str, Any]) -> None:
    for name, value in row.items():
        source = join_path((name,)).replace(",", r"\,")
        mapped = parse_mapping(f"metadata.x={source},id=other")(row)
        assert mapped.get("metadata", {}).get("x") == value


def test_a_mapped_text_takes_the_place_of_the_rows_own_which_is_kept_as_metadata() -> None:
    row = {"text": "shown", "prompt": "p", "body": "meant", "instruction": "i"}
    assert parse_mapping("text=body")(row) == {
        "text": "meant",
        "metadata": {"text": "shown", "prompt": "p", "instruction": "i"},
    }
    # fields of the same layout belong together: Dolly's context and response with its own instruction
    dolly = {"instruction": "i", "context": "c", "response": "r", "category": "qa"}
    assert parse_mapping("input=context,output=response")(dolly) == {
        "instruction": "i",
        "input": "c",
        "output": "r",
        "category": "qa",
    }


def test_metadata_of_the_mapping_goes_before_a_field_of_that_name() -> None:
    assert parse_mapping("metadata.author=by")({"text": "t", "author": "old", "by": "new"}) == {
        "text": "t",
        "metadata": {"author": "new"},
    }
    assert parse_mapping({"metadata": "meta"})({"text": "t", "meta": {"a": 1}}) == {"text": "t", "metadata": {"a": 1}}


def test_metadata_is_joined_and_never_lost() -> None:
    row = {"text": "t", "by": "Ann", "info": {"page": 1}, "metadata": {"topic": "x"}}
    assert parse_mapping("metadata.info.author=by")(row) == {
        "text": "t",
        "metadata": {"topic": "x", "info": {"page": 1, "author": "Ann"}},
    }
    assert row["info"] == {"page": 1}  # the row itself stays as it is
    with pytest.raises(InputError, match=r"metadata.info.author cannot be put in: 'info' is no object in this row"):
        parse_mapping("metadata.info.author=by")({"by": "Ann", "info": "x"})
    with pytest.raises(InputError, match="'text' and the field of that name in its metadata are both there"):
        parse_mapping("text=body")({"text": "a", "body": "b", "metadata": {"text": "c"}})
    with pytest.raises(InputError, match='"metadata" is no object'):
        parse_mapping("metadata.author=by")({"text": "a", "by": "b", "metadata": "c"})


def test_a_template_makes_the_text(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.jsonl",
        {"question": "Why?", "answer": "So {it} is", "choices": ["a", 2], "topic": "x"},
        {"question": "Why?", "answer": None},
    )
    example, rejected = read(file, template=r"Q: {question} {choices}\nA: {answer} {{end}}")
    assert isinstance(example, Example)
    assert example.text == 'Q: Why? ["a",2]\nA: So {it} is {end}'
    assert example.metadata == {"topic": "x"}
    assert isinstance(rejected, RejectedRow)
    assert rejected.reason == (
        f"{file}:2: the template for text needs 'choices', which the row lacks; its fields: 'question', 'answer'"
    )


def test_templates_for_prompt_and_completion() -> None:
    mapping = parse_mapping(templates=["prompt=Q: {q}", "completion= {a.text}"])
    assert mapping({"q": 1, "a": {"text": "yes"}}) == {"prompt": "Q: 1", "completion": " yes", "a": {"text": "yes"}}


def test_a_template_runs_nothing() -> None:
    with pytest.raises(InputError, match="__class__"):
        parse_mapping(templates="{q.__class__}")({"q": "text"})
    with pytest.raises(InputError, match="q!r"):
        parse_mapping(templates="{q!r}")({"q": "text"})


def test_what_cannot_be_mapped_is_told_at_once() -> None:
    assert "'tekst' is no field of an example; fields: text, prompt" in refusal(fields="tekst=body")
    assert "'id.x' is no field" in refusal(fields="id.x=body")
    assert "'body' is not TARGET=FIELD" in refusal(fields="body")
    assert "names no field of a row" in refusal(fields="text=")
    assert "names no field of a row" in refusal(fields="text=a..b")
    assert "text is given twice" in refusal(fields="text=a,text=b")
    assert "text is given twice" in refusal(fields="text=a", templates="{b}")
    assert "metadata.a.b lies within metadata.a" in refusal(fields="metadata.a=x,metadata.a.b=y")
    assert "'{' has no partner" in refusal(templates="a { b")
    assert "'}' has no partner" in refusal(templates="{a} }")
    assert "names no field" in refusal(templates="{}")
    assert "names no field" in refusal(templates="just words")


def test_a_field_that_none_of_the_first_rows_has_is_one_error(tmp_path: Path) -> None:
    few = write(tmp_path / "few.jsonl", {"body": "a", "n": 1}, {"body": "b"})
    with pytest.raises(
        InputError, match=r"few.jsonl:2: none of the first 2 rows has a field 'bodi'; their fields: 'bo"
    ):
        read(few, map="text=bodi")
    many = write(tmp_path / "many.jsonl", *({"body": f"{number}"} for number in range(1000)))
    reader = iter(open_examples([many], map="text=bodi"))
    assert all(isinstance(next(reader), RejectedRow) for _ in range(99))
    with pytest.raises(InputError, match=r"many.jsonl:100: none of the first 100 rows has a field 'bodi'"):
        next(reader)


def test_a_column_that_a_csv_file_lacks_is_one_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("content,by\nhello,Ann\n")
    with pytest.raises(InputError, match=r"a.csv: there is no column 'body'; its columns: 'content', 'by'"):
        read(file, map="text=body")
    with pytest.raises(InputError, match="no column holds the text; name it with --map text=COLUMN"):
        read(file)
    (example,) = read(file, map="text=content")
    assert isinstance(example, Example)
    assert (example.text, example.metadata) == ("hello", {"by": "Ann"})


def test_a_field_that_only_some_rows_have_is_no_error(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"body": "a", "by": "Ann"}, {"title": "b"}, {"body": "c"})
    first, second, third = read(file, map="text=body,metadata.author=by,source_uri=nowhere")
    assert isinstance(second, RejectedRow)
    assert second.reason == f"{file}:2: the row has no text: 'body' is missing or empty; its fields: 'title'"
    assert isinstance(first, Example)
    assert isinstance(third, Example)
    assert (first.metadata, third.metadata) == ({"author": "Ann"}, {})


def test_rows_that_are_no_object_stay_rejected(tmp_path: Path) -> None:
    (rejected,) = read(write(tmp_path / "a.jsonl", [1]), map="text=body")
    assert isinstance(rejected, RejectedRow)
    assert "expected an object" in rejected.reason


def test_what_becomes_of_a_field_is_told() -> None:
    mapping = parse_mapping("text=body,metadata.author=meta.by", "prompt={body}")
    assert [mapping.use(name) for name in ("body", "meta", "id", "output", "other")] == [
        "text, prompt",
        "metadata.author",
        "id",
        "metadata",
        "metadata",
    ]
    assert parse_mapping("text=body", only_mapped=True).use("other") == ""
    assert parse_mapping().use("text") == "text"


def test_the_settings_name_the_mapping_for_the_manifest_of_a_run(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"body": "a"})
    assert open_examples([file]).settings == {}
    assert open_examples([file], format="jsonl", encoding="utf-8").settings == {"format": "jsonl", "encoding": "utf-8"}
    settings = open_examples([file], map="id=n", template="{body}!", only_mapped=True).settings
    assert settings == {"map": {"id": "n"}, "template": {"text": "{body}!"}, "only_mapped": True}
