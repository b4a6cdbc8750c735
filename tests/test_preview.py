from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rise_store import AttributionStore, EstimatorConfig
from rise_store.corpus import open_examples
from rise_store.errors import ConfigError, InputError, ModelError, StoreError
from rise_store.preview import preview_corpus
from rise_store.records import PreviewField
from rise_store.signature import SignatureEncoder
from tests.conftest import STORY


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_are_described_as_they_would_be_stored(tmp_path: Path, tiny_model: Path) -> None:
    long = {"body": STORY * 4, "doc": 1, "lic": "MIT", "tags": ["x"]}
    file = write(tmp_path / "a.jsonl", long, {"body": ""}, {"body": STORY, "id": "own"}, {"body": "a"}, {"body": "a"})
    preview = preview_corpus(file, model=tiny_model, map="text=body,license=lic,metadata.number=doc")
    encoder = SignatureEncoder.from_pretrained(tiny_model)
    signatures = encoder.encode([STORY * 4])
    first, refused, third, _ = preview.examples
    assert preview.missing == ()
    assert (first.tokens, first.chunks) == (signatures.token_counts[0], signatures.chunk_counts[0])
    assert (first.license, first.metadata, first.characters) == ("MIT", ("number", "tags"), len(STORY * 4))
    assert first.text == STORY[:200]
    assert refused.rejected == f"{file}:2: the row has no text: 'body' is missing or empty; its fields: 'body'"
    assert (third.key, third.location) == ("own", f"{file}:3")
    assert (preview.rows, preview.usable, preview.rejected, preview.duplicates) == (5, 3, 1, 1)
    assert preview.complete
    assert preview.tokens == sum(row.tokens or 0 for row in preview.examples)
    assert preview.fields[:3] == (
        PreviewField(name="body", rows=5, use="text"),
        PreviewField(name="doc", rows=1, use="metadata.number"),
        PreviewField(name="lic", rows=1, use="license"),
    )


def test_only_the_first_rows_are_looked_at(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", *({"text": f"text {number}"} for number in range(50)), [1])
    preview = preview_corpus([file], rows=20, shown=3)
    assert (preview.rows, preview.usable, preview.complete, len(preview.examples)) == (20, 20, False, 3)
    assert (preview.tokens, preview.chunks, preview.model) == (None, None, None)
    exactly = preview_corpus(open_examples([file]), rows=51)
    assert (exactly.rows, exactly.rejected, exactly.complete) == (51, 1, True)


def test_rejected_rows_behind_the_shown_ones_are_listed(tmp_path: Path, tiny_model: Path) -> None:
    rows = [{"text": STORY}, {"text": 5}, *({"n": number} for number in range(30))]
    preview = preview_corpus(write(tmp_path / "a.jsonl", *rows), shown=1, model=tiny_model)
    assert (preview.rejected, len(preview.rejects)) == (31, 20)
    assert preview.rejects[0].reason == f'{tmp_path}/a.jsonl:2: "text" is an integer; expected a string'


def test_the_store_gives_model_and_settings(tmp_path: Path, tiny_model: Path) -> None:
    config = EstimatorConfig(kr=4, kh=4, kg=4, chunk_size=16, chunk_overlap=4)
    file = write(tmp_path / "a.jsonl", {"text": STORY})
    with AttributionStore.open(tmp_path / "store") as store:
        store.ingest(file, dataset="d", model=tiny_model, config=config)
    preview = preview_corpus(file, store=tmp_path / "store")
    encoder = SignatureEncoder.from_pretrained(tiny_model, config)
    assert preview.model == str(tiny_model)
    assert preview.chunks == len(encoder.chunks([STORY])[0])
    assert preview.chunks != preview_corpus(file, model=tiny_model).chunks
    with pytest.raises(StoreError, match="there is no rise_store store"):
        preview_corpus(file, store=tmp_path / "nowhere")


def test_mapped_fields_that_no_row_has_are_named(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"text": "one", "meta": {"by": "Ann"}}, {"text": "two"})
    assert preview_corpus(file, map="metadata.a=meta.by,metadata.b=meta.bi,license=lic").missing == ("lic", "meta.bi")


def test_chat_rows_need_a_model(tmp_path: Path, tiny_model: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"messages": [{"role": "user", "content": "Hi there"}]})
    (row,) = preview_corpus(file).examples
    assert row.rejected is not None
    assert row.rejected.endswith("name it with --model")
    (row,) = preview_corpus(file, model=tiny_model).examples
    assert row.rejected is not None
    assert "has no chat template" in row.rejected
    template = tmp_path / "chat.jinja"
    template.write_text("<{{ messages[0].role }}> {{ messages[0].content }}")
    (row,) = preview_corpus(file, model=tiny_model, chat_template=template).examples
    assert row.text == "<user> Hi there"


def test_what_ends_the_reading_is_told_and_an_error_where_nothing_was_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"id": "a", "text": "one"}, {"id": "a", "text": "other"})
    preview = preview_corpus(file)
    assert (preview.usable, preview.complete) == (1, False)
    assert preview.stopped is not None
    assert preview.stopped.startswith(f"{file}:2: \"id\" 'a' stands for another row")
    with pytest.raises(InputError, match="none of the first 2 rows has a field 'body'"):
        preview_corpus(file, map="text=body")
    with pytest.raises(InputError, match="no such file"):
        preview_corpus(tmp_path / "none.jsonl")
    with pytest.raises(ModelError, match="holds no model"):
        preview_corpus(file, model=tmp_path)
    with pytest.raises(ConfigError, match="1 row or more"):
        preview_corpus(file, rows=0)


def test_an_empty_corpus(tmp_path: Path) -> None:
    preview = preview_corpus(write(tmp_path / "a.jsonl"))
    assert (preview.rows, preview.complete, preview.examples, preview.fields) == (0, True, (), ())


def test_no_torch_without_a_model(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", {"text": "one"})
    script = """
import sys
from rise_store.preview import preview_corpus
preview_corpus(sys.argv[1])
assert not {"torch", "transformers", "pyarrow", "sqlalchemy", "datasets"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script, str(file)], check=True)
