"""What can be asked: a text, or a prompt with its completion, of which only the completion counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rise_store import InputError, Query, RiseStoreError
from rise_store.attribution_store import make_query
from rise_store.corpus import read_queries
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SENTENCES, SMALL, OpenStore, cosine, write_rows


def test_a_text_is_encoded_as_a_stored_example_is(library: OpenStore, encoder: SignatureEncoder) -> None:
    asked = encoder.encode_queries([Query(text=SENTENCES[0])]).signatures[0]
    np.testing.assert_allclose(asked, encoder.encode([SENTENCES[0]]).signatures[0], atol=1e-5)


def test_white_space_round_a_text_does_not_count_as_it_does_not_in_the_store(
    library: OpenStore, encoder: SignatureEncoder
) -> None:
    text = f"{SENTENCES[0]} {SENTENCES[2]} Page 0."
    (best,) = library.attribute(f"\n  {text} \n", k=1, model=encoder).results
    assert (best.example_id, best.score) == ("story-0", pytest.approx(1, abs=1e-3))


def test_a_text_asks_the_same_from_a_file_and_from_an_argument(
    library: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    (query,) = read_queries(write_rows(tmp_path / "queries.jsonl", [{"text": f" {SENTENCES[1]}\n"}]))
    (from_file,) = library.attribute_all([query], k=3, model=encoder)
    from_argument = library.attribute(f" {SENTENCES[1]}\n", k=3, model=encoder)
    scores = [hit.score for hit in from_argument.results]
    assert [hit.score for hit in from_file.results] == pytest.approx(scores, abs=1e-5)


def test_only_the_tokens_of_the_completion_count(encoder: SignatureEncoder) -> None:
    prompt, completion = "What did the dog find under the tree?", " A shiny key."
    pair, text = encoder.encode_queries(
        [Query(prompt=prompt, completion=completion), Query(text=prompt + completion)]
    ).signatures
    (ids,) = encoder.chunks([prompt + completion])
    prompt_tokens = len(encoder.chunks([prompt])[0][0])
    np.testing.assert_allclose(pair, encoder.encode_token_ids(ids, loss_start=prompt_tokens)[0], atol=1e-3)
    assert cosine(pair, text) < 0.99


def test_a_prompt_without_text_leaves_the_whole_completion(encoder: SignatureEncoder) -> None:
    pair, text = encoder.encode_queries(
        [Query(prompt="", completion=SENTENCES[0]), Query(text=SENTENCES[0])]
    ).signatures
    assert cosine(pair, text) == pytest.approx(1, abs=1e-3)


def test_a_completion_alone_is_a_question_too(library: OpenStore, encoder: SignatureEncoder) -> None:
    alone = library.attribute(completion=SENTENCES[0], k=3, model=encoder)
    assert alone.query == Query(completion=SENTENCES[0])
    empty_prompt = library.attribute(prompt="", completion=SENTENCES[0], k=3, model=encoder)
    assert [hit.score for hit in alone.results] == [hit.score for hit in empty_prompt.results]


def test_a_long_prompt_with_its_completion_is_cut(library: OpenStore, encoder: SignatureEncoder) -> None:
    prompt = " ".join(SENTENCES * 20)
    assert len(encoder.chunks([prompt])[0]) * 206 > SMALL.max_query_tokens
    result = library.attribute(prompt=prompt, completion=" The end.", k=1, model=encoder)
    assert len(result.results) == 1


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"prompt": "Why?"},
        {"prompt": "Why?", "completion": ""},
        {"text": "Why?", "completion": " Because."},
        {"text": "Why?", "prompt": "What?", "completion": " Because."},
    ],
)
def test_a_query_is_either_a_text_or_a_prompt_with_a_completion(library: OpenStore, asked: dict[str, str]) -> None:
    with pytest.raises(RiseStoreError, match="either a text, or a prompt with a completion"):
        library.attribute(**asked)  # type: ignore[arg-type]


def test_a_query_of_fewer_than_2_tokens_is_named(library: OpenStore, encoder: SignatureEncoder) -> None:
    with pytest.raises(InputError, match="query 2: fewer than 2 tokens"):
        library.attribute_all([Query(text="Why?"), Query(text="")], k=1, model=encoder)
    with pytest.raises(InputError, match="query mine: fewer than 2 tokens"):
        library.attribute_all([Query(id="mine", text="")], k=1, model=encoder)


def test_no_queries_have_no_answers(library: OpenStore, encoder: SignatureEncoder) -> None:
    assert library.attribute_all([], k=1, model=encoder) == []


def test_queries_from_a_file(encoder: SignatureEncoder, tmp_path: Path) -> None:
    rows = [
        {"id": 1, "prompt": "Why?", "completion": " Because."},
        {"id": "two", "prompt": "Why?", "generation": " Because."},
        {"text": "Because."},
        {"instruction": "Say why.", "output": "Because."},
        {"text": "Because."},
    ]
    assert read_queries(write_rows(tmp_path / "queries.jsonl", rows)) == [
        Query(id="1", prompt="Why?", completion=" Because."),
        Query(id="two", prompt="Why?", completion=" Because."),
        Query(text="Because."),
        Query(text="Say why.\nBecause."),
        Query(text="Because."),
    ]


def test_a_row_may_have_a_filter_and_a_k_of_its_own(tmp_path: Path) -> None:
    tree = {"not": {"field": "tokens", "gte": 50}}
    rows = [
        {"text": "A key.", "where": "tokens >= 50", "k": 3},
        {"prompt": "Who?", "completion": " Lily.", "where": tree},
        {"text": "A key.", "where": None, "k": None},
    ]
    assert read_queries(write_rows(tmp_path / "queries.jsonl", rows)) == [
        Query(text="A key.", where="tokens >= 50", k=3),
        Query(prompt="Who?", completion=" Lily.", where=tree),
        Query(text="A key."),
    ]


@pytest.mark.parametrize(("field", "value"), [("where", 3), ("where", ["a = 1"]), ("k", "3"), ("k", 1.5), ("k", True)])
def test_a_filter_or_a_k_of_the_wrong_type_names_its_line(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf'queries\.jsonl:1: "{field}" is'):
        read_queries(write_rows(tmp_path / "queries.jsonl", [{"text": "A key.", field: value}]))


@pytest.mark.parametrize("field", ["id", "text", "prompt", "completion"])
def test_text_that_is_no_unicode_is_refused(field: str) -> None:
    kind = {"text": "A key."} if field == "id" else {"completion": "A key."} if field == "prompt" else {}
    with pytest.raises(InputError, match=f"^query {field}: no valid Unicode at character 4; give text in UTF-8$"):
        make_query(**kind | {field: "caf\udce9"})
