"""`dataset.yaml`: what it may say, and one line with file and line number for what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rise_store import Dataset, InputError
from rise_store.corpus.dataset_file import read_dataset_file
from rise_store.records import CollectionPeriod

WHOLE = """\
# News of the year
name: news
version: 1.10
source_uri: https://daily.example/news
license: CC-BY-4.0
license_uri: https://creativecommons.org/licenses/by/4.0/
issuer: The Daily
origin: editorial
collection_period:
  start: 2024-01-01
  end: 2024-12-31T23:59:59Z
legal_basis: contract
consent: null
retention: P5Y
pii: none
permitted_uses: [training, research]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dataset.yaml"


def test_every_field_can_be_given_and_is_taken_as_it_is_written(file: Path) -> None:
    file.write_text(WHOLE)
    assert read_dataset_file(file) == Dataset(
        name="news",
        version="1.10",
        source_uri="https://daily.example/news",
        license="CC-BY-4.0",
        license_uri="https://creativecommons.org/licenses/by/4.0/",
        issuer="The Daily",
        origin="editorial",
        collection_period=CollectionPeriod(start="2024-01-01", end="2024-12-31T23:59:59Z"),
        legal_basis="contract",
        retention="P5Y",
        pii="none",
        permitted_uses=("training", "research"),
    )


def test_what_is_given_besides_counts_in_its_place(file: Path) -> None:
    file.write_text("name: news\nversion: 1\nissuer: The Daily\n")
    assert read_dataset_file(file, {"name": "other", "version": "2"}) == Dataset(
        name="other", version="2", issuer="The Daily"
    )


@pytest.mark.parametrize(
    ("line", "number", "problem"),
    [
        ("licence: MIT", 2, "unknown field licence; fields: name, version"),
        ("version: [1]", 2, "version: give one value"),
        ("pii: some", 2, "pii: Input should be 'none', 'pseudonymised', 'present' or 'unknown'"),
        ("permitted_uses: training", 2, "permitted_uses: give a list"),
        ("permitted_uses:\n- {a: b}", 3, "permitted_uses: give one value"),
        ("retention: five years", 2, "retention: 'five years' is neither a day"),
        ("retention: P", 2, "retention: 'P' is neither a day"),
        ("collection_period:\n  start: 2024-02-30", 3, "collection_period.start: '2024-02-30' is no date"),
        ("collection_period:\n  from: 2024-02-01", 3, "unknown field collection_period.from; fields: start, end"),
        (
            "collection_period:\n  start: 2024-02-01\n  end: 2023-01-01",
            2,
            "collection_period: the collection period ends (2023-01-01) before it starts (2024-02-01)",
        ),
        ("collection_period: 2024", 2, "collection_period: Input should be"),
        ("source_uri: a b", 2, "source_uri: 'a b' has spaces"),
        ("source_uri: https:///x", 2, "source_uri: 'https:///x' names no host"),
        ("source_uri: http://[::1", 2, "source_uri: not a URI"),
        ("source_uri: https://me:secret@host/x", 2, "source_uri: the URI holds a password"),
        ('issuer: "a\\nb"', 2, "issuer: 'a\\nb' has control characters"),
        ("name: again", 2, "name stands in line 1 already"),
        ("version: 'open", 3, "not YAML: found unexpected end of stream"),
        ("? [a]\n: b", 2, "unknown field (a structure)"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(file: Path, line: str, number: int, problem: str) -> None:
    file.write_text(f"name: news\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_dataset_file(file)
    assert str(caught.value).startswith(f"{file}:{number}: {problem}")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_field_that_was_given_besides_is_not_blamed_on_the_file(file: Path) -> None:
    file.write_text("name: news\n")
    with pytest.raises(InputError, match=r"^dataset retention: 'x' is neither a day"):
        read_dataset_file(file, {"retention": "x"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", r"dataset\.yaml:1: a dataset file is a list of 'field: value' lines"),
        (b"- name", r"dataset\.yaml:1: a dataset file is a list of 'field: value' lines"),
        (b"version: 1", r"dataset\.yaml: the dataset has no name"),
        (b"\xff\xfe\xff", r"dataset\.yaml: not YAML"),
        (b"#" * (2**20 + 1), r"dataset\.yaml is larger than 1,048,576 bytes"),
    ],
)
def test_a_file_that_describes_no_dataset(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_dataset_file(file)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*dataset\.yaml: No such file"):
        read_dataset_file(file)
