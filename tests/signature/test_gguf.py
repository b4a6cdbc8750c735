"""A GGUF file is a model like any other: dense weights, its own tokenizer, loaded by its path."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rise_store.errors import ConfigError, ModelError
from rise_store.signature import SignatureEncoder, load_model
from tests.conftest import STORY
from tests.signature.conftest import SMALL

gguf = pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def gguf_file(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.signature.gguf_files import write_gguf

    return write_gguf(tiny_model, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


CHUNKS = [np.random.default_rng(0).integers(3, 500, length).tolist() for length in (64, 7, 33)]


def test_signatures_of_a_gguf_file_equal_those_of_its_folder(gguf_file: Path, encoder: SignatureEncoder) -> None:
    packed = SignatureEncoder.from_pretrained(gguf_file, SMALL, device="cpu")
    assert packed.reference.name == str(gguf_file)
    assert (packed.encode_token_ids(CHUNKS) * encoder.encode_token_ids(CHUNKS)).sum(axis=1).min() >= 0.99999


def test_texts_are_encoded_with_the_files_own_tokenizer(gguf_file: Path) -> None:
    packed = SignatureEncoder.from_pretrained(str(gguf_file), SMALL, device="cpu")
    encoded = packed.encode([STORY, STORY * 12])
    assert encoded.chunk_counts[0] == 1
    assert encoded.chunk_counts[1] > 1
    assert packed.tokenizer.decode(packed.chunks([STORY])[0][0], skip_special_tokens=True) == STORY


def test_a_quantized_file_is_unpacked(tiny_model: Path, tmp_path: Path, encoder: SignatureEncoder) -> None:
    from tests.signature.gguf_files import write_gguf

    path = write_gguf(tiny_model, tmp_path / "q8.gguf", quantization=gguf.GGMLQuantizationType.Q8_0)
    fingerprints = set()
    for dtype in ("float32", "bfloat16", "float16"):
        packed = SignatureEncoder.from_pretrained(path, SMALL, dtype=dtype, device="cpu")
        cosines = (packed.encode_token_ids(CHUNKS) * encoder.encode_token_ids(CHUNKS)).sum(axis=1)
        assert cosines.min() >= 0.98
        fingerprints.add(packed.fingerprint)
    assert len(fingerprints) == 1
    assert encoder.fingerprint not in fingerprints


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 50)
    with pytest.raises(ModelError, match=r"cannot load .*broken\.gguf"):
        load_model(path, device="cpu")


def test_a_gguf_file_without_its_package_is_refused(gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ConfigError, match=r"GGUF files need the package gguf: pip install 'rise-store\[gguf\]'"):
        load_model(gguf_file, device="cpu")
