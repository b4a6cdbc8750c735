"""Files of labelled queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rise_store import InputError
from rise_store.evaluation import read_labelled
from tests.ingest.examples import write_rows


def test_filters_ids_and_labels(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "prompt": "Who?", "completion": "Ada.", "relevant": "topic = computing"},
        {"text": "A tale.", "relevant": {"field": "license", "in": ["MIT"]}, "where": "tokens > 5"},
        {"text": "A tale.", "relevant": ["row-1", 7], "against": "A song."},
        {"instruction": "Tell", "output": "a tale.", "label": "tales"},
        {"text": "A tale.", "label": "tales", "relevant": ["row-2"]},
    ]
    file = write_rows(tmp_path / "q.jsonl", rows)
    queries = read_labelled(file, label_field="metadata.label")
    assert [query.relevant for query in queries] == [
        "topic = computing",
        {"field": "license", "in": ["MIT"]},
        ("row-1", "7"),
        {"field": "metadata.label", "equals": "tales"},
        ("row-2",),
    ]
    assert (queries[0].id, queries[0].prompt, queries[0].completion) == ("a", "Who?", "Ada.")
    assert (queries[1].where, queries[2].against, queries[3].text) == ("tokens > 5", "A song.", "Tell\na tale.")
    assert queries[4].location == f"{file}:5"
    assert "location" not in queries[4].model_dump()


@pytest.mark.parametrize(
    ("row", "label_field", "message"),
    [
        ({"text": "a"}, None, 'q.jsonl:2: "relevant" is missing; give a filter as for --where, or a list'),
        ({"text": "a", "label": "x"}, None, "name a field with --label-field"),
        ({"text": "a"}, "metadata.label", 'q.jsonl:2: "label" is missing; give the value that metadata.label has'),
        ({"text": "a", "label": [1]}, "metadata.label", '"label" is no string, integer or boolean'),
        ({"text": "a", "relevant": []}, None, "not a list of one or more ids"),
        ({"text": "a", "relevant": [True]}, None, "not a list of one or more ids"),
        ({"text": "a", "relevant": 5}, None, "neither text, an object nor a list"),
        ({"text": "a", "relevant": "topic ="}, None, "q.jsonl:2: .*column"),
        ({"text": "a", "relevant": "topic = b", "where": 5}, None, 'q.jsonl:2: "where" is neither'),
        ({"relevant": "topic = b"}, None, "q.jsonl:2: the row has no text"),
        (b"{", None, "q.jsonl:2: "),
    ],
)
def test_errors_name_the_line(tmp_path: Path, row: Any, label_field: str | None, message: str) -> None:
    file = write_rows(tmp_path / "q.jsonl", [{"text": "a", "relevant": "topic = b", "label": "b"}, row])
    with pytest.raises(InputError, match=message) as refused:
        read_labelled(file, label_field=label_field)
    assert str(refused.value).startswith(f"{file}:2: ")


def test_a_file_without_queries(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no queries"):
        read_labelled(write_rows(tmp_path / "q.jsonl", []))
