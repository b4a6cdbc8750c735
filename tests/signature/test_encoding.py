"""Texts, records and queries become signatures of unit length, with what is known about them."""

from __future__ import annotations

import numpy as np
import pytest

from rise_store.errors import InputError, SpaceMismatchError
from rise_store.records import Example, Query
from rise_store.signature import EstimatorConfig, SignatureEncoder, average_chunks
from rise_store.signature.windows import chunk_windows
from tests.conftest import STORY
from tests.signature.conftest import SMALL, SaveModel


def test_a_text_is_tokenized_as_the_tokenizer_does_by_default(encoder: SignatureEncoder) -> None:
    (parts,) = encoder.chunks([STORY])
    assert parts == [encoder.tokenizer(STORY)["input_ids"]]
    assert parts[0][0] == encoder.tokenizer.bos_token_id
    encoded = encoder.encode([STORY])
    np.testing.assert_array_equal(encoded.signatures, average_chunks(encoder.encode_token_ids(parts), np.array([1])))


def test_signatures_come_with_norms_and_counts(encoder: SignatureEncoder) -> None:
    encoded = encoder.encode([STORY, STORY * 12, "Lily"])
    assert len(encoded) == 3
    assert encoded.signatures.shape == (3, encoder.dim)
    assert encoded.signatures.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(encoded.signatures, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose((encoded.channel_norms**2).sum(axis=1), 1.0, atol=1e-5)
    rh = np.linalg.norm(encoded.signatures[:, : encoder.config.dim_rh], axis=1)
    np.testing.assert_allclose(encoded.channel_norms[:, 0], rh, atol=1e-6)
    assert encoded.chunk_counts.tolist() == [len(parts) for parts in encoder.chunks([STORY, STORY * 12, "Lily"])]


def test_lambdas_weigh_the_channels(save_model: SaveModel) -> None:
    chunk = [[5, 300, 41, 7, 499]]
    signatures = {}
    for rh, gh in ((1, 0), (0, 1), (0.3, 0.7)):
        config = SMALL.model_copy(update={"lambda_rh": rh, "lambda_gh": gh})
        encoder = SignatureEncoder.from_pretrained(save_model("llama", 509), config, device="cpu")
        signatures[rh, gh] = encoder.encode_token_ids(chunk)[0]
    assert not signatures[1, 0][SMALL.dim_rh :].any()
    assert not signatures[0, 1][: SMALL.dim_rh].any()
    mixed = signatures[0.3, 0.7]
    cosine_rh = mixed @ signatures[1, 0] / np.linalg.norm(mixed[: SMALL.dim_rh])
    assert cosine_rh == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("tokens", [2, 256, 257, 413, 414, 450, 461, 462, 463, 700])
def test_token_counts_are_those_of_the_text(tokens: int, encoder: SignatureEncoder) -> None:
    """However the windows fall: a last window may be shorter than the overlap."""
    ids = [i % 500 for i in range(tokens)]
    encoded = encoder.encode_chunks([chunk_windows(ids, encoder.config)])
    assert encoded.token_counts.tolist() == [tokens]


def test_a_record_is_encoded_by_its_content_and_a_string_as_it_is(encoder: SignatureEncoder) -> None:
    by_record = encoder.encode([Example(text=f"  {STORY}\n"), Example(prompt="Once upon ", completion="a time")])
    by_string = encoder.encode([STORY, "Once upon a time"])
    np.testing.assert_array_equal(by_record.signatures, by_string.signatures)
    unstripped = encoder.encode([f"  {STORY}\n"])
    assert unstripped.token_counts[0] > by_string.token_counts[0]


def test_a_long_text_is_the_average_of_its_chunks(encoder: SignatureEncoder) -> None:
    (parts,) = encoder.chunks([STORY * 12])
    assert len(parts) > 1
    expected = average_chunks(encoder.encode_token_ids(parts), np.array([len(parts)]))
    np.testing.assert_allclose(encoder.encode([STORY * 12]).signatures, expected, atol=1e-6)


def test_no_examples_give_no_signatures(encoder: SignatureEncoder) -> None:
    assert encoder.encode([]).signatures.shape == (0, encoder.dim)
    assert len(encoder.encode_queries([])) == 0


def test_an_example_of_one_token_is_refused_by_name(encoder: SignatureEncoder) -> None:
    with pytest.raises(InputError, match=r"^rows\.jsonl:7 example greeting has fewer than 2 tokens; leave it out$"):
        encoder.encode([STORY, Example(id="greeting", text="", location="rows.jsonl:7")])
    with pytest.raises(InputError, match=r"^example 2 has fewer than 2 tokens"):
        encoder.encode([STORY, ""])


def test_a_text_query_is_encoded_as_an_example_is(encoder: SignatureEncoder) -> None:
    queries = [Query(text=STORY), Query(text=STORY * 12)]
    np.testing.assert_allclose(
        encoder.encode_queries(queries).signatures, encoder.encode([STORY, STORY * 12]).signatures, atol=1e-6
    )


def test_only_the_completion_of_a_query_counts(encoder: SignatureEncoder) -> None:
    prompt, completion = "Once upon a time there was", " a little girl named Lily"
    encoded = encoder.encode_queries([Query(prompt=prompt, completion=completion)])
    (ids,) = encoder.chunks([prompt + completion])[0]
    start = len(encoder.tokenizer(prompt)["input_ids"])
    assert 1 < start < len(ids)
    expected = average_chunks(encoder.encode_token_ids([ids], start), np.array([1]))
    np.testing.assert_allclose(encoded.signatures, expected, atol=1e-6)
    assert encoded.token_counts.tolist() == [len(ids)]


def test_a_query_is_cut_to_max_query_tokens_and_keeps_a_position(tiny_model: str) -> None:
    encoder = SignatureEncoder.from_pretrained(
        tiny_model, EstimatorConfig(kr=32, kh=16, kg=8, max_query_tokens=20), device="cpu"
    )
    encoded = encoder.encode_queries([Query(prompt=STORY, completion=" They were happy.")])
    ids = encoder.tokenizer(STORY + " They were happy.")["input_ids"][:20]
    expected = average_chunks(encoder.encode_token_ids([ids], 19), np.array([1]))
    np.testing.assert_allclose(encoded.signatures, expected, atol=1e-6)
    assert encoded.token_counts.tolist() == [20]


def test_a_query_of_one_token_is_refused_by_name(encoder: SignatureEncoder) -> None:
    remedy = "fewer than 2 tokens; give a longer text, or a completion that begins with a space$"
    with pytest.raises(InputError, match=f"^query mine: {remedy}"):
        encoder.encode_queries([Query(text=STORY), Query(id="mine", text="")])
    with pytest.raises(InputError, match=f"^the query: {remedy}"):
        encoder.encode_queries([Query(text="")])


def test_the_space_describes_the_encoder(encoder: SignatureEncoder, tiny_model: str) -> None:
    space = encoder.space()
    assert (space.architecture, space.hidden_size, space.vocabulary_size) == ("LlamaForCausalLM", 32, 512)
    assert (space.fingerprint, space.dim, space.estimator) == (encoder.fingerprint, encoder.dim, encoder.config)
    assert space.tables_sha256 == encoder.tables.sha256
    assert space.model.name == str(tiny_model)
    encoder.require_space(space)


def test_another_space_is_refused_with_its_differences(encoder: SignatureEncoder, tiny_model: str) -> None:
    other = SignatureEncoder.from_pretrained(tiny_model, SMALL.model_copy(update={"tau": 1.0, "kr": 16}), device="cpu")
    with pytest.raises(SpaceMismatchError, match=r"kr 16 there, 32 here; tau 1\.0 there, 0\.1 here; sketch tables"):
        encoder.require_space(other.space())
    same_settings = encoder.space().model_copy(update={"fingerprint": "0" * 32})
    with pytest.raises(SpaceMismatchError, match="other weights or another tokenizer"):
        encoder.require_space(same_settings)
