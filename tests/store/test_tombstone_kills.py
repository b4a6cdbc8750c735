"""kill -9 while examples are deleted with tombstones: none is gone that could come back."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from store_examples import FINGERPRINT, TABLES, kill_after, make_space, start_python
from whole_rows import whole_point

from rise_store.lifecycle import delete_examples
from rise_store.store import Equals, Identity, Tombstones, open_store
from rise_store.store.verification import verify_store

ROWS = 400
WORKER = """
    import sys
    from store_examples import *
    from rise_store.lifecycle import delete
    from rise_store.store import Equals, Tombstones, open_store
    delete._PAGE_ROWS = 7
    with open_store(sys.argv[1]) as store:
        collection = store.open_collection(FINGERPRINT)
        tombstones = Tombstones(store.catalogue())
        print("ready")
        report = delete.delete_examples([collection], where=Equals("dataset", "books"), act=True, tombstones=tombstones)
        print(report.deleted)
"""


@pytest.mark.parametrize("kills", [2, pytest.param(15, marks=pytest.mark.slow)])
def test_whatever_is_gone_is_refused_and_repeating_deletes_the_rest(root: Path, kills: int) -> None:
    chance = random.Random(time.time_ns())
    points = [whole_point(number, 1) for number in range(ROWS)]
    identities = [Identity("books", point.payload["example_id"], point.payload["content_sha256"]) for point in points]
    with open_store(root, create=True) as store:
        store.create_space(make_space(), TABLES).upsert(points)
    for _ in range(kills):
        process = start_python(WORKER, root)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(chance.uniform(0, 0.08))
        kill_after(process, 0)
        assert verify_store(str(root), open_store).problems == ()
        with open_store(root) as store:
            left = {point.id for point in store.open_collection(FINGERPRINT).scroll()}
            refused = Tombstones(store.catalogue()).refused(identities)
        assert all(point.id in left or is_refused for point, is_refused in zip(points, refused, strict=True))
    with open_store(root) as store:
        tombstones = Tombstones(store.catalogue())
        collection = store.open_collection(FINGERPRINT)
        delete_examples([collection], where=Equals("dataset", "books"), act=True, tombstones=tombstones)
        assert collection.count() == 0
        assert all(tombstones.refused(identities))
        assert sum(one.examples for one in tombstones.sets()) >= ROWS
