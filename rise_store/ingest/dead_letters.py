"""Rows that were not stored, in a file of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from rise_store.errors import InputError
from rise_store.records import Reject


class DeadLetters:
    """A file of `Reject` records, one JSON object a line; made, readable by its owner only, with the first of them.

    Each block's rejects are on disk before its receipt is written: a run that is killed in between may write them
    twice, and loses none. A file that exists is added to.
    """

    def __init__(self, path: str | Path, run_id: str) -> None:
        """`{run}` in the path stands for the first 8 characters of the id of the run.

        Raises:
            InputError: there is no such folder.
        """
        self.path = Path(str(path).replace("{run}", run_id[:8]))
        self.written = 0
        if not self.path.absolute().parent.is_dir() or self.path.is_dir():
            raise InputError(f"cannot write rejected rows to {self.path}: name a file in a folder that exists")

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejects.

        Raises:
            InputError: the file cannot be written.
        """
        lines = [_line(reject) for reject in rejects]
        if not lines:
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(self.path, flags, 0o600), "a", encoding="utf-8") as file:
                if _ends_within_a_line(self.path):
                    file.write("\n")
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"cannot write rejected rows to {self.path}: {error.strerror or error}") from error
        self.written += len(lines)


def _ends_within_a_line(path: Path) -> bool:
    """Whether a kill or a full disk has left half a line, which would swallow the next one."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _line(reject: Reject) -> str:
    try:
        return reject.model_dump_json() + "\n"
    except ValueError:  # what stood there may be what no JSON can hold: bytes, half a surrogate, an object of Python
        return json.dumps(reject.model_dump(), default=repr) + "\n"
