"""Indexes of the published RISE engine become examples that queries match."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from rise_store import ConfigError, Dataset, EstimatorConfig, InputError, SpaceMismatchError
from rise_store.lifecycle.published_index import PublishedIndex
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SMALL, OpenStore, story_rows
from tests.lifecycle.material import contents, vector_of
from tests.lifecycle.rise_index import edit_manifest, replace_row, write_index, write_meta
from tests.tiny_models import save_tiny_llama

TEXTS = [row["text"] for row in story_rows(12)]
LONG = " ".join(TEXTS)  # of which an index keeps the first 200 characters


@pytest.fixture
def index(folder: Path, encoder: SignatureEncoder) -> Path:
    """The folder of an index of 13 rows in three shards."""
    return write_index(folder / "index", encoder, [*TEXTS, LONG])


def test_queries_find_the_rows(empty: OpenStore, index: Path, tiny_model: Path) -> None:
    dataset = Dataset(name="stories", license="MIT", version="2", source_uri="https://example.org")
    report = empty.import_index(index, dataset=dataset, model=tiny_model, device="cpu")
    assert (report.new, report.rejected, report.stored, report.created_space) == (13, 0, 13, True)
    for number in (0, 7, 12):
        answer = empty.attribute([*TEXTS, LONG][number], k=1, device="cpu").results[0]
        assert answer.example_id == str(number)
        assert answer.score == pytest.approx(1, abs=2e-3)
        assert (answer.license, answer.dataset_version, answer.source_uri) == ("MIT", "2", "https://example.org")
        assert answer.metadata["label"] == ("positive", "negative")[number % 2]


def test_rows_are_what_ingestion_would_store(
    empty: OpenStore, index: Path, tiny_model: Path, encoder: SignatureEncoder
) -> None:
    empty.import_index(index, dataset="stories", model=tiny_model, device="cpu")
    assert empty.backend.spaces()[0].fingerprint == encoder.fingerprint
    empty.ingest(
        [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)], dataset="real", model=encoder
    )
    for number in range(12):
        imported, real = empty.points["stories", str(number)], empty.points["real", str(number)]
        np.testing.assert_allclose(vector_of(imported), vector_of(real), atol=1e-3)
        for name in ("text", "content_sha256", "tokens", "chunks"):
            assert imported.payload[name] == real.payload[name]
        for channel in ("rh", "gh"):
            norms = (imported.payload["channel_norms"][channel], real.payload["channel_norms"][channel])
            assert norms[0] == pytest.approx(norms[1], abs=1e-3)


def test_a_text_that_the_index_has_not_whole_is_kept_as_it_is(empty: OpenStore, index: Path, tiny_model: Path) -> None:
    empty.import_index(index, dataset="stories", model=tiny_model, device="cpu")
    payload = empty.points["stories", "12"].payload
    assert payload["text"] == LONG[:200]
    assert payload["metadata"] == {"label": "positive", "length": len(LONG)}
    assert payload["content_sha256"] != hashlib.sha256(LONG.encode()).hexdigest()
    ingested = empty.ingest([{"id": "12", "text": LONG}], dataset="stories")
    assert (ingested.new, ingested.replaced) == (0, 1)


def test_importing_again_changes_nothing(empty: OpenStore, index: Path, tiny_model: Path) -> None:
    empty.import_index(index, dataset="stories", model=tiny_model, device="cpu")
    before = contents(empty)
    report = empty.import_index(index, dataset="stories", model=tiny_model, device="cpu")
    assert (report.new, report.replaced, report.unchanged) == (0, 0, 13)
    assert contents(empty) == before


def test_importing_again_leaves_annotations_alone(empty: OpenStore, index: Path, encoder: SignatureEncoder) -> None:
    empty.import_index(index, dataset="stories", model=encoder)
    empty.annotate("dataset = stories", set={"license": "MIT", "metadata.reviewed": True})
    annotated = contents(empty)
    assert empty.import_index(index, dataset="stories", model=encoder).unchanged == 13
    assert contents(empty) == annotated
    licensed = Dataset(name="stories", license="CC0-1.0")
    assert empty.import_index(index, dataset=licensed, model=encoder).replaced == 13  # the index says something new


def test_a_first_row_that_is_not_finite_is_rejected_alone(
    empty: OpenStore, index: Path, encoder: SignatureEncoder
) -> None:
    replace_row(index, 0, 0, np.inf)
    replace_row(index, 0, 1, np.nan)
    report = empty.import_index(index, dataset="stories", model=encoder)
    assert (report.new, report.rejected) == (11, 2)
    assert report.rejects[0].endswith("vectors-00000.npy row 0: the signature holds NaN or Inf")


def test_rows_with_the_same_id_are_rejected_but_the_first(
    empty: OpenStore, index: Path, encoder: SignatureEncoder
) -> None:
    write_meta(index, 0, [{"id": "a"}, {"id": "b"}, {"id": "a"}, {"id": 7}, {"id": "8"}])
    write_meta(index, 1, [{"id": "b"}, {"id": "7"}, *({"idx": number} for number in (7, 8, 9))])
    report = empty.import_index(index, dataset="stories", model=encoder)
    assert (report.new, report.rejected) == (8, 5)
    assert report.rejects[0] == f"{index}/shards/vectors-00000.npy row 2: an earlier row has the same example id 'a'"
    assert report.rejects[1] == f"{index}/shards/vectors-00001.npy row 0: an earlier row has the same example id 'b'"


def test_odd_values_are_no_ids_and_stay_metadata(empty: OpenStore, index: Path, encoder: SignatureEncoder) -> None:
    odd = {"id": {"a": 1}, "license": ["MIT"], "metadata": [1], "tok_len": True, "text": 5}
    write_meta(index, 0, [{"idx": 0, "id": None}, {"idx": 1, **odd}, {"id": True}, {"id": ""}, {"idx": 4}])
    assert empty.import_index(index, dataset="stories", model=encoder).new == 13
    assert "metadata" not in empty.points["stories", "0"].payload
    payload = empty.points["stories", "1"].payload
    assert (payload["metadata"], payload["tokens"]) == (odd, 0)
    assert empty.points["stories", "2"].payload["metadata"] == {"id": True}
    assert ("stories", "3") in empty.points


def test_zero_and_non_finite_rows_are_rejected_by_shard_and_row(
    empty: OpenStore, index: Path, encoder: SignatureEncoder
) -> None:
    replace_row(index, 0, 2, 0)
    replace_row(index, 1, 4, np.inf)
    report = empty.import_index(index, dataset="stories", model=encoder)
    assert (report.new, report.rejected) == (11, 2)
    assert report.rejects == (
        f"{index}/shards/vectors-00000.npy row 2: the signature is zero, as of a text of fewer than 2 tokens",
        f"{index}/shards/vectors-00001.npy row 4: the signature holds NaN or Inf",
    )


def test_rows_of_another_length_are_normalised(empty: OpenStore, index: Path, encoder: SignatureEncoder) -> None:
    vector = np.load(index / "shards/vectors-00000.npy")[1]
    replace_row(index, 0, 1, vector * np.float16(3))
    assert empty.import_index(index, dataset="stories", model=encoder).rejected == 0
    stored = vector_of(empty.points["stories", "1"])
    assert np.linalg.norm(stored) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(stored, vector, atol=1e-3)


def test_ids_metadata_and_licences_of_rows(empty: OpenStore, index: Path, encoder: SignatureEncoder) -> None:
    write_meta(
        index,
        0,
        [
            {"id": "first", "license": "CC0-1.0", "metadata": {"page": 3}, "tags": ["a"]},
            *({"idx": number} for number in range(1, 5)),
        ],
    )
    empty.import_index(index, dataset=Dataset(name="stories", license="MIT"), model=encoder)
    payload = empty.points["stories", "first"].payload
    assert (payload["license"], payload["metadata"]) == ("CC0-1.0", {"page": 3, "tags": ["a"]})
    assert "text" not in payload
    assert empty.points["stories", "1"].payload["license"] == "MIT"


def test_settings_of_the_index_name_the_space(folder: Path, empty: OpenStore, tiny_model: Path) -> None:
    config = EstimatorConfig(
        **{**SMALL.model_dump(), "lambda_gh": 0.7, "tau": 0.5, "top_k": 64, "top_p": 0.8, "chunk_size": 32,
           "chunk_overlap": 5, "min_top_k": 3, "max_query_tokens": 99, "seed": 7}
    )  # fmt: skip
    encoder = SignatureEncoder.from_pretrained(tiny_model, config, device="cpu")
    write_index(folder / "index", encoder, TEXTS)
    report = empty.import_index(folder / "index", dataset="stories", model=tiny_model, device="cpu")
    assert report.space == encoder.fingerprint
    assert empty.backend.spaces()[0].estimator == config


def test_stated_settings_replace_those_of_the_index(folder: Path, empty: OpenStore, tiny_model: Path) -> None:
    config = EstimatorConfig(**{**SMALL.model_dump(), "tau": 0.5})
    encoder = SignatureEncoder.from_pretrained(tiny_model, config, device="cpu")
    write_index(folder / "index", encoder, TEXTS, adaptive_temperature=True, tau_fallback=0.1)
    with pytest.raises(ConfigError, match="state it with --estimator tau=VALUE"):
        empty.import_index(folder / "index", dataset="stories", model=tiny_model, device="cpu")
    report = empty.import_index(
        folder / "index", dataset="stories", model=tiny_model, config=EstimatorConfig(tau=0.5), device="cpu"
    )
    assert report.space == encoder.fingerprint


def test_a_fixed_number_of_slots(folder: Path, empty: OpenStore, tiny_model: Path) -> None:
    config = EstimatorConfig(**{**SMALL.model_dump(), "top_k": 8, "min_top_k": 8, "top_p": 1.0})
    encoder = SignatureEncoder.from_pretrained(tiny_model, config, device="cpu")
    write_index(folder / "index", encoder, TEXTS, adaptive_topL=False, fallback_topL=8, max_topL_cap=256)
    report = empty.import_index(folder / "index", dataset="stories", model=tiny_model, device="cpu")
    assert report.space == encoder.fingerprint


@pytest.mark.parametrize(
    ("setting", "value"),
    [("fusion_mode", "rh"), ("embedding_type", "input"), ("gt_slot", "append"), ("l2_eps", "squared"),
     ("chunk_long_sequences", False)],
)  # fmt: skip
def test_estimators_that_cannot_be_reproduced_are_refused(
    folder: Path, empty: OpenStore, encoder: SignatureEncoder, setting: str, value: Any
) -> None:
    write_index(folder / "index", encoder, TEXTS, **{setting: value})
    with pytest.raises(ConfigError, match=f"was made with {setting} {value!r}"):
        empty.import_index(folder / "index", dataset="stories", model=encoder)


def test_another_model_of_the_same_size_is_noticed(empty: OpenStore, index: Path, tmp_path: Path) -> None:
    other = save_tiny_llama(tmp_path / "other", TEXTS, seed=1)
    with pytest.raises(SpaceMismatchError, match=r"vectors-00000.npy row 0: its text has a cosine of"):
        empty.import_index(index, dataset="stories", model=other, device="cpu")
    assert empty.backend.spaces() == []


def test_tables_must_fit_the_model(empty: OpenStore, index: Path, tmp_path: Path) -> None:
    larger = save_tiny_llama(tmp_path / "larger", TEXTS, vocabulary=600)
    with pytest.raises(SpaceMismatchError, match="residual sketch maps 512 coordinates"):
        empty.import_index(index, dataset="stories", model=larger, device="cpu")


def test_an_encoder_must_have_the_settings_and_tables_of_the_index(
    empty: OpenStore, index: Path, tiny_model: Path
) -> None:
    for what, changed in (("settings", {"tau": 0.5}), ("sketch tables", {"seed": 7})):
        config = EstimatorConfig(**{**SMALL.model_dump(), **changed})
        other = SignatureEncoder.from_pretrained(tiny_model, config, device="cpu")
        with pytest.raises(SpaceMismatchError, match=f"the encoder has other {what} than {index}"):
            empty.import_index(index, dataset="stories", model=other)


def test_a_model_may_be_a_name_alone(empty: OpenStore, index: Path, tiny_model: Path) -> None:
    attrs = orjson.loads((index / "manifest.json").read_bytes())["attrs"]
    edit_manifest(index, attrs={**attrs, "model": str(tiny_model)})
    assert empty.import_index(index, dataset="stories", device="cpu").new == 13


def test_no_settings_are_the_published_ones(index: Path) -> None:
    with_attrs(None)(index)
    published = PublishedIndex(index)
    assert (published.settings, published.model) == ({}, None)


def test_a_model_is_needed(empty: OpenStore, index: Path, tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="does not say which model made it; name it with --model"):
        empty.import_index(index, dataset="stories")
    attrs = orjson.loads((index / "manifest.json").read_bytes())["attrs"]
    edit_manifest(index, attrs={**attrs, "model": {"name_or_path": str(tiny_model)}})
    assert empty.import_index(index, dataset="stories", device="cpu").new == 13


def test_another_space_needs_to_be_allowed(empty: OpenStore, index: Path, encoder: SignatureEncoder) -> None:
    other = SignatureEncoder.from_pretrained(encoder.reference.name, EstimatorConfig(kr=4, kh=4, kg=4), device="cpu")
    empty.ingest(story_rows(2), dataset="stories", model=other)
    with pytest.raises(SpaceMismatchError, match="--new-space"):
        empty.import_index(index, dataset="stories", model=encoder)
    assert empty.import_index(index, dataset="stories", model=encoder, new_space=True).new == 13


def lose_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def unlist_shards(folder: Path) -> None:
    edit_manifest(folder, shards=[{"file": "shards/vectors-00000.npy"}])


def flip_a_bit(folder: Path) -> None:
    path = folder / "shards/vectors-00001.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_meta(folder: Path) -> None:
    write_meta(folder, 1, [{"idx": 5}, {"idx": 6}])


def no_object(folder: Path) -> None:
    (folder / "shards/meta-00000.jsonl").write_bytes(b"[1]\n" * 5)


def widen(folder: Path) -> None:
    np.save(folder / "shards/vectors-00002.npy", np.zeros((3, 9), np.float16))
    edit_manifest(folder, shards=None)


def lose_tables(folder: Path) -> None:
    np.savez(folder / "projections.npz", h_buckets=np.zeros(3, np.int32))


def compress(folder: Path) -> None:
    edit_manifest(folder, codec={"type": "simhash", "bits": 128})


def other_format(folder: Path) -> None:
    edit_manifest(folder, format="faiss")


def with_attrs(attrs: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for name in ("manifest.json", "build_plan.json"):
            fields = orjson.loads((folder / name).read_bytes())
            (folder / name).write_bytes(orjson.dumps({**fields, "attrs": attrs}))

    return damage


def number_a_file(folder: Path) -> None:
    edit_manifest(folder, shards=[{"file": 5, "meta": "shards/meta-00000.jsonl", "rows": 13}])


def change_tables(folder: Path, **changed: Any) -> None:
    with np.load(folder / "projections.npz") as loaded:
        arrays = {**loaded, **changed}
    np.savez(folder / "projections.npz", **arrays)


def widths_of_two(folder: Path) -> None:
    change_tables(folder, h_out_dim=np.array([16, 16]))


def tables_of_two_dimensions(folder: Path) -> None:
    change_tables(folder, h_buckets=np.zeros((2, 3), np.int32))


def lose_a_shard(folder: Path) -> None:
    (folder / "shards/vectors-00002.npy").unlink()
    edit_manifest(folder, shards=None)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (with_attrs([1]), r"manifest.json is damaged: attrs is \[1\], not an object"),
        (with_attrs({"config": "none"}), "manifest.json is damaged: config is 'none', not an object"),
        (with_attrs({"model": 5}), "manifest.json is damaged: model is 5, not an object"),
        (with_attrs({"model": {"name_or_path": 5}}), "the name of its model is 5, not a text"),
        (number_a_file, "lists shards without file, meta and rows"),
        (widths_of_two, "the sketch tables in .*projections.npz cannot be read"),
        (tables_of_two_dimensions, "the sketch tables in .*h_buckets and h_signs have to have 1 dimension"),
        (lose_a_shard, "is incomplete: its manifest says 13 rows, its shards have 10"),
        (lose_manifest, "has no manifest.json; the build was not finished"),
        (unlist_shards, "lists shards without file, meta and rows"),
        (flip_a_bit, "vectors-00001.npy is damaged: its SHA-256 is not the one in manifest.json"),
        (cut_meta, "meta-00001.jsonl line 3 has to be the metadata of a row: it is missing"),
        (no_object, "meta-00000.jsonl line 1 has to be the metadata of a row: it is no object"),
        (widen, r"vectors-00002.npy is float16 \[3, 9\], expected float16 \[rows, 352\]"),
        (lose_tables, "the sketch tables in .*projections.npz cannot be read"),
        (compress, "keeps only SimHash codes"),
        (other_format, "its format is 'faiss'"),
    ],
)
def test_damaged_indexes_are_refused(
    empty: OpenStore, index: Path, encoder: SignatureEncoder, damage: Any, complaint: str
) -> None:
    damage(index)
    with pytest.raises(InputError, match=complaint):
        empty.import_index(index, dataset="stories", model=encoder)


def test_widths_must_be_those_of_the_tables(folder: Path, empty: OpenStore, encoder: SignatureEncoder) -> None:
    write_index(folder / "index", encoder, TEXTS, Kr=32)
    with pytest.raises(ConfigError, match=r"kr is 32, but the sketch in projections.npz has 16"):
        empty.import_index(folder / "index", dataset="stories", model=encoder)


def test_a_manifest_that_lists_no_shards(empty: OpenStore, index: Path, encoder: SignatureEncoder) -> None:
    edit_manifest(index, shards=None)
    assert empty.import_index(index, dataset="stories", model=encoder).new == 13
