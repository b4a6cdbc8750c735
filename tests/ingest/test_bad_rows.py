"""Rows that cannot be used: counted, named with their place, and no loss to the rows around them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rise_store import Example, InputError
from rise_store.signature import SignatureEncoder
from tests.ingest.examples import SMALL, OpenStore, story_rows, write_rows
from tests.ingest.models import with_short_head, without_special_tokens

BROKEN = b'{"id": "broken", "text": '


@pytest.fixture(scope="module")
def bare_encoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> SignatureEncoder:
    """Adds no special tokens: "x" is one token."""
    folder = without_special_tokens(tiny_model, tmp_path_factory.mktemp("models") / "bare")
    return SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")


@pytest.fixture(scope="module")
def short_encoder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> SignatureEncoder:
    """Its head has 300 rows, and its tokenizer 369 entries: merged pieces, such as whole words, lie beyond."""
    folder = with_short_head(tiny_model, tmp_path_factory.mktemp("models") / "short")
    return SignatureEncoder.from_pretrained(folder, SMALL, device="cpu")


def test_texts_under_two_tokens_are_counted_and_never_stop_a_run(
    store: OpenStore, bare_encoder: SignatureEncoder, tmp_path: Path
) -> None:
    rows = story_rows(3)
    rows[1]["text"] = "x"
    report = store.ingest(
        write_rows(tmp_path / "stories.jsonl", rows), dataset="stories", model=bare_encoder, max_rejects=0
    )
    assert (report.new, report.too_short, report.rejected) == (2, 1, 1)
    assert report.rejects == (f"{tmp_path}/stories.jsonl:2: fewer than 2 tokens",)
    assert report.stored == 2


def test_a_text_that_became_too_short_leaves_the_stored_one(store: OpenStore, bare_encoder: SignatureEncoder) -> None:
    store.ingest(story_rows(1), dataset="stories", model=bare_encoder)
    report = store.ingest([{"id": "row-0", "text": "x"}], dataset="stories", model=bare_encoder)
    assert (report.replaced, report.too_short, report.stored) == (0, 1, 1)
    assert store.points["stories", "row-0"].payload["text"] == story_rows(1)[0]["text"]


def test_a_bad_row_stops_the_run_and_the_rows_before_it_are_stored(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = write_rows(tmp_path / "stories.jsonl", [*story_rows(2), BROKEN, *story_rows(2, start=2)])
    with pytest.raises(InputError, match=r"stories\.jsonl:3: malformed JSON at column \d+") as caught:
        store.ingest(file, dataset="stories", model=encoder)
    assert "run the same command again" in str(caught.value)
    assert set(store.dataset("stories")) == {"row-0", "row-1"}


def test_a_mended_file_goes_on_where_the_run_stopped(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    rows = story_rows(5)
    file = write_rows(tmp_path / "stories.jsonl", [*rows[:2], BROKEN, *rows[3:]])
    with pytest.raises(InputError):
        store.ingest(file, dataset="stories", model=encoder)
    report = store.ingest(write_rows(file, rows), dataset="stories", model=encoder)
    assert (report.new, report.unchanged, report.stored) == (3, 2, 5)


def test_max_rejects_lets_so_many_bad_rows_pass(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "stories.jsonl", [BROKEN, *story_rows(2), {"id": "empty"}, *story_rows(2, start=2)])
    with pytest.raises(InputError, match=r"stories\.jsonl:4: the row has no text.*\(2 rows rejected, 1 allowed\)"):
        store.ingest(file, dataset="stories", model=encoder, max_rejects=1)
    report = store.ingest(file, dataset="stories", model=encoder, max_rejects=2)
    # the file is the same, so the second command goes on with the run of the first
    assert (report.new, report.unchanged, report.rejected, report.too_short) == (4, 0, 2, 0)
    assert [reason.split(":")[1] for reason in report.rejects] == ["1", "4"]


def test_without_a_limit_any_number_of_bad_rows_passes(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = write_rows(tmp_path / "stories.jsonl", [*[BROKEN] * 120, *story_rows(2)])
    report = store.ingest(file, dataset="stories", model=encoder, max_rejects=None)
    assert (report.new, report.rejected) == (2, 120)
    assert len(report.rejects) == 100  # reasons that a report keeps


def test_token_ids_beyond_the_head_are_named_with_their_row(
    store: OpenStore, short_encoder: SignatureEncoder, tmp_path: Path
) -> None:
    fine = [{"id": f"fine-{number}", "text": f"qqq {number}"} for number in range(2)]  # bytes only, all in the head
    file = write_rows(tmp_path / "stories.jsonl", [fine[0], {"id": "beyond", "text": "Once upon a time"}, fine[1]])
    with pytest.raises(InputError, match=r"stories\.jsonl:2: token id 3\d\d is beyond the LM head, .* 0 to 299"):
        store.ingest(file, dataset="stories", model=short_encoder)
    report = store.ingest(file, dataset="stories", model=short_encoder, max_rejects=1)
    assert (report.rejected, report.stored) == (1, 2)


def test_the_message_names_the_first_row_that_stopped_the_run(
    store: OpenStore, short_encoder: SignatureEncoder, tmp_path: Path
) -> None:
    beyond = [{"id": f"beyond-{number}", "text": f"Once upon a time {number}"} for number in range(3)]
    file = write_rows(tmp_path / "stories.jsonl", [{"id": "fine", "text": "qqq"}, *beyond])
    with pytest.raises(InputError, match=r"stories\.jsonl:2: token id"):
        store.ingest(file, dataset="stories", model=short_encoder)


def test_a_row_that_is_merely_too_short_is_not_blamed_for_the_stop(
    store: OpenStore, tiny_model: Path, tmp_path: Path
) -> None:
    short = with_short_head(tiny_model, tmp_path / "short")
    bare = SignatureEncoder.from_pretrained(without_special_tokens(short, tmp_path / "bare"), SMALL, device="cpu")
    rows = [{"id": "beyond", "text": "Once upon a time"}, {"id": "short", "text": "x"}]
    with pytest.raises(InputError, match=r"stories\.jsonl:1: token id"):
        store.ingest(write_rows(tmp_path / "stories.jsonl", rows), dataset="stories", model=bare)


def test_the_message_counts_the_rows_that_are_stored_before_the_bad_one(
    store: OpenStore, short_encoder: SignatureEncoder, tmp_path: Path
) -> None:
    fine = [{"id": f"fine-{number}", "text": f"qqq {number}"} for number in range(3)]
    file = write_rows(tmp_path / "stories.jsonl", [{"id": "beyond", "text": "Once upon a time"}, *fine])
    with pytest.raises(InputError, match=r"stories\.jsonl:1: ") as caught:
        store.ingest(file, dataset="stories", model=short_encoder)
    assert "the 3 rows before it" not in str(caught.value)  # they stand behind it


def test_a_key_with_two_contents_in_one_file_stops_before_the_second(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    rows = [*story_rows(2), {"id": "row-0", "text": "Another text."}, *story_rows(1, start=2)]
    file = write_rows(tmp_path / "stories.jsonl", rows)
    with pytest.raises(InputError, match=r"stories\.jsonl:3: .*'row-0'.* at .*stories\.jsonl:1"):
        store.ingest(file, dataset="stories", model=encoder, max_rejects=None)
    stored = store.dataset("stories")
    assert set(stored) == {"row-0", "row-1"}
    assert stored["row-0"].payload["text"] == rows[0]["text"]


def test_rows_that_repeat_another_are_counted_as_duplicates(
    store: OpenStore, encoder: SignatureEncoder, tmp_path: Path
) -> None:
    file = write_rows(tmp_path / "stories.jsonl", [*story_rows(3), *story_rows(2)])
    report = store.ingest(file, dataset="stories", model=encoder)
    assert (report.new, report.duplicates, report.rejected) == (3, 2, 0)


def test_of_examples_with_one_key_from_a_program_the_last_one_counts(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    examples = [Example(id="a", text="The first text."), Example(id="a", text="The second text.")]
    report = store.ingest(examples, dataset="stories", model=encoder)
    assert (report.new, report.replaced, report.stored) == (1, 1, 1)
    assert store.points["stories", "a"].payload["text"] == "The second text."


def test_rows_from_a_program_are_named_by_their_number(store: OpenStore, encoder: SignatureEncoder) -> None:
    rows = [story_rows(1)[0], {"id": "empty"}, {"id": "odd", "text": "Fine.", "metadata": {"when": object()}}]
    with pytest.raises(InputError, match="row 2: the row has no text"):
        store.ingest(rows, dataset="stories", model=encoder)
    report = store.ingest(rows, dataset="stories", model=encoder, max_rejects=2)
    assert "row 3" in report.rejects[1]
    assert "metadata" in report.rejects[1] or "when" in report.rejects[1]


def test_an_example_that_cannot_be_stored_is_found_out_before_a_forward_pass(
    store: OpenStore, encoder: SignatureEncoder
) -> None:
    odd = Example(id="odd", text="Fine.", metadata={"share": float("nan")})
    report = store.ingest([odd], dataset="stories", model=encoder, max_rejects=1)
    assert (report.rejected, report.tokens) == (1, 0)
    assert "'odd'" in report.rejects[0]
    assert "nan" in report.rejects[0]


def test_many_bad_rows_take_time_in_proportion(store: OpenStore, encoder: SignatureEncoder, tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        file = write_rows(tmp_path / f"{count}.jsonl", [b"{"] * count)
        return store.ingest(file, dataset="stories", model=encoder, max_rejects=None).seconds

    few = max(seconds(1_000) for _ in range(3))
    assert seconds(16_000) < 64 * few  # 16 times as many; 85 times as long when each row copies the list of reasons
