"""`rise-store completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

COMPLETE = "_RISE_STORE_COMPLETE"  # the variable by which a shell asks for completions


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a shell's completion script for rise-store.

    \b
    Examples:
      eval "$(rise-store completion bash)"                 # in ~/.bashrc; zsh likewise
      rise-store completion fish > ~/.config/fish/completions/rise-store.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "rise-store", COMPLETE).source())
