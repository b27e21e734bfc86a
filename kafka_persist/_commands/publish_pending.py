"""``python -m kafka_persist publish-pending``: publish what dead processes stored and did not publish."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import attrs
import trio

from ..config import JournalConfig, load_config
from ..errors import ConfigError, PersistenceError, printable
from ..journal import open_journal
from ..publishing import PendingReport
from ..serialization import Serializer

DONE, FAILED = 0, 2
"""Exit codes: everything is published, something is not."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser's subcommands."""
    command = commands.add_parser(
        "publish-pending",
        help="publish events that a dead process stored and did not publish",
        description="Look at every persistence id of the journal and publish, to the topics that the configured mapper "
        "names, the events that are not known to be published. Entities do this for themselves when they are opened; "
        "this is for those that nobody opens.",
        epilog="Exit code: 0 all is published, 2 something is not.",
    )
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file; by default the reference configuration"
    )
    command.add_argument(
        "--bootstrap-servers", metavar="HOST:PORT", help="these brokers instead of the configured ones"
    )
    command.add_argument(
        "--serializer", metavar="PACKAGE.MODULE:NAME", help="the program's Serializer object, if events have types"
    )
    command.add_argument("--json", action="store_true", help="print the figures as JSON")
    command.add_argument("ids", nargs="*", metavar="ID", help="these persistence ids only")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    try:
        config = load_config(options.config).journal
        if options.bootstrap_servers:
            config = attrs.evolve(config, bootstrap_servers=options.bootstrap_servers)
        serializer = None if options.serializer is None else load_serializer(options.serializer)
        report = trio.run(publish, config, serializer, options.ids)
    except PersistenceError as error:
        print(f"publish-pending: {error}")  # noqa: T201 - a command's output
        return FAILED
    figures = attrs.asdict(report)
    text = (
        "{events} events of {ids_behind} persistence ids were not known to be published, and are now ({ids} looked at)"
    )
    print(json.dumps(figures) if options.json else text.format(**figures))  # noqa: T201 - a command's output
    return DONE


def load_serializer(name: str) -> Serializer:
    """Return the serializer that ``package.module:name`` is.

    Raises:
        ConfigError: there is none.
    """
    module_name, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:
        raise ConfigError(f"--serializer {printable(name)}: {type(error).__name__}: {error}") from error
    if not isinstance(found, Serializer):
        raise ConfigError(f"--serializer {printable(name)}: is no kafka_persist.Serializer")
    return found


async def publish(config: JournalConfig, serializer: Serializer | None, ids: list[str]) -> PendingReport:
    """Publish what is pending, of some ids or of all."""
    async with open_journal(config, serializer=serializer) as journal:
        return await journal.publish_pending(ids or None)
