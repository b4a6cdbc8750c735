"""`AttributionStore` as a library user meets it: a model by its folder, files in, typed answers out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rise_store import (
    AttributionResult,
    AttributionStore,
    ConfigError,
    Dataset,
    EstimatorConfig,
    Example,
    InputError,
    ModelError,
    Query,
    RiseStoreError,
    SpaceMismatchError,
    StoreError,
    StoreInUseError,
    Weights,
)
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SENTENCES, SMALL, quick_folder, story_rows, write_rows
from tests.tiny_models import save_tiny_llama


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a store can be made; nothing is there yet."""
    with quick_folder() as quick:
        yield quick / "store"


@pytest.fixture(scope="session")
def encoder(tiny_model: Path) -> SignatureEncoder:
    return SignatureEncoder.from_pretrained(tiny_model, SMALL, device="cpu")


def test_from_files_to_an_answer(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "stories.jsonl", story_rows(8))
    with AttributionStore.open(folder) as store:
        report = store.ingest(file, dataset="stories", model=tiny_model, config=SMALL)
        assert (report.new, report.stored) == (8, 8)
        answer = store.attribute(prompt="What did the dog find?", completion=" A shiny key under a tree.", k=3)
    assert [hit.rank for hit in answer.results] == [1, 2, 3]
    for hit in answer.results:
        assert hit.dataset == "stories"
        assert hit.channels.rh + hit.channels.gh == pytest.approx(hit.score)


def test_a_store_outlives_the_process_that_made_it(folder: Path, tiny_model: Path) -> None:
    with AttributionStore.open(folder) as store:
        store.ingest(story_rows(4), dataset="stories", model=tiny_model, config=SMALL)
        before = store.attribute(SENTENCES[0], k=4)
    with AttributionStore.open(folder, create=False) as store:
        assert store.attribute(SENTENCES[0], k=4) == before
        more = store.ingest(story_rows(2, start=4), dataset="more")  # the model and settings are the space's
        assert (more.new, more.stored) == (2, 6)


def test_the_model_is_found_from_another_working_directory(
    folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tiny_model.parent)
    with AttributionStore.open(folder) as store:
        store.ingest(story_rows(2), dataset="stories", model=tiny_model.name, config=SMALL)
    monkeypatch.chdir(tmp_path)
    with AttributionStore.open(folder) as store:
        assert store.attribute(SENTENCES[0], k=1).results


def test_a_stored_text_scores_1_against_itself(folder: Path, encoder: SignatureEncoder) -> None:
    rows = story_rows(6)
    with AttributionStore.open(folder) as store:
        store.ingest(rows, dataset="stories", model=encoder)
        for row in rows:
            (best,) = store.attribute(row["text"], k=1, weights=Weights(rh=1, gh=1), model=encoder).results
            assert (best.example_id, best.score) == (row["id"], pytest.approx(1, abs=1e-3))


def test_many_questions_in_one_call(folder: Path, encoder: SignatureEncoder) -> None:
    asked = [Query(id="text", text=SENTENCES[0]), Query(id="pair", prompt="Who?", completion=" Lily.")]
    with AttributionStore.open(folder) as store:
        store.ingest(story_rows(5), dataset="stories", model=encoder)
        answers = store.attribute_all(asked, k=2, weights="rh=1,gh=0.5", model=encoder)
    assert [answer.query.id for answer in answers] == ["text", "pair"]
    assert all(isinstance(answer, AttributionResult) and len(answer.results) == 2 for answer in answers)
    assert {answer.weights for answer in answers} == {Weights(rh=1, gh=0.5)}


def test_records_are_an_input_as_good_as_files(folder: Path, encoder: SignatureEncoder) -> None:
    books = Dataset(name="books", version="3", license="CC0-1.0", source_uri="https://books.example")
    examples = [Example(id="1", instruction="Say hello.", output="Hello.", metadata={"page": 7})]
    with AttributionStore.open(folder) as store:
        store.ingest(examples, dataset=books, model=encoder)
        (hit,) = store.attribute("Hello.", k=1, where="page=7", model=encoder).results
    assert (hit.dataset, hit.dataset_version, hit.license) == ("books", "3", "CC0-1.0")
    assert (hit.text, hit.metadata) == ("Say hello.\nHello.", {"page": 7})


def test_info_says_what_is_held(folder: Path, encoder: SignatureEncoder) -> None:
    with AttributionStore.open(folder) as store:
        assert store.info().spaces == ()
        store.ingest(story_rows(3), dataset=Dataset(name="stories", license="MIT"), model=encoder)
        store.ingest(story_rows(2), dataset="notes", model=encoder)
        info = store.info()
    (held,) = info.spaces
    assert info.location == str(folder)
    assert (held.examples, held.datasets, held.licenses) == (5, {"stories": 3, "notes": 2}, {"MIT": 3})
    assert held.space.fingerprint == encoder.fingerprint
    assert held.space.estimator == SMALL
    assert held.space.model.name == encoder.reference.name
    assert held.space.dim == SMALL.dim
    assert held.size_bytes > 5 * SMALL.dim * 2


def test_a_model_is_loaded_once_for_a_store(folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[object] = []
    load = SignatureEncoder.from_pretrained

    def counted(model: str | Path, *args: object, **options: object) -> SignatureEncoder:
        loads.append(model)
        return load(model, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(SignatureEncoder, "from_pretrained", counted)
    with AttributionStore.open(folder) as store:
        store.ingest(story_rows(2), dataset="stories", model=tiny_model, config=SMALL)
        store.ingest(story_rows(2), dataset="more", model=tiny_model)
        store.attribute(SENTENCES[0], k=1)
        store.attribute(SENTENCES[1], k=1)
    assert len(loads) == 1


def test_leaving_the_block_releases_the_store(folder: Path, encoder: SignatureEncoder) -> None:
    here = f"already open in this process .{os.getpid()}."
    with AttributionStore.open(folder) as store, pytest.raises(StoreInUseError, match=here):
        AttributionStore.open(folder)
    with pytest.raises(StoreError, match="is closed"):
        store.ingest(story_rows(1), dataset="stories", model=encoder)
    store.close()  # closing twice is fine
    with AttributionStore.open(folder):
        pass


def test_an_error_inside_the_block_releases_the_store_too(folder: Path) -> None:
    with pytest.raises(LookupError), AttributionStore.open(folder):
        raise LookupError
    AttributionStore.open(folder).close()


def test_a_store_is_not_made_where_none_was_wanted(folder: Path) -> None:
    with pytest.raises(StoreError, match="there is no rise_store store at"):
        AttributionStore.open(folder, create=False)
    assert not folder.exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(StoreError, match=r"is not a rise_store store: it has files \(thesis\.tex"):
        AttributionStore.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_first_corpus_needs_a_model(folder: Path) -> None:
    with AttributionStore.open(folder) as store, pytest.raises(ConfigError, match="name a model with --model"):
        store.ingest(story_rows(1), dataset="stories")


def test_a_model_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    with AttributionStore.open(folder) as store, pytest.raises(ModelError, match=r"there is no .*/missing"):
        store.ingest(story_rows(1), dataset="stories", model=tmp_path / "missing")


def test_a_dataset_needs_a_name(folder: Path, encoder: SignatureEncoder) -> None:
    with AttributionStore.open(folder) as store, pytest.raises(RiseStoreError, match="dataset"):
        store.ingest(story_rows(1), dataset="", model=encoder)


class TestAnotherSpace:
    """One space is the default; a second one has to be asked for."""

    def test_another_model_is_refused(self, folder: Path, encoder: SignatureEncoder, tmp_path: Path) -> None:
        other = save_tiny_llama(tmp_path / "other", SENTENCES, seed=1)
        with AttributionStore.open(folder) as store:
            store.ingest(story_rows(2), dataset="stories", model=encoder)
            with pytest.raises(SpaceMismatchError, match="other weights or another tokenizer"):
                store.ingest(story_rows(2), dataset="more", model=other)
            with pytest.raises(SpaceMismatchError, match="other weights or another tokenizer"):
                store.attribute(SENTENCES[0], k=1, model=other)
            assert store.info().spaces[0].examples == 2

    def test_other_settings_are_refused_and_named(self, folder: Path, encoder: SignatureEncoder) -> None:
        with AttributionStore.open(folder) as store:
            store.ingest(story_rows(2), dataset="stories", model=encoder)
            with pytest.raises(
                SpaceMismatchError, match=r"has other settings: kr 16 there, 32 here, tau 0\.1 there, 1"
            ):
                store.ingest(story_rows(2), dataset="more", config=EstimatorConfig(kr=32, kh=8, kg=28, tau=1))
            assert store.info().spaces[0].examples == 2

    def test_a_second_space_lives_beside_the_first(
        self, folder: Path, encoder: SignatureEncoder, tiny_model: Path
    ) -> None:
        other = EstimatorConfig(kr=8, kh=4, kg=4)
        with AttributionStore.open(folder) as store:
            first = store.ingest(story_rows(2), dataset="stories", model=encoder)
            second = store.ingest(story_rows(3), dataset="stories", model=tiny_model, config=other, new_space=True)
            assert [held.examples for held in store.info().spaces] == [2, 3]
            again = store.ingest(story_rows(3), dataset="stories", space=second.space, model=tiny_model)
            assert (again.unchanged, again.tokens, again.space) == (3, 0, second.space)
            assert store.attribute(SENTENCES[0], k=1, space=first.space[:8], model=encoder).candidates == 2


def test_errors_of_a_row_name_file_and_line(folder: Path, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "stories.jsonl", [story_rows(1)[0], b'{"text": 7}'])
    with AttributionStore.open(folder) as store, pytest.raises(InputError, match=r'stories\.jsonl:2: "text" is'):
        store.ingest(file, dataset="stories", model=encoder)
