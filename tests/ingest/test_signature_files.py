"""Signatures as arrays in a file, without a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rise_store import InputError
from rise_store.ingest import write_signatures
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SMALL, encode_rows, story_rows, write_rows
from tests.ingest.models import without_special_tokens


def test_ids_and_signatures_in_the_order_of_the_file(encoder: SignatureEncoder, tmp_path: Path) -> None:
    rows = story_rows(6)
    file = write_rows(tmp_path / "stories.jsonl", rows)
    written = write_signatures(file, tmp_path / "stories.npz", encoder)
    with np.load(tmp_path / "stories.npz", allow_pickle=False) as arrays:
        ids, signatures = arrays["ids"], arrays["signatures"]
        assert sorted(arrays.files) == ["ids", "signatures"]
    assert ids.tolist() == [row["id"] for row in rows]
    assert (signatures.dtype, signatures.shape) == (np.float32, (6, SMALL.dim))
    np.testing.assert_allclose(signatures, encode_rows(encoder, rows), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(signatures, axis=1), 1, atol=1e-5)
    assert (written.signatures, written.dim, written.too_short) == (6, SMALL.dim, 0)
    assert written.tokens == encoder.encode([row["text"] for row in rows]).token_counts.sum()


def test_texts_under_two_tokens_are_left_out_and_counted(tiny_model: Path, tmp_path: Path) -> None:
    bare = SignatureEncoder.from_pretrained(without_special_tokens(tiny_model, tmp_path / "bare"), SMALL, device="cpu")
    file = write_rows(tmp_path / "rows.jsonl", [{"id": "short", "text": "x"}, *story_rows(1)])
    written = write_signatures(file, tmp_path / "rows.npz", bare)
    assert (written.signatures, written.too_short) == (1, 1)


def test_a_bad_row_leaves_an_earlier_file_as_it_was(encoder: SignatureEncoder, tmp_path: Path) -> None:
    out = tmp_path / "rows.npz"
    out.write_bytes(b"earlier")
    file = write_rows(tmp_path / "rows.jsonl", [*story_rows(1), b"{"])
    with pytest.raises(InputError, match=r"rows\.jsonl:2: malformed JSON"):
        write_signatures(file, out, encoder)
    assert out.read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "rows.npz"]


def test_a_folder_that_is_missing_is_noticed_before_any_work(encoder: SignatureEncoder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        write_signatures(tmp_path / "missing.jsonl", tmp_path / "nowhere" / "rows.npz", encoder)


def test_an_empty_file_gives_empty_arrays(encoder: SignatureEncoder, tmp_path: Path) -> None:
    write_signatures(write_rows(tmp_path / "rows.jsonl", []), tmp_path / "rows.npz", encoder)
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as arrays:
        assert arrays["ids"].shape == (0,)
        assert arrays["signatures"].shape == (0, SMALL.dim)


def test_progress_is_told_tokens_done_and_tokens_in_all(encoder: SignatureEncoder, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    file = write_rows(tmp_path / "rows.jsonl", story_rows(30))
    written = write_signatures(file, tmp_path / "rows.npz", encoder, progress=lambda *numbers: told.append(numbers))
    assert told[-1] == (written.tokens, written.tokens)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_what_was_written_can_be_read_by_others(encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.jsonl", story_rows(1))
    plain = tmp_path / "plain"
    plain.touch()
    write_signatures(file, tmp_path / "rows.npz", encoder)
    assert (tmp_path / "rows.npz").stat().st_mode == plain.stat().st_mode  # not the 0600 of a temporary file
