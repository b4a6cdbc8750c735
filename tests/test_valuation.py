"""`AttributionStore.value`, `select`, `self_influence` and `duplicates`, with a real model and a real store."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from tokenizers import processors

from rise_store import ConfigError, Dataset, FilterError, InputError, Query, StoreError
from rise_store.records import Preset
from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from rise_store.valuation import ValuationWithoutStore
from tests.ingest.examples import SMALL, OpenStore, forward_passes, quick_folder, story_rows, write_rows

STORED = [
    row | {"license": ("MIT", "CC0-1.0")[number % 2], "metadata": {"page": number}}
    for number, row in enumerate(story_rows(16))
]
TARGETS = [
    Query(text="Lily loved to play with her dog."),
    Query(prompt="The box held ", completion="a map of the park."),
]


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> SignatureEncoder:
    return SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")


@pytest.fixture(scope="module")
def library(encoder: SignatureEncoder) -> Iterator[OpenStore]:
    """16 stories in two datasets; tests only read it."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        store = OpenStore(backend)
        store.ingest(STORED[:10], dataset=Dataset(name="tales", source_uri="https://tales.example"), model=encoder)
        store.ingest(STORED[10:], dataset="notes", model=encoder)
        yield store


def values_of(store: Any, *arguments: Any, **options: Any) -> dict[str, float]:
    return {one.example_id: one.value for one in store.value(*arguments, targets=TARGETS, **options)}


class TestValue:
    def test_of_stored_examples_is_the_mean_score(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        found = values_of(library, model=encoder)
        answers = library.attribute_all(TARGETS, k=16, model=encoder)
        for name, value in found.items():
            scores = [hit.score for answer in answers for hit in answer.results if hit.example_id == name]
            assert value == pytest.approx(np.mean(scores), abs=2e-3)
        assert len(found) == 16

    def test_of_rows_that_are_not_stored(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        new = story_rows(20, start=100)
        found = list(library.value(new, targets=TARGETS, model=encoder, texts=True, per_target=True))
        assert [one.example_id for one in found] == [row["id"] for row in new]
        signatures = encoder.encode([row["text"] for row in new]).signatures
        targets = encoder.encode_queries(TARGETS).signatures
        np.testing.assert_allclose([one.scores for one in found], signatures @ targets.T, atol=1e-4)
        np.testing.assert_allclose([one.value for one in found], (signatures @ targets.T).mean(axis=1), atol=1e-4)
        assert found[0].text == new[0]["text"]
        assert (found[0].dataset, found[0].tokens) == (None, len(encoder.chunks([new[0]["text"]])[0][0]))
        for one in found:
            assert one.channels is not None
            assert one.channels.rh + one.channels.gh == pytest.approx(one.value)
        assert library.info().spaces[0].examples == 16  # nothing was kept

    def test_equal_contents_take_the_stored_signature(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        stored = values_of(library, model=encoder)
        values = library.value(STORED, targets=TARGETS, model=encoder)
        with forward_passes() as ran:
            found = {one.example_id: one.value for one in values}
        assert ran == []
        assert found == pytest.approx(stored)

    def test_settings_of_queries_apply(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        new = story_rows(4, start=50)
        options: dict[str, Any] = {"metric": "cosine", "weights": "rh=1,gh=0.5", "precondition": 0.1}
        library.save_preset(Preset(name="sharp", space=library.info().spaces[0].space.fingerprint, precondition=0.1))
        plain = values_of(library, new, model=encoder)
        assert values_of(library, new, model=encoder, **options) != pytest.approx(plain, abs=1e-3)
        sharp = values_of(library, new, model=encoder, preset="sharp")
        assert sharp == values_of(library, new, model=encoder, precondition=0.1)
        stored = values_of(library, model=encoder, **options)
        streamed = values_of(library, STORED, model=encoder, **options)
        assert streamed == pytest.approx(stored, abs=1e-5)

    def test_a_target_against_another_answer(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        target = Query(prompt="The key opened ", completion="a small box.", against="the old door.")
        (answer,) = library.attribute_all([target], k=16, model=encoder)
        found = {one.example_id: one.value for one in library.value(targets=[target], model=encoder)}
        assert found == pytest.approx({hit.example_id: hit.score for hit in answer.results}, abs=2e-3)

    def test_rank_fusion_comes_best_first(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        found = list(library.value(targets=TARGETS, by="rrf", model=encoder, per_target=True))
        assert len(found) == 16
        assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)
        columns = np.array([one.scores for one in found])
        ranks = 1 + (-columns).argsort(axis=0, kind="stable").argsort(axis=0)
        np.testing.assert_allclose([one.value for one in found], (1 / (60 + ranks)).sum(axis=1))
        assert all(one.channels is None for one in found)
        few = list(library.value(targets=TARGETS, by="rrf", depth=2, model=encoder))
        assert 2 <= len(few) <= 4

    def test_a_filter(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        found = list(library.value(targets=TARGETS, where="dataset = notes and page >= 12", model=encoder))
        assert {one.example_id for one in found} == {f"row-{number}" for number in range(12, 16)}
        assert {one.dataset for one in found} == {"notes"}
        assert found[0].text is None
        assert found[0].read_from is None

    def test_bad_rows(self, library: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
        rows: list[Any] = [*story_rows(2, start=30), {"id": "empty"}, b"{", {"id": "short", "text": ""}]
        file = write_rows(tmp_path / "rows.jsonl", [*rows, *story_rows(2, start=40)])
        with pytest.raises(InputError, match=r"rows.jsonl:3: the row has no text.*mend the row, or let bad rows pass"):
            list(library.value(file, targets=TARGETS, model=encoder))
        said: list[str] = []
        options: dict[str, Any] = {"max_rejects": None, "rejects": tmp_path / "bad.jsonl", "notify": said.append}
        assert len(values_of(library, file, model=encoder, **options)) == 4
        assert said == [f"left out: 3 rejected; they are in {tmp_path / 'bad.jsonl'}"]
        reasons = [orjson.loads(line)["reason"] for line in (tmp_path / "bad.jsonl").read_bytes().splitlines()]
        assert [reason.split(": ")[1].split(";")[0] for reason in reasons] == [
            "the row has no text",
            "malformed JSON at column 1",
            "the row has no text",
        ]

    def test_memory_does_not_grow_with_the_candidates(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        alive: list[int] = []
        live = 0

        class Row(dict):  # type: ignore[type-arg]
            def __init__(self, row: dict[str, Any]) -> None:
                nonlocal live
                super().__init__(row)
                live += 1

            def __del__(self) -> None:
                nonlocal live
                live -= 1

        def rows() -> Iterator[dict[str, Any]]:
            for number in range(4_000):
                alive.append(live)
                yield Row(STORED[number % 16])

        assert sum(1 for _ in library.value(rows(), targets=TARGETS, model=encoder)) == 4_000
        assert max(alive) < 1_100  # two blocks

    def test_without_a_store(self, library: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
        file = write_rows(tmp_path / "new.jsonl", story_rows(5, start=60))
        alone = ValuationWithoutStore(encoder)
        assert values_of(alone, file) == pytest.approx(values_of(library, file, model=encoder), abs=1e-5)
        assert len(alone.select(file, targets=TARGETS, k=2).examples) == 2
        assert len(alone.self_influence(file)) == 5
        with pytest.raises(ConfigError, match="preconditioning is estimated from stored examples; name a store"):
            values_of(alone, file, precondition=0.1)
        with pytest.raises(ConfigError, match="presets are kept in a store"):
            values_of(alone, file, preset="x")
        with pytest.raises(ConfigError, match="name candidates to read, or a store"):
            values_of(alone)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"where": "pgae = 3"}, FilterError, "no stored example has the field 'metadata.pgae'"),
            ({"candidates": [{"text": "a b"}], "where": "page = 3"}, ConfigError, "a filter chooses among stored"),
            ({"targets": []}, InputError, "there are no targets; give queries or examples"),
            ({"targets": [Query(text="a b c", k=3)]}, InputError, "target 1 has a filter or a k of its own"),
            ({"by": "sum"}, ConfigError, "unknown value 'sum'"),
            ({"depth": 5}, ConfigError, "depth is a setting of rrf, not of mean"),
            ({"preset": "none"}, InputError, "the store has no preset 'none'"),
            ({"space": "ffff"}, StoreError, "the store has no space ffff"),
        ],
    )
    def test_refusals(
        self, library: OpenStore, encoder: SignatureEncoder, options: dict[str, Any], error: Any, message: str
    ) -> None:
        with pytest.raises(error, match=message):
            library.value(**{"targets": TARGETS, "model": encoder, **options})  # before anything is asked of it


class TestSelect:
    def test_takes_the_best(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        values = values_of(library, model=encoder)
        selection = library.select(targets=TARGETS, k=4, model=encoder)
        best = sorted(values, key=lambda name: -values[name])[:4]
        assert [one.example_id for one in selection.examples] == best
        assert (selection.candidates, selection.targets, selection.strategy, selection.k) == (16, 2, "mean", 4)
        row = selection.training_rows()[0]
        number = int(best[0].removeprefix("row-"))
        assert row["text"] == STORED[number]["text"]
        assert row["metadata"] == {"page": number}
        assert row["rise"]["rank"] == 1
        assert row["rise"]["value"] == pytest.approx(values[best[0]])
        assert row["rise"]["dataset"] in ("tales", "notes")
        assert row["rise"]["space"] == selection.space

    def test_rows_come_out_as_they_were_read(
        self, library: OpenStore, encoder: SignatureEncoder, tmp_path: Path
    ) -> None:
        template = tmp_path / "chat.jinja"
        template.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
        rows: list[dict[str, Any]] = [
            {"prompt": "Who is it? ", "completion": "It is Lily.", "score": 3, "tags": ["a"]},
            {"messages": [{"role": "user", "content": "Where is the dog?"}, {"role": "assistant", "content": "Here."}]},
            {"instruction": "Name a tree.", "output": "An oak.", "metadata": {"by": "Ada"}},
            {"body": "A text under another name, told by a mapping."},
        ]
        file = write_rows(tmp_path / "rows.jsonl", rows[:3])
        selection = library.select(file, targets=TARGETS, k=3, model=encoder, chat_template=template)
        out = [{name: value for name, value in row.items() if name != "rise"} for row in selection.training_rows()]
        assert sorted(out, key=str) == sorted(rows[:3], key=str)
        mapped = write_rows(tmp_path / "mapped.jsonl", rows[3:])
        (one,) = library.select(mapped, targets=TARGETS, k=3, model=encoder, map="text=body").training_rows()
        assert one["body"] == rows[3]["body"]
        assert one["rise"]["read_from"]["file"] == str(mapped)

    def test_copies_of_a_text_are_taken_once(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        rows = [*STORED[:4], *({"id": f"copy-{n}", "text": STORED[n]["text"]} for n in range(4))]
        selection = library.select(rows, targets=TARGETS, k=8, max_per=["content_sha256=1"], model=encoder)
        assert {one.example_id for one in selection.examples} == {f"row-{n}" for n in range(4)}

    @pytest.mark.parametrize("strategy", ["mean", "max", "rrf", "mmr", "facility-location"])
    def test_quotas_and_tokens(self, library: OpenStore, encoder: SignatureEncoder, strategy: Any) -> None:
        selection = library.select(
            targets=TARGETS, k=6, tokens=600, strategy=strategy, quotas=["license=MIT:1"], max_per=["dataset=50%"],
            model=encoder,
        )  # fmt: skip
        licences = [one.license for one in selection.examples]
        datasets = [one.dataset for one in selection.examples]
        assert licences.count("MIT") == 1
        assert 2 <= len(licences) <= 6
        assert max(datasets.count(name) for name in ("tales", "notes")) <= 3
        assert selection.used_tokens <= 600

    def test_texts_that_are_not_stored(self, encoder: SignatureEncoder) -> None:
        said: list[str] = []
        with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
            store = OpenStore(backend)
            long = {"id": "long", "text": STORED[0]["text"] * 5}
            store.ingest([*STORED[1:3], long], dataset="tales", model=encoder, keep_text="preview")
            selection = store.select(targets=TARGETS, k=3, model=encoder, notify=said.append)
            assert {row["id"] for row in selection.training_rows() if "text" in row} == {"row-1", "row-2"}
            assert said == [
                "warning: the store keeps no full text of 1 of the selected examples; join them with their source by "
                "rise.example_id, or ingest with --keep-text full"
            ]
            said.clear()
            assert {one.example_id for one in store.self_influence(model=encoder, notify=said.append)} == {
                "row-1",
                "row-2",
            }
            assert said[0].startswith("left out: 1 examples whose full text is not stored")

    def test_a_field_that_no_candidate_has(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        said: list[str] = []
        library.select(targets=TARGETS, k=1, quotas=["licence=MIT:1"], model=encoder, notify=said.append)
        assert said == ["warning: a limit names metadata.licence, which no candidate has"]


class TestSelfInfluence:
    def test_of_stored_examples(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        found = library.self_influence(model=encoder, k=None)
        assert len(found) == 16
        assert [one.adjusted for one in found] == sorted((one.adjusted for one in found), reverse=True)
        plain = library.self_influence(model=encoder, by="self-influence")
        assert [one.self_influence for one in plain] == sorted((one.self_influence for one in found), reverse=True)
        for one in found[:3]:
            text = STORED[int(one.example_id.removeprefix("row-"))]["text"]
            (gradient,) = encoder.loss_gradients(encoder.chunks([text])[0])
            assert one.self_influence == pytest.approx(gradient.squared_length, rel=1e-4)
            assert one.adjusted == pytest.approx(one.self_influence * one.positions)
            assert (one.loss, one.positions) == (pytest.approx(gradient.loss, rel=1e-4), gradient.positions)
        top = library.self_influence(model=encoder, k=5)
        assert [one.example_id for one in top] == [one.example_id for one in found[:5]]

    def test_typicality_is_the_mean_cosine_with_the_others(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        found = library.self_influence(model=encoder, k=None, by="typicality", texts=True)
        for one in found:
            rows = library.dataset(one.dataset or "")
            vectors = {name: point.vector / np.linalg.norm(point.vector) for name, point in rows.items()}  # type: ignore[operator,arg-type]
            own = vectors.pop(one.example_id)
            assert one.typicality == pytest.approx(np.mean([own @ other for other in vectors.values()]), abs=1e-4)
            assert one.text
        typicalities = [one.typicality or 0 for one in found]
        assert typicalities == sorted(typicalities)
        by_loss = library.self_influence(model=encoder, by="loss", k=3)
        assert by_loss[0].loss == max(one.loss for one in found)

    def test_of_a_completion_only_its_own_tokens_count(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        pair = {"id": "pair", "prompt": "The dog found ", "completion": "a key."}
        found = {one.example_id: one for one in library.self_influence([pair, *STORED[:2]], model=encoder)}
        asked = encoder.query_chunks([Query(prompt=pair["prompt"], completion=pair["completion"])])[0]
        assert found["pair"].positions == len(asked.chunks[0]) - asked.loss_start[0]
        assert found["pair"].typicality is None
        assert found["row-0"].positions == (found["row-0"].tokens or 0) - 1

    def test_an_answer_that_a_long_prompt_pushes_out_is_left_out(
        self, library: OpenStore, encoder: SignatureEncoder
    ) -> None:
        most = encoder.config.max_query_tokens
        row = {"id": "long", "prompt": "Lily loved to play with her dog. " * most, "completion": "A key."}
        reason = f"row 1: the prompt takes all of the {most} tokens that are looked at"
        with pytest.raises(InputError, match=reason):
            library.self_influence([row, *STORED[:2]], model=encoder)
        said: list[str] = []
        found = library.self_influence([row, *STORED[:2]], model=encoder, max_rejects=1, notify=said.append)
        assert {one.example_id for one in found} == {"row-0", "row-1"}
        assert said == ["left out: 1 rejected"]
        (query,) = encoder.query_chunks([Query(prompt=row["prompt"], completion=row["completion"])])
        assert (len(query.chunks[0]), query.loss_start) == (most, [most - 1])  # as a query it stays what it was

    def test_stored_texts_that_are_too_short_once_stripped_are_counted_apart(self, encoder: SignatureEncoder) -> None:
        encoder = copy.copy(encoder)
        encoder.tokenizer = copy.deepcopy(encoder.tokenizer)
        encoder.tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()  # nothing stands before a text
        said: list[str] = []
        with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
            store = OpenStore(backend)
            short = {"id": "short", "prompt": "a", "completion": "  \n \n "}
            store.ingest([*STORED[:2], short], dataset="tales", model=encoder)
            found = store.self_influence(model=encoder, notify=said.append)
        assert {one.example_id for one in found} == {"row-0", "row-1"}
        assert said == ["left out: 1 examples whose text is too short (under 2 tokens, once stripped)"]

    def test_of_an_instruction_only_its_output_counts(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        row = {"instruction": "Name a tree.", "input": "In the park.", "output": "The oak."}
        (found,) = library.self_influence([row], model=encoder)
        (whole,) = library.self_influence([{"text": "Name a tree.\nIn the park.\nThe oak."}], model=encoder)
        assert found.tokens == whole.tokens
        assert found.positions < whole.positions

    def test_a_long_text_is_the_mean_of_its_windows(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        text = " ".join(row["text"] for row in STORED)
        (found,) = library.self_influence([{"text": text}], model=encoder)
        chunks = encoder.chunks([text])[0]
        assert len(chunks) > 1
        parts = encoder.loss_gradients(chunks)
        positions = np.array([part.positions for part in parts])
        assert found.positions == positions.sum()
        expected = np.average([part.squared_length for part in parts], weights=positions)
        assert found.self_influence == pytest.approx(expected, rel=1e-4)

    def test_refusals(self, library: OpenStore, encoder: SignatureEncoder) -> None:
        with pytest.raises(ConfigError, match="k is 0; tell at least 1 row"):
            library.self_influence(model=encoder, k=0)
        with pytest.raises(ConfigError, match="typicality compares stored signatures, and these rows are not stored"):
            library.self_influence(STORED, by="typicality", model=encoder)
        with pytest.raises(ConfigError, match="unknown order 'size'"):
            library.self_influence(by="size", model=encoder)  # type: ignore[arg-type]


def test_duplicates_need_no_model(library: OpenStore) -> None:
    with forward_passes() as ran:
        clusters = library.duplicates(threshold=0.5, where="dataset = tales", texts=True)
    assert ran == []
    for cluster in clusters:
        for one in (cluster.representative, *cluster.others):
            assert one.dataset == "tales"
            assert one.text == STORED[int(one.example_id.removeprefix("row-"))]["text"]
    assert sum(cluster.size for cluster in clusters) <= 10
    assert library.duplicates(threshold=1.0) == []


def test_odd_rows_lead_in_a_model_of_stories(shared: Path) -> None:
    folder = shared / "models" / "stories260k"
    if not folder.is_dir():
        pytest.skip("the model is not on this machine")
    odd = {
        "one token again and again": "Once upon a time " + "key key " * 10,
        "two tokens in turn": "The dog " + "x y " * 12,
        "no language": "qz vk jx wp zzt blorp, 17 %% @@ xx fj.",
        "words in no order": "park the in found Lily happy. was dog a time a upon Once tree.",
    }
    rows = [*story_rows(30), *({"id": id, "text": text} for id, text in odd.items())]
    found = ValuationWithoutStore.from_pretrained(folder, device="cpu").self_influence(rows, k=4)
    assert {one.example_id for one in found} == set(odd)
