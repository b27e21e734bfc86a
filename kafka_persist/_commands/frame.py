"""What all commands have in common: exit codes, the options that say where, and errors of one line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import attrs
import click

from ..config import Config, load_config
from ..errors import PersistenceError, StoredDataError, UsageError
from ..serialization import RawSerializer, Serializer
from .named import load_named, see_current_directory

DONE: Final = 0
FOUND: Final = 1
"""Something is wrong with what was looked at, or it is not there."""
FAILED: Final = 2
"""Wrong words, a wrong configuration, or no answer."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells have it."""
CUT_OFF: Final = 141
"""Whoever read the output went away (``| head``), as shells have it."""

P = ParamSpec("P")
R = TypeVar("R")


class Command(click.Command):
    """A command whose errors are one line on standard error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its exit code."""
        try:
            return super().invoke(ctx)
        except PersistenceError as error:
            click.echo(f"{ctx.command_path}: {error}", err=True)
            return FOUND if isinstance(error, StoredDataError) else FAILED
        except BrokenPipeError:
            return cut_off()


def cut_off() -> int:
    """Nobody reads the output any longer; the exit code for that."""
    # What is still in the buffer would fail once more when Python closes it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CUT_OFF


@attrs.frozen
class Source:
    """Which configuration a command works with.

    Attributes:
        file: a TOML file; None for the reference configuration.
        bootstrap_servers: brokers to use instead of the configured ones.
    """

    file: Path | None = None
    bootstrap_servers: str | None = None

    def config(self) -> Config:
        """Load it.

        Raises:
            ConfigError: the file cannot be read, or a key or value is wrong.
        """
        return load_config(self.file, environ=self._environ())

    def _environ(self) -> Mapping[str, str] | None:
        if not self.bootstrap_servers:
            return None
        return {**os.environ, "KAFKA_PERSIST__KAFKA_JOURNAL__BOOTSTRAP_SERVERS": self.bootstrap_servers}


def with_source(function: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options that say where; its first argument is a `Source`."""

    @functools.wraps(function)
    def called(*args: Any, config_file: Path | None, bootstrap_servers: str | None, **kwargs: Any) -> R:
        return function(Source(config_file, bootstrap_servers), *args, **kwargs)

    servers = click.option(
        "--bootstrap-servers", metavar="HOST:PORT", help="Use these brokers instead of the configured ones."
    )
    file = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The program's TOML file; by default the reference configuration.",
    )
    return file(servers(called))


def with_json(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a command the option ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help=f"Print {what} as JSON.")


def with_serializer(help_text: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a command the option that names the program's serializer."""
    return click.option("--serializer", "serializer_name", metavar="PACKAGE.MODULE:NAME", help=help_text)


def with_yes(function: Callable[P, R]) -> Callable[P, R]:
    """Give a command the option ``--yes``."""
    return click.option("--yes", is_flag=True, help="Do it without asking.")(function)


def agreed(what: str, *, yes: bool) -> None:
    """Say what the command is going to do, and ask unless it was agreed to before.

    Raises:
        UsageError: it was not agreed to.
    """
    click.echo(f"This will {what}.", err=True)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was changed: give --yes to do this")
    if not click.confirm("Go on?", err=True):
        raise UsageError("nothing was changed")


def serializer_of(name: str | None) -> Serializer:
    """The program's serializer, or one that leaves payloads as they are stored.

    Raises:
        ConfigError: there is none of this name.
    """
    if name is None:
        return RawSerializer()
    see_current_directory()
    found: Serializer = load_named("--serializer", name, Serializer)
    return found
