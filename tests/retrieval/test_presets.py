"""Presets: settings of queries under a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rise_store import ConfigError, InputError, Query, SpaceMismatchError, StoreError
from rise_store.records import Lambdas, Preset, Weights
from rise_store.retrieval import resolve_scoring
from rise_store.signature import SignatureEncoder
from rise_store.store import open_store
from tests.ingest.examples import SENTENCES, OpenStore, quick_folder, story_rows
from tests.retrieval.channel_rows import space_of

SPACE = space_of()
COSINE = Preset(name="close", space=SPACE.fingerprint, metric="cosine", weights=Weights(gh=0.5), precondition=0.1)
PAPER = Preset(name="paper", space=SPACE.fingerprint, metric="paper", lambdas=Lambdas(rh=1, gh=2))


@pytest.fixture(scope="module")
def kept(encoder: SignatureEncoder) -> Iterator[OpenStore]:
    """A store of 12 stories."""
    with quick_folder() as folder, open_store(folder / "store", create=True) as backend:
        store = OpenStore(backend)
        store.ingest(story_rows(12), dataset="stories", model=encoder)
        yield store


class TestResolving:
    @pytest.mark.parametrize(
        ("preset", "options", "expected"),
        [
            (None, {}, ("dot", Weights(), None, None)),
            (COSINE, {}, ("cosine", Weights(gh=0.5), None, 0.1)),
            (COSINE, {"metric": None, "weights": None, "precondition": None}, ("cosine", Weights(gh=0.5), None, 0.1)),
            (COSINE, {"weights": "rh=2"}, ("cosine", Weights(rh=2), None, 0.1)),
            (COSINE, {"precondition": 0.5}, ("cosine", Weights(gh=0.5), None, 0.5)),
            (COSINE, {"precondition": 0}, ("cosine", Weights(gh=0.5), None, None)),
            (None, {"precondition": 0.0}, ("dot", Weights(), None, None)),
            (COSINE, {"metric": "dot"}, ("dot", Weights(), None, 0.1)),
            (COSINE, {"metric": "paper"}, ("paper", Weights(), Lambdas(rh=0.8, gh=0.3), 0.1)),
            (PAPER, {}, ("paper", Weights(), Lambdas(rh=1, gh=2), None)),
            (PAPER, {"lambdas": "rh=1,gh=1"}, ("paper", Weights(), Lambdas(rh=1, gh=1), None)),
            (PAPER, {"metric": "cosine", "weights": "gh=2"}, ("cosine", Weights(gh=2), None, None)),
        ],
    )
    def test_options_win_over_the_preset(self, preset: Preset | None, options: Any, expected: Any) -> None:
        scoring, alpha = resolve_scoring(SPACE, options, preset)
        assert (scoring.metric, scoring.weights, scoring.lambdas, alpha) == expected

    def test_options_that_do_not_fit_the_preset_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="the metric paper takes lambdas instead of weights"):
            resolve_scoring(SPACE, {"weights": "rh=2"}, PAPER)

    def test_a_preset_of_another_space_is_refused(self) -> None:
        other = COSINE.model_copy(update={"space": "0123"})
        with pytest.raises(
            SpaceMismatchError, match=f"close was chosen for space 0123, and this is {SPACE.fingerprint}"
        ):
            resolve_scoring(SPACE, {}, other)


class TestInTheStore:
    def test_saved_presets_are_listed_by_name_until_deleted(self, kept: OpenStore, encoder: SignatureEncoder) -> None:
        assert kept.presets() == []
        near = kept.save_settings("near", metric="cosine", weights="gh=0.5", note="by hand")
        assert (near.space, near.weights, near.note) == (encoder.fingerprint, Weights(gh=0.5), "by hand")
        assert near.created_at
        far = kept.save_preset(Preset(name="far", space=encoder.fingerprint[:6], precondition=0.1))
        assert far.space == encoder.fingerprint
        assert kept.presets() == [far, near]
        again = kept.save_settings("near", metric="paper", lambdas="gh=1")
        assert again.lambdas == Lambdas(rh=1, gh=1)
        assert kept.presets() == [far, again]
        assert kept.delete_preset("near") == again
        assert kept.delete_preset("far") == far
        assert kept.presets() == []
        with pytest.raises(InputError, match="the store has no preset 'far'; its presets: none"):
            kept.delete_preset("far")

    def test_queries_take_their_settings_from_a_preset(self, kept: OpenStore, encoder: SignatureEncoder) -> None:
        kept.save_settings("near", metric="cosine", weights="gh=0.5", precondition=0.1)
        try:
            stated = {"metric": "cosine", "weights": "gh=0.5", "precondition": 0.1}
            written = kept.attribute(SENTENCES[0], k=5, model=encoder, **stated)
            named = kept.attribute(SENTENCES[0], k=5, model=encoder, preset="near")
            assert written.preset is None
            assert named == written.model_copy(update={"preset": "near"})
            partly = kept.attribute(SENTENCES[0], k=5, model=encoder, preset="near", weights="rh=0.1")
            assert (partly.weights, partly.precondition, partly.preset) == (Weights(rh=0.1), 0.1, "near")
            (groups,) = kept.influence_by("dataset", [Query(text=SENTENCES[0])], model=encoder, preset="near")
            assert (groups.preset, groups.metric) == ("near", "cosine")
            fused = kept.attribute_set([Query(text=SENTENCES[0])], "rrf", k=5, model=encoder, preset="near")
            assert [hit.example_id for hit in fused.results] == [hit.example_id for hit in named.results]
            assert fused.preset == "near"
            with pytest.raises(InputError, match="the store has no preset 'nera'; its presets: near"):
                kept.attribute(SENTENCES[0], model="no such model", preset="nera")
        finally:
            kept.delete_preset("near")

    def test_what_cannot_be_a_preset_is_refused(self, kept: OpenStore) -> None:
        with pytest.raises(ConfigError, match="preset name: String should match pattern"):
            kept.save_settings("two words")
        with pytest.raises(ConfigError, match="lambdas belong to the metric paper, not to dot"):
            kept.save_settings("odd", lambdas="rh=1")
        with pytest.raises(ConfigError, match=r"give a number above 0, such as 0\.01"):
            kept.save_settings("odd", precondition=-1)
        (space,) = kept.backend.spaces()
        unused = Preset(name="odd", space=space.fingerprint, metric="paper", weights=Weights(rh=2))
        with pytest.raises(ConfigError, match="the metric paper takes lambdas instead of weights"):
            kept.save_preset(unused)
        with pytest.raises(StoreError, match="no space zz"):
            kept.save_preset(Preset(name="odd", space="zz"))
        assert kept.presets() == []

    def test_a_preset_outlives_the_process(self, encoder: SignatureEncoder) -> None:
        with quick_folder() as folder:
            with open_store(folder / "store", create=True) as backend:
                store = OpenStore(backend)
                store.ingest(story_rows(3), dataset="stories", model=encoder)
                saved = store.save_settings("near", metric="cosine")
            with open_store(folder / "store") as backend:
                assert OpenStore(backend).presets() == [saved]

    def test_one_that_cannot_be_read_stands_in_the_way_of_no_other(self, kept: OpenStore) -> None:
        near = kept.save_settings("near", metric="cosine")
        kept.backend.catalogue().put("preset", {"newer": {"name": "newer", "space": "x", "curvature": 1}})
        try:
            notes: list[str] = []
            assert kept.presets(notify=notes.append) == kept.presets() == [near]
            (note,) = notes
            assert note.startswith("preset 'newer' cannot be read")
            with pytest.raises(StoreError, match="preset 'newer' cannot be read"):
                kept.attribute(SENTENCES[0], model="no such model", preset="newer")
            with pytest.raises(InputError, match="the store has no preset 'nera'; its presets: near, newer"):
                kept.attribute(SENTENCES[0], model="no such model", preset="nera")
            assert kept.delete_preset("newer") is None
            with pytest.raises(InputError, match="the store has no preset 'newer'; its presets: near"):
                kept.delete_preset("newer")
        finally:
            kept.backend.catalogue().remove("preset", ["near", "newer"])
