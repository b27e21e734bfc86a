"""``kafka-persist completion``: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .frame import DONE, Command

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command, short_help="Print the script that lets a shell complete.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, *, shell: str) -> int:
    """Print the script that lets a shell complete commands and options.

    For bash: add  eval "$(kafka-persist completion bash)"  to ~/.bashrc. For zsh the same in ~/.zshrc. For fish:
    kafka-persist completion fish > ~/.config/fish/completions/kafka-persist.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "kafka-persist", "_KAFKA_PERSIST_COMPLETE").source())
    return DONE
