"""Corpora of foreign layouts, from the file to the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rise_store import ConfigError, InputError
from rise_store.corpus import open_examples, parse_mapping
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import OpenStore, forward_passes, story_rows

FOREIGN: list[dict[str, Any]] = [
    {"doc": row["id"], "body": row["text"], "info": {"by": "Ann"}, "page": number}
    for number, row in enumerate(story_rows(6))
]


def runs(store: OpenStore) -> list[dict[str, Any]]:
    return [document for _, document in store.backend.catalogue().scan("run", owner="tales")]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(FOREIGN), tmp_path / "tales.parquet")
    return tmp_path / "tales.parquet"


def test_a_mapped_parquet_file_is_stored_as_json_lines_would_be(
    store: OpenStore, encoder: SignatureEncoder, parquet: Path
) -> None:
    report = store.ingest(parquet, dataset="tales", model=encoder, map="id=doc,text=body,metadata.author=info.by")
    assert report.new == 6
    assert {key for _, key in store.points} == {row["id"] for row in story_rows(6)}
    payload = store.points["tales", "row-3"].payload
    assert payload["text"] == story_rows(6)[3]["text"]
    assert payload["metadata"] == {"author": "Ann", "info": {"by": "Ann"}, "page": 3}

    by_hand = [
        {**row, "metadata": {"author": "Ann", "info": {"by": "Ann"}}, "page": page}
        for page, row in enumerate(story_rows(6))
    ]
    with forward_passes() as ran:
        again = store.ingest(by_hand, dataset="tales", model=encoder)
    assert (again.unchanged, ran) == (6, [])


def test_the_run_names_source_and_mapping(store: OpenStore, encoder: SignatureEncoder, parquet: Path) -> None:
    store.ingest(parquet, dataset="tales", model=encoder, map={"text": "body", "id": "doc"}, only_mapped=True)
    (run,) = runs(store)
    assert run["settings"]["map"] == {"text": "body", "id": "doc"}
    assert run["settings"]["only_mapped"] is True
    assert run["sources"][0]["format"] == "parquet"
    assert len(run["sources"][0]["sha256"]) == 64


def test_a_query_is_ingested_again_when_its_rows_have_changed(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "tales.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table tales (doc text, body text)")
        connection.executemany("insert into tales values (:doc, :body)", [row for row in FOREIGN if row["page"] < 4])
        connection.commit()

        def ingest() -> Any:
            reader = open_examples(
                [], sql=f"sqlite:///{path}", query="select * from tales order by doc", map="text=body,id=doc"
            )
            return store.ingest(reader, dataset="tales", model=encoder)

        assert ingest().new == 4
        connection.executemany("insert into tales values (:doc, :body)", [row for row in FOREIGN if row["page"] >= 4])
        connection.commit()
        report = ingest()
    assert (report.new, report.unchanged) == (2, 4)
    assert runs(store)[0]["sources"][0]["uri"] == f"sqlite:///{path} select * from tales order by doc"


def test_secrets_of_the_address_stay_out_of_the_store(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "tales.db")) as connection:
        connection.execute("create table tales (text text)")
        connection.execute("insert into tales values ('The secret is kept.')")
        connection.commit()
    address = f"sqlite:///file:{tmp_path}/tales.db?mode=ro&uri=true&key=s3cret"
    reader = open_examples([], sql=address, query="select * from tales")
    report = store.ingest(reader, dataset="tales", model=encoder)
    assert report.new == 1
    kept = [report.model_dump(), runs(store), [point.payload for point in store.points.values()]]
    kept += [document for kind in ("receipt", "dataset") for document in store.backend.catalogue().scan(kind)]
    assert "s3cret" not in repr(kept)
    assert "tales.db" in repr(kept)


def test_a_missing_column_makes_no_run(store: OpenStore, encoder: SignatureEncoder, parquet: Path) -> None:
    with pytest.raises(InputError, match="there is no column 'content'"):
        store.ingest(parquet, dataset="tales", model=encoder, map="text=content")
    assert runs(store) == []


def test_rows_in_memory_are_mapped_by_hand(store: OpenStore, encoder: SignatureEncoder) -> None:
    with pytest.raises(ConfigError, match="map: only for sources that are named; map rows with"):
        store.ingest(FOREIGN, dataset="tales", model=encoder, map="text=body")
    mapping = parse_mapping("text=body,id=doc")
    assert store.ingest(map(mapping, FOREIGN), dataset="tales", model=encoder).new == 6
