"""kill -9 while a store takes and loses rows, is compacted and copied: what was acknowledged holds, all is whole."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from store_examples import FINGERPRINT, TABLES, kill_after, make_space, start_python
from whole_rows import whole_vector

from rise_store.store import open_store
from rise_store.store.snapshots import restore_store
from rise_store.store.verification import verify_store

WORKER = """
    import json, random, sys
    from pathlib import Path
    from store_examples import *
    from whole_rows import *
    from rise_store.store import Equals, open_store
    from rise_store.store.embedded import upkeep
    from rise_store.store.snapshots import snapshot_store
    upkeep.SEGMENT_BYTES, upkeep._FLUSH_ROWS = 8 * 1024, 60
    root, seed, version = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    often = [10, 5, 2, 1, 1, 1] if version % 2 else [10, 5, 2, 0, 0, 0]  # the slow ones would be hit most of the time
    store = open_store(root)
    collection = store.open_collection(FINGERPRINT)
    print("ready")
    for step in range(10_000):
        do = chance.choices(["upsert", "delete", "delete_where", "compact", "tidy", "snapshot"], often)[0]
        numbers = chance.sample(range(600), 1 if do == "delete_where" else chance.randint(1, 40))
        print(json.dumps([do, numbers]))
        if do == "upsert":
            collection.upsert([whole_point(number, version) for number in numbers])
        elif do == "delete":
            collection.delete([make_id(number) for number in numbers])
        elif do == "delete_where":
            collection.delete_where(Equals("tokens", numbers[0]))
        elif do == "snapshot":
            store.close()
            snapshot_store(str(root), root.parent / f"snapshot-{seed}-{step}")
            store = open_store(root)
            collection = store.open_collection(FINGERPRINT)
        else:
            getattr(collection, do)()
        print("done")
"""


class Ledger:
    """What the store must hold, from what its processes acknowledged: by number the version, None for no row."""

    def __init__(self) -> None:
        self.certain: dict[int, int | None] = dict.fromkeys(range(600))
        self.in_flight: dict[int, int | None] = {}
        self.calls = 0
        self.cut_short: Counter[str] = Counter()  # what processes were at when they were killed

    def read(self, lines: list[str], version: int) -> None:
        """Follow the output of a process."""
        doing = "nothing"
        for line in lines:
            if line == "done":
                doing = "nothing"
                self.certain |= self.in_flight
                self.in_flight = {}
            else:
                doing, numbers = json.loads(line)
                self.calls += 1
                change = {"upsert": version, "delete": None, "delete_where": None}
                self.in_flight = dict.fromkeys(numbers, change[doing]) if doing in change else {}
        self.cut_short[doing] += 1

    def settle(self, stored: dict[int, int]) -> None:
        """Compare with what is stored: a call that was cut short may have done any part of its work."""
        for number, version in self.certain.items():
            allowed = {version, self.in_flight.get(number, version)}
            assert stored.get(number) in allowed, f"row {number}: {stored.get(number)} instead of one of {allowed}"
        self.certain = {number: stored.get(number) for number in self.certain}
        self.in_flight = {}


def run_rounds(root: Path, rounds: int, longest: float, seed: int) -> Ledger:
    chance = random.Random(seed)
    with open_store(root, create=True) as store:
        store.create_space(make_space(), TABLES)
    ledger = Ledger()
    for number in range(rounds):
        process = start_python(WORKER, root, seed * 1000 + number, number)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, longest))
        ledger.read(kill_after(process, 0), number)
        print(f"round {number}: {ledger.calls} calls so far, cut short: {dict(ledger.cut_short)}")
        first = verify_store(str(root), open_store)
        assert first.problems == (), first
        with open_store(root) as store:
            points = list(store.open_collection(FINGERPRINT).scroll(with_vectors=True))
        for point in points:  # no row is half of one version and half of another
            vector = whole_vector(point.payload["tokens"], point.payload["chunks"])
            np.testing.assert_allclose(point.vector, vector, atol=1e-3)
            assert point.payload["example_id"] == f"row-{point.payload['tokens']}"
        ledger.settle({point.payload["tokens"]: point.payload["chunks"] for point in points})
        check_snapshots(root.parent, chance)
    return ledger


def check_snapshots(folder: Path, chance: random.Random) -> None:
    """Whatever is called as a snapshot should be is one."""
    whole = sorted(folder.glob("snapshot-*"))
    if whole:
        restore_store(chance.choice(whole), str(folder / "restored"))
        assert verify_store(str(folder / "restored"), open_store).problems == ()
    for path in [*whole, folder / "restored", *folder.glob(".snapshot-*")]:
        shutil.rmtree(path, ignore_errors=True)


def report(seed: int, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f" [seed {seed}: {ledger.calls} calls, cut short: {dict(ledger.cut_short)}]", end="")


def test_five_rounds(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    report(seed, run_rounds(root, 5, 0.8, seed), capsys)


@pytest.mark.slow
def test_thirty_rounds(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    report(seed, run_rounds(root, 30, 3.0, seed), capsys)
