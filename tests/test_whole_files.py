"""A file that a person names appears whole or not at all, and nothing but a file is ever replaced."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from rise_store.errors import InputError
from rise_store.whole_files import whole_file


def test_the_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    with whole_file(out) as draft:
        draft.write_text("new")
        assert not out.exists()
    assert (out.read_text(), list(tmp_path.iterdir())) == ("new", [out])


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")
    with pytest.raises(UnicodeEncodeError), whole_file(out) as draft:
        draft.write_text("ne\udc00", encoding="utf-8")
    assert (out.read_text(), list(tmp_path.iterdir())) == ("old", [out])


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are files of another kind there")
def test_a_device_or_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="pipe: it is a device or a pipe; name a file"), whole_file(pipe):
        pytest.fail("nothing may be computed for it")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(("name", "message"), [("folder", "it is a folder"), ("no/file", "there is no folder")])
def test_a_place_where_no_file_can_stand_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=message), whole_file(tmp_path / name):
        pytest.fail("nothing may be computed for it")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    target, link = tmp_path / "today.html", tmp_path / "latest.html"
    target.write_text("old")
    link.symlink_to(target)
    with whole_file(link) as draft:
        draft.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
