"""Explanations of a real store and model: they add up to the scores that a search gives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rise_store import ConfigError, Dataset, Example, Explanation, InputError, Query, SpaceMismatchError
from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from tests.ingest.examples import SENTENCES, SMALL, OpenStore, quick_folder
from tests.retrieval.conftest import corpus

ASKED = Query(prompt="What did the dog find?", completion=" A shiny key under a big tree.")
AGAINST = ASKED.model_copy(update={"against": " A map of the park, drawn by hand."})
LONG = " ".join(f"{SENTENCES[number % 8]} Page {number}." for number in range(40))


@pytest.fixture(scope="module")
def texts(encoder: SignatureEncoder) -> Iterator[OpenStore]:
    """A store of stories, a text of several windows, and texts that are stored in part or not at all."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        store = OpenStore(backend)
        for dataset, examples in corpus().items():
            store.ingest(examples, dataset=dataset, model=encoder)
        store.ingest(
            [Example(id="long", text=LONG), Example(id="story-0", text="Lily.")], dataset="notes", model=encoder
        )
        store.ingest([Example(id="cut", text=LONG + " The end.")], dataset="cut", model=encoder, keep_text="preview")
        store.ingest([Example(id="none", text="A map.")], dataset="none", model=encoder, keep_text="none")
        yield store


def explain(store: OpenStore, encoder: SignatureEncoder, query: Query = ASKED, **options: object) -> Explanation:
    (explanation,) = store.explain(query, model=encoder, **options)  # type: ignore[arg-type]
    return explanation


def check_sums(explanation: Explanation) -> None:
    for tokens in (explanation.query_tokens, explanation.example_tokens):
        assert sum(token.score for token in tokens) == pytest.approx(explanation.explained, abs=1e-9)
        assert sum(token.channels.rh for token in tokens) == pytest.approx(explanation.channels.rh, abs=1e-9)
        assert sum(token.channels.gh for token in tokens) == pytest.approx(explanation.channels.gh, abs=1e-9)
    assert explanation.explained + explanation.rounding == pytest.approx(explanation.score, abs=1e-12)


@pytest.mark.parametrize("query", [ASKED, AGAINST, Query(text=LONG, against=SENTENCES[4])])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weights": "rh=1,gh=-0.5"},
        {"metric": "cosine"},
        {"metric": "paper", "lambdas": "rh=0.2,gh=1"},
        {"precondition": 0.1},
        {"metric": "cosine", "precondition": 0.01},
        {"metric": "paper", "precondition": 0.05},
    ],
    ids=str,
)
def test_the_sum_is_the_score_of_the_search(
    texts: OpenStore, encoder: SignatureEncoder, query: Query, options: dict[str, object]
) -> None:
    (answer,) = texts.attribute_all([query], k=3, where="dataset != cut and dataset != none", model=encoder, **options)
    found = texts.explain(query, k=3, where="dataset != cut and dataset != none", model=encoder, **options)
    for hit, explanation in zip(answer.results, found, strict=True):
        assert (explanation.rank, explanation.example.example_id) == (hit.rank, hit.example_id)
        assert explanation.score == hit.score
        assert explanation.explained == pytest.approx(hit.score, abs=2e-3)
        assert explanation.channels.rh == pytest.approx(hit.channels.rh, abs=2e-3)
        assert explanation.channels.gh == pytest.approx(hit.channels.gh, abs=2e-3)
        check_sums(explanation)


def test_it_agrees_with_the_encoders_signatures(texts: OpenStore, encoder: SignatureEncoder) -> None:
    explanation = explain(texts, encoder, example_id="long")
    score = encoder.encode_queries([ASKED]).signatures[0] @ encoder.encode([LONG]).signatures[0]
    assert explanation.explained == pytest.approx(score, abs=2e-5)  # chunks are rounded to float16 before they add up


def test_an_example_of_several_windows(texts: OpenStore, encoder: SignatureEncoder) -> None:
    explanation = explain(texts, encoder, example_id="long")
    tokens = explanation.example_tokens
    assert len(tokens) > SMALL.chunk_size
    assert "".join(token.text for token in tokens if token.start is not None) == LONG == explanation.example.text
    assert [token.counts for token in tokens] == [False] + [True] * (len(tokens) - 1)
    check_sums(explanation)


def test_only_the_answer_counts_and_its_words_are_named(texts: OpenStore, encoder: SignatureEncoder) -> None:
    explanation = explain(texts, encoder, example_id="story-2")
    tokens = explanation.query_tokens
    assert explanation.query_text == ASKED.prompt + ASKED.completion  # type: ignore[operator]
    counted = "".join(token.text for token in tokens if token.counts)
    assert counted == ASKED.completion
    assert all(token.score == 0 for token in tokens if not token.counts)
    assert {token.part for token in tokens} == {"query"}
    best = explanation.positive_pairs[0]
    assert best.score == max(pair.score for pair in explanation.positive_pairs) > 0
    assert tokens[best.query_token].counts
    partner = explanation.example_tokens[best.example_token].partners
    assert partner[best.query_token] == pytest.approx(best.score)


def test_what_it_is_asked_against_counts_negatively(texts: OpenStore, encoder: SignatureEncoder) -> None:
    plain = explain(texts, encoder, ASKED, example_id="long")
    other = explain(texts, encoder, Query(prompt=ASKED.prompt, completion=AGAINST.against), example_id="long")
    contrast = explain(texts, encoder, AGAINST, example_id="long")
    assert contrast.against_text == ASKED.prompt + AGAINST.against  # type: ignore[operator]
    own = np.array([token.score for token in contrast.query_tokens if token.part == "query"])
    against = np.array([token.score for token in contrast.query_tokens if token.part == "against"])
    factor = own.sum() / plain.explained  # of scaling the difference to unit length
    assert factor > 0
    np.testing.assert_allclose(own, factor * np.array([token.score for token in plain.query_tokens]), atol=1e-5)
    np.testing.assert_allclose(against, -factor * np.array([token.score for token in other.query_tokens]), atol=1e-5)


def test_the_record_says_where_the_example_is_from_and_how_it_was_scored(
    texts: OpenStore, encoder: SignatureEncoder
) -> None:
    explanation = explain(texts, encoder, example_id="story-3", metric="paper", lambdas="rh=1,gh=2", precondition=0.1)
    assert (explanation.example.dataset, explanation.example.dataset_version) == ("stories", "1")
    assert (explanation.example.license, explanation.example.source_uri) == ("CC-BY-4.0", "https://stories.example")
    assert explanation.example.metadata["page"] == 3
    assert (explanation.metric, explanation.precondition, explanation.rank) == ("paper", 0.1, None)
    assert explanation.lambdas is not None
    assert explanation.lambdas.gh == 2
    assert (explanation.space, explanation.estimator) == (encoder.fingerprint, SMALL)
    assert explanation.model == encoder.reference


def test_as_many_pairs_as_wanted(texts: OpenStore, encoder: SignatureEncoder) -> None:
    explanation = explain(texts, encoder, example_id="story-1", top_pairs=4)
    assert (len(explanation.positive_pairs), len(explanation.negative_pairs)) == (4, 4)
    assert explain(texts, encoder, example_id="story-1", top_pairs=0).positive_pairs == ()


def test_three_hits_unless_told_otherwise(texts: OpenStore, encoder: SignatureEncoder) -> None:
    told: list[tuple[int, int]] = []
    found = texts.explain(
        ASKED, where="dataset = stories", model=encoder, progress=lambda done, total: told.append((done, total))
    )
    assert [explanation.rank for explanation in found] == [1, 2, 3]
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert texts.explain(ASKED, where="dataset = stories and page = 99", model=encoder) == []


class TestRefusals:
    @pytest.mark.parametrize(("example", "kept"), [("cut", "only the beginning of the text"), ("none", "no text")])
    def test_an_example_without_its_text(
        self, texts: OpenStore, encoder: SignatureEncoder, example: str, kept: str
    ) -> None:
        message = (
            f"example '{example}' of dataset '{example}' cannot be explained: {kept} is stored; .*--keep-text full"
        )
        with pytest.raises(InputError, match=message):
            explain(texts, encoder, example_id=example)

    def test_an_unknown_example(self, texts: OpenStore, encoder: SignatureEncoder) -> None:
        with pytest.raises(InputError, match="no example 'story-99' of dataset 'notes'"):
            explain(texts, encoder, example_id="story-99", dataset="notes")

    def test_an_id_of_two_datasets(self, texts: OpenStore, encoder: SignatureEncoder) -> None:
        with pytest.raises(InputError, match="notes, stories; say which with --dataset"):
            explain(texts, encoder, example_id="story-0")
        assert explain(texts, encoder, example_id="story-0", dataset="notes").example.text == "Lily."

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"dataset": "notes"}, "dataset goes with an example id"),
            ({"example_id": "long", "k": 2}, "leave out k"),
            ({"example_id": "long", "min_score": 0.5}, "leave out min_score"),
            ({"example_id": "long", "approximate": True}, "leave out approximate"),
            ({"k": 1000}, "choose k from 1 to"),
            ({"top_pairs": -1}, "top_pairs is -1"),
        ],
    )
    def test_settings_that_do_not_fit(
        self, texts: OpenStore, encoder: SignatureEncoder, options: dict[str, object], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            explain(texts, encoder, **options)

    def test_another_space(self, texts: OpenStore, encoder: SignatureEncoder, tiny_model: object) -> None:
        other = SignatureEncoder.from_pretrained(str(tiny_model), SMALL.model_copy(update={"tau": 1.0}), device="cpu")
        with pytest.raises(SpaceMismatchError):
            explain(texts, other, example_id="long")


def test_residual_weighting_adds_up_too(tiny_model: object, store: OpenStore) -> None:
    config = SMALL.model_copy(update={"position_weighting": "residual"})
    encoder = SignatureEncoder.from_pretrained(str(tiny_model), config, device="cpu")
    store.ingest([Example(id="long", text=LONG)], dataset=Dataset(name="notes"), model=encoder)
    explanation = explain(store, encoder, example_id="long")
    assert explanation.explained == pytest.approx(explanation.score, abs=1e-3)
    check_sums(explanation)
