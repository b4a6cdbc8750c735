"""`rise-store register`, `datasets`, `runs` and `run`."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command, Result
from tests.ingest.examples import open_points, story_rows, write_rows


@pytest.fixture
def ingest(command: Command, store: Path, tiny_model: Path) -> object:
    """`ingest(rows, "--dataset", "stories", ...)`: the command over a file of rows."""

    def run(rows: list[object], *options: object) -> Result:
        write_rows(Path("stories.jsonl"), rows)  # type: ignore[arg-type]
        return command("ingest", "stories.jsonl", "--store", store, "--model", tiny_model, *SMALL_OPTIONS, *options)

    return run


def test_a_dataset_is_registered_by_flags_and_shown(command: Command, store: Path) -> None:
    done = command(
        *("register", "--store", store, "--dataset", "news", "--license", "cc-by-4.0", "--issuer", "The Daily"),
        *("--collected-from", "2024-01-01", "--collected-until", "2024-12-31", "--pii", "none", "--retention", "P5Y"),
        *("--permitted-use", "training", "--permitted-use", "research", "--legal-basis", "contract"),
    )
    assert (done.code, done.err) == (0, "")
    shown = command("datasets", "news", "--store", store)
    assert shown.out == done.out
    for words in ("news", "CC-BY-4.0", "The Daily", "2024-01-01 to 2024-12-31", "P5Y", "training, research"):
        assert words in shown.out
    record = command("datasets", "news", "--store", store, "--format", "json").json
    assert record["dataset"]["collection_period"] == {"start": "2024-01-01", "end": "2024-12-31"}


def test_a_dataset_file_is_read_and_flags_override_it(command: Command, store: Path) -> None:
    Path("dataset.yaml").write_text("name: news\nversion: 1.10\nissuer: The Daily\n")
    command("register", "--store", store, "--dataset-file", "dataset.yaml", "--issuer", "The Weekly")
    (record,) = command("datasets", "--store", store, "--format", "json").json
    assert (record["dataset"]["version"], record["dataset"]["issuer"]) == ("1.10", "The Weekly")


def test_what_registering_changes_is_said(command: Command, store: Path) -> None:
    command("register", "--store", store, "--dataset", "news", "--license", "MIT", "--consent", "given")
    changed = command("register", "--store", store, "--dataset", "news", "--license", "0BSD", "--unset", "consent")
    assert changed.err.splitlines() == ["license was MIT, is 0BSD now", "consent was given, is not given now"]


def test_bad_registrations_are_one_line(command: Command, store: Path) -> None:
    register = ("register", "--store", store)
    assert "Missing option '--dataset'" in command(*register).error
    assert command(*register, "--dataset", "news", "--retention", "long").error.startswith("dataset retention: 'long'")
    assert (
        "SPDX knows no licence 'ours'" in command(*register, "--dataset", "news", "--license", "ours", "--strict").error
    )
    Path("dataset.yaml").write_text("name: news\nlicence: MIT\n")
    assert command(*register, "--dataset-file", "dataset.yaml").error.startswith(
        "dataset.yaml:2: unknown field licence"
    )
    command(*register, "--dataset", "known")
    assert "the store knows no dataset 'other'" in command("datasets", "other", "--store", store).error


def test_an_ingestion_takes_what_is_registered_and_says_what_it_changes(
    command: Command, store: Path, ingest: Command
) -> None:
    command("register", "--store", store, "--dataset", "stories", "--license", "MIT")
    assert ingest(story_rows(2), "--dataset", "stories").err == ""
    with open_points(store) as opened:
        assert {point.payload["license"] for point in opened.points.values()} == {"MIT"}
    changed = ingest(story_rows(2), "--dataset", "stories", "--license", "0BSD")
    assert changed.err.startswith("dataset 'stories': license was MIT, is 0BSD now; stored examples keep")
    assert changed.err.count("\n") == 1


def test_unknown_licences_are_warnings_and_errors_when_strict(command: Command, ingest: Command) -> None:
    rows = [row | {"license": "free"} for row in story_rows(2)]
    done = ingest(rows, "--dataset", "stories", "--license", "our terms")
    assert done.code == 0
    assert [line.split("; ")[0] for line in done.err.splitlines()] == [
        "warning: dataset 'stories': SPDX knows no licence 'our terms'",
        "warning: SPDX knows no licence 'free', which 2 rows name",
    ]
    assert "stories.jsonl:1: SPDX knows no licence 'free'" in ingest(rows, "--dataset", "others", "--strict").error


def test_versions_runs_and_receipts_can_be_followed(command: Command, store: Path, ingest: Command) -> None:
    ingest(story_rows(4), "--dataset", "stories", "--dataset-version", "1")
    done = ingest(story_rows(3), "--dataset", "stories", "--dataset-version", "2")
    assert "1 examples of earlier versions are marked as vanished" in done.out
    listed = command("datasets", "--store", store).out
    assert re.search(r"stories\s+4\s+1\s+2: 3, 1: 1", listed)

    second, first = command("runs", "--store", store, "--dataset", "stories", "--format", "json").json
    assert (first["state"], first["found"], second["vanished"]) == ("COMPLETE", 4, 1)
    table = command("runs", "--store", store, "--state", "COMPLETE").out
    assert table.splitlines()[1].startswith(f"{second['id'][:8]}  stories 2")
    assert "3 updated" in table
    assert command("runs", "--store", store, "--state", "FAILED").out == "no such runs\n"

    shown = command("run", first["id"][:8], "--store", store, "--receipts")
    assert shown.out.splitlines()[0] == first["id"]
    assert re.search(r"1-4\s+stories\.jsonl:1\s+\S+\s+[\d.]+\s+\S+:\d+\s+4 new", shown.out)
    whole = command("run", second["id"][:8], "--store", store, "--receipts", "--verify", "--format", "json").json
    assert (whole["check"]["agrees"], whole["receipts"][0]["outcomes"]) == (True, "3u")
    assert "the store knows no run 'zzz'" in command("run", "zzz", "--store", store).error


def test_a_run_whose_examples_went_is_told_apart(command: Command, store: Path, ingest: Command) -> None:
    ingest(story_rows(3), "--dataset", "stories")
    (run,) = command("runs", "--store", store, "--format", "json").json
    command("delete", "--store", store, "--where", "example_id = row-1", "--yes")
    verified = command("run", run["id"], "--store", store, "--verify")
    assert "1 of the 3 examples that the run stored do not name it any more: they were deleted since" in verified.error
    ingest(story_rows(2), "--dataset", "stories", "--dataset-version", "2", "--partial")
    (again, _) = command("runs", "--store", store, "--format", "json").json
    verified = command("run", run["id"], "--store", store, "--verify")
    assert verified.code == 0  # a later run accounts for it
    assert f"run {again['id']} has written to dataset 'stories' since" in " ".join(verified.out.split())


def test_a_rejected_row_is_shown_with_its_run(command: Command, store: Path, ingest: Command) -> None:
    ingest([story_rows(1)[0], b"{"], "--dataset", "stories")
    (run,) = command("runs", "--store", store, "--format", "json").json
    assert (run["state"], run["message"].split(";")[0].startswith("stories.jsonl:2")) == ("FAILED", True)
    shown = command("run", run["id"], "--store", store).out
    assert "not stored: stories.jsonl:2: malformed JSON" in shown
    assert "1 new, 1 rejected" in shown


def test_a_killed_run_is_resumed_by_the_same_command(command: Command, store: Path, ingest: Command) -> None:
    class Kill(BaseException):
        """A process that ends."""

    def die(*_: object) -> None:
        raise Kill

    with patch("rise_store.ingest.runs.ledger.named_by", die), pytest.raises(Kill):
        ingest(story_rows(4), "--dataset", "stories")
    (run,) = command("runs", "--store", store, "--format", "json").json
    assert (run["state"], run["covered"], run["counts"]) == ("RUNNING", 4, None)
    table = command("runs", "--store", store).out
    assert re.search(r"RUNNING\s+4\s+-", table)
    with patch("rise_store.cli.output_runs.SILENCE", 0):
        assert "RUNNING, no news for" in command("run", run["id"], "--store", store).out
    done = ingest(story_rows(4), "--dataset", "stories")
    assert (done.code, done.err) == (0, f"resuming run {run['id']}: 4 rows are done\n")
    assert done.out.startswith("stories: 4 new")


def test_a_run_that_does_not_add_up_ends_with_exit_code_2(command: Command, store: Path, ingest: Command) -> None:
    with patch("rise_store.ingest.runs.ledger.named_by", lambda run, collection: 3):
        done = ingest(story_rows(4), "--dataset", "stories")
    assert done.out.startswith("stories: 4 new")
    assert re.fullmatch(r"run \S+ does not add up: 1 of the 4 examples .* they were deleted since\. If .*", done.error)


def test_rejects_keep_examples_from_vanishing_and_the_command_says_so(command: Command, ingest: Command) -> None:
    ingest(story_rows(3), "--dataset", "stories", "--dataset-version", "1")
    done = ingest([*story_rows(1), b"{"], "--dataset", "stories", "--dataset-version", "2", "--max-rejects", "1")
    assert done.code == 0
    assert "warning: 2 stored examples are not in version 2 of stories, and were not marked as vanished" in done.err
