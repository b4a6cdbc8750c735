"""Opening a shard in a process of its own first, where its files cannot be judged by their checksums."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rise_store.errors import StoreError

_SECONDS = 600  # replaying a full log takes 2 s

# Nothing but the engine is imported: that takes 60 ms.
_SCRIPT = """
import sys
import qdrant_edge as edge
shard = edge.EdgeShard.load(sys.argv[1])
shard.count(edge.CountRequest(exact=True))
shard.close()
"""


def try_opening(points: Path) -> None:
    """`StoreError` when the shard in the folder `points` kills the process that opens it, or never opens.

    Of damaged files the engine may read a length that no memory holds, or map a part that is not there: the process
    aborts (qdrant-edge-py 0.9.0). What is a mere error or panic in the child will be one in this process too.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _SCRIPT, str(points)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
        ending = f"was killed by signal {-done.returncode}" if done.returncode < 0 else ""
    except OSError:
        return  # an interpreter inside another program cannot be started again
    except subprocess.TimeoutExpired:
        ending = f"took more than {_SECONDS} s"
    if ending:
        raise StoreError(
            f"the files below {points} are damaged: a process that opened them {ending}. Restore the store from a "
            "snapshot or a copy, or ingest into a new one; `rise-store verify` lists the damage"
        )
