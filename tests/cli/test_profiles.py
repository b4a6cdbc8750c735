"""`rise-store ingest --profile`: a new space gets the storage, an old one keeps its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_OPTIONS, Command
from tests.ingest.examples import story_rows, write_rows


@pytest.fixture
def ingest(command: Command, store: Path, tiny_model: Path, working_directory: Path) -> Command:
    file = write_rows(working_directory / "stories.jsonl", story_rows(4))
    return lambda *options: command(
        "ingest", file, "--store", store, "--model", tiny_model, "--dataset", "stories", *options
    )


@pytest.mark.parametrize(
    ("options", "profile"),
    [
        ((), "float16 (49,152 bytes a signature)"),
        (("--profile", "turbo8", "--quantization", "4"), "turbo8, 4-bit coarse copy (36,864 bytes a signature)"),
        (("--profile", "small", "--quantization", "1", "--hnsw"), "small, 1-bit coarse copy, graph (748 bytes"),
        (("--profile", "turbo4", *SMALL_OPTIONS), "turbo4 (176 bytes a signature)"),
    ],
)
def test_info_shows_the_profile_and_the_same_command_works_again(
    command: Command, ingest: Command, store: Path, options: tuple[str, ...], profile: str
) -> None:
    assert ingest(*options).code == 0
    assert profile in command("info", "--store", store).out
    again = ingest(*options, "--format", "json").json
    assert (again["new"], again["unchanged"]) == (0, 4)
    assert command("query", "--store", store, "--text", story_rows(1)[0]["text"], "-k", "1").code == 0
    (held,) = command("info", "--store", store, "--format", "json").json["spaces"]
    assert held["space"]["storage"].keys() == {"vectors", "quantization", "hnsw"}


def test_small_goes_with_other_settings_but_not_with_other_widths(ingest: Command) -> None:
    refused = ingest("--profile", "small", "--estimator", "kr=48")
    assert refused.error == "profile small has kr 16, not 48. Leave out the setting or the profile"
    assert ingest("--profile", "small", "--estimator", "tau=1", "--estimator", "kh=8").code == 0
    again = ingest("--profile", "small", "--estimator", "tau=1", "--format", "json")
    assert again.json["unchanged"] == 4


def test_a_space_keeps_the_storage_that_it_was_made_with(ingest: Command) -> None:
    assert ingest(*SMALL_OPTIONS).code == 0
    for options, asked in (
        (("--profile", "turbo8"), "without profile turbo8"),
        (("--profile", "float16"), "without profile float16"),  # which has the published widths
        (("--quantization", "2"), "without a 2-bit coarse copy"),
        (("--hnsw",), "without a graph"),
        (("--profile", "turbo8", *SMALL_OPTIONS, "--new-space"), "without profile turbo8"),
    ):
        error = ingest(*options).error
        assert "is kept as small (704 bytes a signature)" in error
        assert f"{asked}, and stays as it was made. Leave {options[0]} out, or use another store" in error
    assert ingest("--profile", "small").code == 0
    assert ingest("--profile", "float16", *SMALL_OPTIONS).code == 0
    assert ingest().code == 0


def test_spaces_of_one_store_may_differ(command: Command, ingest: Command, store: Path) -> None:
    assert ingest("--profile", "turbo8", *SMALL_OPTIONS).code == 0
    assert ingest("--profile", "turbo4", "--estimator", "kr=8", "--new-space").code == 0
    spaces = command("info", "--store", store, "--format", "json").json["spaces"]
    assert {held["space"]["storage"]["vectors"] for held in spaces} == {"turbo8", "turbo4"}
