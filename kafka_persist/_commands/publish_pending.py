"""``python -m kafka_persist publish-pending``: publish what dead processes stored and did not publish."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import attrs
import trio

from ..config import EventProducerConfig, JournalConfig, load_config
from ..errors import ConfigError, PersistenceError
from ..journal import open_journal
from ..publishing import EventTopicMapper, PendingReport
from ..serialization import Serializer
from .named import load_named, see_current_directory

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
        "--serializer",
        metavar="PACKAGE.MODULE:NAME",
        help="the program's Serializer, or a function that makes it, if events have types",
    )
    command.add_argument(
        "--mapper",
        metavar="PACKAGE.MODULE:NAME",
        help="the program's EventTopicMapper, or a class or function that makes it; by default the one that the "
        "configuration names",
    )
    command.add_argument("--json", action="store_true", help="print the figures as JSON")
    command.add_argument("ids", nargs="*", metavar="ID", help="these persistence ids only")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    try:
        see_current_directory()
        serializer: Serializer | None = _named("--serializer", options.serializer, Serializer)
        mapper: EventTopicMapper | None = _named("--mapper", options.mapper, EventTopicMapper)
        config = _config(options)
        report = trio.run(publish, config, serializer, mapper, options.ids)
    except PersistenceError as error:
        print(f"publish-pending: {error}{_advice(error, options)}")  # noqa: T201 - a command's output
        return FAILED
    figures = attrs.asdict(report)
    text = (
        "{events} events of {ids_behind} persistence ids were not known to be published, and are now ({ids} looked at)"
    )
    print(json.dumps(figures) if options.json else text.format(**figures))  # noqa: T201 - a command's output
    return DONE


def _named(option: str, name: str | None, kind: type[Any]) -> Any:
    return None if name is None else load_named(option, name, kind)


def _config(options: argparse.Namespace) -> JournalConfig:
    """The journal's configuration.

    Raises:
        ConfigError: nothing says where the events go. Publishing to the default topic what belongs into another one
            cannot be taken back.
    """
    config = load_config(options.config).journal
    if options.bootstrap_servers:
        config = attrs.evolve(config, bootstrap_servers=options.bootstrap_servers)
    default = EventProducerConfig().topic_mapper_class
    named = config.event_producer.topic_mapper_class != default  # by an environment variable
    if options.config is None and options.mapper is None and not named:
        raise ConfigError(
            "which topics the events go to is said by the program's configuration: give it with --config FILE, or its "
            f"mapper with --mapper PACKAGE.MODULE:NAME (--mapper {default} is the default one). Nothing was published"
        )
    return config


def _advice(error: PersistenceError, options: argparse.Namespace) -> str:
    """Which option says the types, if a type is what is missing; here nobody can call `Serializer.register`."""
    if "call serializer.register(" not in str(error):  # the reason of what stays pending comes as text
        return ""
    if options.serializer is None:
        return ". Name the program's serializer, which knows its types: --serializer PACKAGE.MODULE:NAME"
    return f". The serializer is that of --serializer {options.serializer}"


async def publish(
    config: JournalConfig, serializer: Serializer | None, mapper: EventTopicMapper | None, ids: list[str]
) -> PendingReport:
    """Publish what is pending, of some ids or of all."""
    async with open_journal(config, serializer=serializer, event_topic_mapper=mapper) as journal:
        return await journal.publish_pending(ids or None)
