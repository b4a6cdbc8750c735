"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rise_store.errors import InputError


def check_writable(out: Path) -> None:
    """`InputError` unless a file can stand at `out`, before anything is computed for it.

    A device or a pipe is refused: putting a file in its place would destroy it, `/dev/null` too for who may.
    """
    folder = out.absolute().parent
    if not folder.is_dir():
        raise InputError(f"cannot write {out}: there is no folder {folder}")
    if out.is_dir():
        raise InputError(f"cannot write {out}: it is a folder")
    if out.exists() and not out.is_file():
        raise InputError(f"cannot write {out}: it is a device or a pipe; name a file")


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """A draft to write, which becomes `out` when the block ends well, and vanishes otherwise.

    A symbolic link stays; what it leads to is replaced.

    Raises:
        InputError: see `check_writable`; or the system cannot write.
    """
    check_writable(out)
    target = out.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
