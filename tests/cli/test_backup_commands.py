"""`rise-store verify`, `snapshot` and `restore`, as a user meets them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rise_store.store import open_store
from tests.cli.conftest import Command


@pytest.fixture
def store(library: Path) -> Path:
    """A store of 12 examples that may be broken."""
    shutil.copytree(library, "mine")
    return Path("mine")


def test_a_whole_store(command: Command, store: Path) -> None:
    done = command("verify", "--store", store)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "the store is whole"
    report = command("verify", "--store", store, "--format", "json").json
    assert report["problems"] == []
    assert {check["name"]: check["checked"] for check in report["checks"]}["rows"] == 12


def test_a_damaged_store(command: Command, store: Path) -> None:
    damaged = sorted(store.rglob("page_0.dat"))[:2]
    for path in damaged:
        with path.open("r+b") as file:
            file.write(b"\xff" * 10)
    done = command("verify", "--store", store)
    assert (done.code, done.err) == (2, "2 problems found\n")
    for path in damaged:
        assert f"{path} is damaged: its content changed since the store was closed" in done.out
    assert "not checked, since files of the space are damaged" in " ".join(done.out.split())
    assert f"{damaged[0]} is damaged" in command("info", "--store", store).error
    done = command("verify", "--store", store, "--format", "json")
    assert done.code == 2
    assert [problem["where"] for problem in done.json["problems"]] == [str(path) for path in damaged]


def test_there_and_back(command: Command, store: Path) -> None:
    done = command("snapshot", "--store", store, "--out", "backups/monday")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("mine → backups/monday: 1 space, ")
    report = command("restore", "backups/monday", "--store", "again", "--format", "json").json
    assert (report["source"], report["target"], report["engine"]) == ("backups/monday", "again", "embedded")
    assert command("verify", "--store", "again").code == 0
    old, new = (command("info", "--store", path, "--format", "json").json["spaces"][0] for path in (store, "again"))
    assert old["datasets"] == new["datasets"]
    assert old["logical_bytes"] == new["logical_bytes"] < old["size_bytes"]


def test_refusals(command: Command, store: Path) -> None:
    assert "there is no rise_store store at nowhere" in command("verify", "--store", "nowhere").error
    assert "there is no rise_store store at nowhere" in command("snapshot", "--store", "nowhere", "--out", "x").error
    assert "mine is not a snapshot" in command("restore", store, "--store", "again").error
    command("snapshot", "--store", store, "--out", "snapshot")
    assert (
        "snapshot exists and is not an empty folder" in command("snapshot", "--store", store, "--out", "snapshot").error
    )
    manifest = Path("snapshot/manifest.json")
    path = next(Path("snapshot").rglob("tables.npz"))
    path.write_bytes(path.read_bytes()[:-1])
    assert f"{path} has" in command("restore", "snapshot", "--store", "again").error
    manifest.unlink()
    assert "has no manifest.json" in command("restore", "snapshot", "--store", "again").error
    assert not Path("again").exists()


def test_a_store_in_use(command: Command, store: Path) -> None:
    with open_store(store):
        for arguments in (("verify",), ("snapshot", "--out", "snapshot")):
            assert "is already open in this process" in command(*arguments, "--store", store).error
