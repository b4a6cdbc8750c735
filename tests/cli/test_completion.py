"""Shell completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command

FOLDER = str(Path(sys.executable).parent)
SCRIPT = shutil.which("rise-store", path=FOLDER) or "rise-store"


def complete(*words: str) -> list[str]:
    """What the installed command offers for the last word, as bash asks it."""
    asked = {"_RISE_STORE_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    run = subprocess.run([SCRIPT], env={**os.environ, **asked}, capture_output=True, text=True, timeout=60, check=True)
    assert run.stderr == ""
    return [line.partition(",")[2] for line in run.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_for_each_shell(command: Command, shell: str) -> None:
    done = command("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "rise-store" in done.out
    assert f"_RISE_STORE_COMPLETE={shell}_complete" in done.out
    if checker := shutil.which(shell):
        syntax = {"bash": "-n", "zsh": "-n", "fish": "--no-execute"}[shell]
        subprocess.run([checker, syntax], input=done.out, text=True, timeout=60, check=True)


def test_an_unknown_shell_is_refused(command: Command) -> None:
    done = command("completion", "tcsh")
    assert done.code == 2
    assert "'bash', 'zsh', 'fish'" in done.err


def test_commands_options_and_choices_are_completed() -> None:
    assert complete("rise-store", "qu") == ["query"]
    assert complete("rise-store", "query", "--wh") == ["--where"]
    assert complete("rise-store", "query", "--format", "js") == ["json", "jsonl"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_a_command() -> None:
    script = """
        eval "$(rise-store completion bash)"
        declare -F _rise_store_completion > /dev/null || exit 3
        complete -p rise-store > /dev/null || exit 4
        COMP_WORDS=(rise-store qu)
        COMP_CWORD=1
        _rise_store_completion rise-store qu rise-store
        echo "${COMPREPLY[@]}"
    """
    run = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": f"{FOLDER}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("query\n", "")
