"""Contrast: what explains one answer rather than another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rise_store import InputError, Query, QuerySet
from rise_store.corpus import read_queries
from rise_store.retrieval import query_signatures
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SENTENCES, OpenStore, write_rows

PAIR = {"prompt": "What did the dog find?", "completion": " A shiny key."}


def unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize(
    ("query", "other"),
    [
        (Query(**PAIR, against=" A map."), Query(prompt=PAIR["prompt"], completion=" A map.")),
        (Query(**PAIR, against=" A map.", against_prompt="Who?"), Query(prompt="Who?", completion=" A map.")),
        (Query(completion="A key.", against="A map."), Query(completion="A map.")),
        (Query(text=SENTENCES[0], against=SENTENCES[1]), Query(text=SENTENCES[1])),
        (
            Query(text=SENTENCES[0], against=" A map.", against_prompt="Who?"),
            Query(prompt="Who?", completion=" A map."),
        ),
    ],
)
def test_the_difference_of_two_unit_signatures_is_asked_with(
    encoder: SignatureEncoder, query: Query, other: Query
) -> None:
    own = query.model_copy(update={"against": None, "against_prompt": None})
    signature, minus, plain = query_signatures(encoder, [query, other, own])
    np.testing.assert_allclose(signature, unit(plain - minus), atol=1e-5)
    assert np.linalg.norm(signature) == pytest.approx(1, abs=1e-5)


def test_the_other_way_round_is_the_opposite(encoder: SignatureEncoder) -> None:
    one, other = (Query(text=SENTENCES[a], against=SENTENCES[b]) for a, b in ((0, 1), (1, 0)))
    for_one, for_other = query_signatures(encoder, [one, other])
    np.testing.assert_allclose(for_one, -for_other, atol=1e-5)


def test_each_query_has_its_own_counterfactual(encoder: SignatureEncoder) -> None:
    queries = [
        Query(text=SENTENCES[0], against=SENTENCES[1]),
        Query(text=SENTENCES[2]),
        Query(**PAIR, against=" A map."),
    ]
    together = query_signatures(encoder, queries)
    for query, signature in zip(queries, together, strict=True):
        np.testing.assert_allclose(query_signatures(encoder, [query])[0], signature, atol=1e-4)


def test_scores_are_differences_of_scores(library: OpenStore, encoder: SignatureEncoder) -> None:
    own, other = (f"{SENTENCES[number]} {SENTENCES[(number * 5 + 2) % 8]} Page {number}." for number in (0, 1))
    for_own, for_other, difference = (
        {hit.example_id: hit.score for hit in result.results}
        for result in library.attribute_all(
            [Query(text=own), Query(text=other), Query(text=own, against=other)], k=30, model=encoder
        )
    )
    length = np.sqrt(2 - 2 * for_own["story-1"])  # of the difference of the two unit signatures
    for name, score in difference.items():
        assert score == pytest.approx((for_own[name] - for_other[name]) / length, abs=3e-3)
    assert difference["story-0"] == pytest.approx(-difference["story-1"], abs=3e-3)
    assert max(difference, key=lambda name: difference[name]) == "story-0"


def test_the_answer_states_what_it_was_asked_against(library: OpenStore, encoder: SignatureEncoder) -> None:
    asked = {**PAIR, "against": " A map.", "against_prompt": "What was in the box?"}
    result = library.attribute(**asked, k=2, model=encoder)
    assert result.query == Query(**asked)
    (groups,) = library.influence_by("dataset", [Query(**asked)], model=encoder)
    assert groups.query == Query(**asked)
    assert groups.negative < 0


def test_sameness_is_refused(library: OpenStore, encoder: SignatureEncoder) -> None:
    with pytest.raises(
        InputError, match=r"^query 2: what it is asked against has the same signature, so nothing tells"
    ):
        library.attribute_all(
            [Query(text=SENTENCES[0]), Query(text=SENTENCES[1], against=f" {SENTENCES[1]}\n")], model=encoder
        )
    with pytest.raises(InputError, match=r"^query mine: what it is asked against has the same signature"):
        library.attribute_all([Query(id="mine", **PAIR, against=PAIR["completion"])], model=encoder)


def test_answers_that_are_cut_off_are_refused_with_the_reason(library: OpenStore, encoder: SignatureEncoder) -> None:
    cut = {"prompt": " ".join(SENTENCES * 20), "completion": " A shiny key."}
    with pytest.raises(
        InputError, match=r"^query 1: the prompt fills max_query_tokens \(512\), so nothing of the answers"
    ):
        library.attribute(**cut, against=" A map.", model=encoder)
    assert library.attribute(**cut, k=1, model=encoder).results  # a plain query is asked by its last token
    long = " ".join(SENTENCES * 20)
    with pytest.raises(InputError, match=r"^query 1: the answers, .* are the same up to max_query_tokens \(512\)"):
        library.attribute(prompt="Tell me.", completion=f"{long} A key.", against=f"{long} A map.", model=encoder)


def test_a_counterfactual_of_fewer_than_2_tokens_names_its_query(library: OpenStore, encoder: SignatureEncoder) -> None:
    queries = [Query(text=SENTENCES[0]), Query(text=SENTENCES[1], against=" ")]
    with pytest.raises(InputError, match=r"^query 2 \(against\): fewer than 2 tokens"):
        library.attribute_all(queries, model=encoder)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"text": "A key.", "against": ""}, "against is empty; give what the model might have answered instead"),
        ({**PAIR, "against_prompt": "Who?"}, "against_prompt goes with against, the completion that follows it"),
        ({**PAIR, "against": "caf\udce9"}, "query against: no valid Unicode at character 4"),
    ],
)
def test_what_is_no_contrast_is_refused(library: OpenStore, asked: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        library.attribute(**asked)  # type: ignore[arg-type]


def test_rows_of_files_have_counterfactuals(tmp_path: Path) -> None:
    rows = [
        {**PAIR, "against": " A map."},
        {**PAIR, "against": " A map.", "against_prompt": "Who?"},
        {"text": "A key.", "against": "A map."},
        {"text": "A key.", "against": None},
    ]
    assert read_queries(write_rows(tmp_path / "queries.jsonl", rows)) == [
        Query(**PAIR, against=" A map."),
        Query(**PAIR, against=" A map.", against_prompt="Who?"),
        Query(text="A key.", against="A map."),
        Query(text="A key."),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"against": 3}, '"against" is not a text; it is what the query is asked against'),
        ({"against": ["A map."]}, '"against" is not a text'),
        ({"against_prompt": {}, "against": "x"}, '"against_prompt" is not a text'),
        ({"against_prompt": "Who?"}, "against_prompt goes with against"),
        ({"against": ""}, "against is empty"),
    ],
)
def test_a_row_with_something_else_names_its_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    file = write_rows(tmp_path / "queries.jsonl", [{"text": "A key."}, {"text": "A key.", **row}])
    with pytest.raises(InputError, match=rf"queries\.jsonl:2: {message}"):
        read_queries(file)


def test_a_set_is_asked_with_the_mean_of_its_signatures(encoder: SignatureEncoder) -> None:
    queries = (Query(text=SENTENCES[0]), Query(text=SENTENCES[1], against=SENTENCES[2]), Query(**PAIR))
    one, two, three, mean = query_signatures(encoder, [*queries, QuerySet(queries=queries, fusion="mean")])
    np.testing.assert_allclose(mean, unit(one + two + three), atol=1e-5)


def test_a_set_that_cancels_out_is_refused(encoder: SignatureEncoder) -> None:
    queries = tuple(Query(text=SENTENCES[a], against=SENTENCES[b]) for a, b in ((0, 1), (1, 0)))
    with pytest.raises(InputError, match="cancel out, so their mean asks nothing; use fusion rrf"):
        query_signatures(encoder, [QuerySet(queries=queries, fusion="mean")])
