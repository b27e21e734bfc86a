"""The command ``kafka-persist`` itself: its subcommands, and what becomes of whatever comes out of them."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import click

from . import (
    browse,
    check,
    completion,
    copying,
    deleting,
    exporting,
    ids,
    importing,
    lag,
    publish_pending,
    server,
    settings,
    show,
    snapshots,
    state,
    tail,
    topics,
    verify,
)
from .frame import DONE, FAILED, INTERRUPTED, cut_off

COMMANDS = (
    ids.command,
    show.command,
    tail.command,
    snapshots.command,
    state.command,
    browse.command,
    verify.command,
    exporting.command,
    importing.command,
    copying.command,
    deleting.command,
    settings.command,
    check.command,
    publish_pending.command,
    lag.command,
    topics.command,
    server.command,
    completion.command,
)
"""In the order in which ``--help`` lists them."""

EPILOG = """\
Exit codes: 0 done; 1 what was looked at is wrong, or not there; 2 wrong words, a wrong configuration, or no answer;
130 Ctrl-C."""


class Group(click.Group):
    """Lists commands in the order of `COMMANDS`, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.commands)


@click.group(
    "kafka-persist",
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EPILOG,
)
@click.version_option(
    version("kafka-persist"),
    message=f"kafka-persist %(version)s (confluent-kafka {version('confluent-kafka')}, Python {sys.version.split()[0]})",
)
@click.option("-v", "--verbose", is_flag=True, help="Show what the library and its Kafka client log.")
@click.pass_context
def group(ctx: click.Context, *, verbose: bool) -> None:
    """Look after what kafka_persist stores in Kafka.

    Every command takes the program's configuration file: layout, brokers, TLS and passwords are those of the program.
    Commands that read take nothing over and create nothing.
    """
    ctx.with_resource(logged(verbose=verbose))


for _command in COMMANDS:
    group.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    try:
        code = group.main(
            list(sys.argv[1:] if arguments is None else arguments), "kafka-persist", standalone_mode=False
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except click.ClickException as error:
        error.show()
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return cut_off()


@contextlib.contextmanager
def logged(*, verbose: bool) -> Iterator[None]:
    """Send the library's log to standard error: its warnings, or all of it."""
    log = logging.getLogger("kafka_persist")
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s" if verbose else "%(message)s")
    )
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if verbose else logging.WARNING)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
