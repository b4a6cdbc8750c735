"""Opening a shard in a process of its own first, where its files cannot be judged by their checksums."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

from rise_store.errors import StoreError

_SECONDS = 600  # replaying a full log takes 2 s

_log = logging.getLogger(__name__)

# Nothing but the engine is imported: that takes 60 ms. The mark tells a shard that was tried from one that was not.
_MARK = b"engine loaded"
_SCRIPT = f"""
import json
import sys
sys.path[:] = json.loads(sys.argv[2])
import qdrant_edge as edge
print({_MARK.decode()!r}, flush=True)
shard = edge.EdgeShard.load(sys.argv[1])
shard.count(edge.CountRequest(exact=True))
shard.close()
"""


def try_opening(points: Path) -> None:
    """`StoreError` when the shard in the folder `points` kills the process that opens it, or never opens.

    Of damaged files the engine may read a length that no memory holds, or map a part that is not there: the process
    aborts (qdrant-edge-py 0.9.0). What is a mere error or panic in the child will be one in this process too.

    An interpreter inside another program cannot be started again. Then nothing is tried, and a warning is logged.
    """
    try:
        done = subprocess.run(
            # Isolated, for the child to have the import path of this process and nothing of its own.
            [sys.executable, "-I", "-c", _SCRIPT, str(points), json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
        printed = done.stdout
        ending = f"was killed by signal {-done.returncode}" if done.returncode < 0 else ""
    except OSError as error:
        printed = b""
        ending = str(error)
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b""
        ending = f"took more than {_SECONDS} s"
    if _MARK not in printed:
        _log.warning("%s is opened without trying it in a process of its own first, which could not start", points)
    elif ending:
        raise StoreError(
            f"the files below {points} are damaged: a process that opened them {ending}. Restore the store from a "
            "snapshot or a copy, or ingest into a new one; `rise-store verify` lists the damage"
        )
