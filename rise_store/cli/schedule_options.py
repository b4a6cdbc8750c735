"""Options of commands that ingest: where the models work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def schedule_options(command: Command) -> Command:
    """`--workers`, `--gpus` and `--ray`."""
    for option in (
        click.option(
            "--ray",
            is_flag=False,
            flag_value="",
            metavar="[ADDRESS]",
            help="Let the machines of a Ray cluster plan, encode and store (extra ray); the store must be on a server. "
            "[default ADDRESS: RAY_ADDRESS, else this machine alone]",
        ),
        click.option(
            "--gpus",
            default="",
            metavar="0,1",
            callback=_numbers,
            help="Encode in one process for each of these GPUs.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Encode in N processes, which share the CPU unless --device names another device; with --ray, N on "
            "its machines. "
            "[default: in the process of the command]",
        ),
    ):
        command = option(command)
    return command


def _numbers(context: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 0,1", context, option)
    return tuple(map(int, parts))
