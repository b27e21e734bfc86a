"""``kafka-persist publish-pending``: publish what dead processes stored and did not publish."""

from __future__ import annotations

import json
from typing import Any

import attrs
import click
import trio

from ..config import EventProducerConfig, JournalConfig, load_config
from ..errors import ConfigError, PersistenceError
from ..journal import open_journal
from ..publishing import EventTopicMapper, PendingReport
from ..serialization import Serializer
from .frame import DONE, FAILED, Command, Source, with_serializer, with_source
from .named import load_named, see_current_directory

with_mapper = click.option(
    "--mapper",
    metavar="PACKAGE.MODULE:NAME",
    help="The program's EventTopicMapper, or a class or function that makes it; by default the one that the "
    "configuration names.",
)


@click.command(
    "publish-pending",
    cls=Command,
    short_help="Publish events that a dead process stored and did not publish.",
    epilog="Exit code: 0 all is published, 2 something is not.",
)
@with_source
@with_serializer("The program's Serializer, or a function that makes it, if events have types.")
@with_mapper
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
def command(
    source: Source, *, serializer_name: str | None, mapper: str | None, as_json: bool, ids: tuple[str, ...]
) -> int:
    """Publish events that a dead process stored and did not publish.

    Look at every persistence id of the journal (or only at those that are named) and publish, to the topics that the
    configured mapper names, the events that are not known to be published. Entities do this for themselves when they
    are opened; this is for those that nobody opens.
    """
    try:
        see_current_directory()
        serializer: Serializer | None = given("--serializer", serializer_name, Serializer)
        found: EventTopicMapper | None = given("--mapper", mapper, EventTopicMapper)
        config = publishing_config(source, mapper, "Nothing was published")
        report = trio.run(publish, config, serializer, found, list(ids))
    except PersistenceError as error:
        click.echo(f"publish-pending: {error}{advice_on(error, serializer_name)}")
        return FAILED
    figures = attrs.asdict(report)
    text = (
        "{events} events of {ids_behind} persistence ids were not known to be published, and are now ({ids} looked at)"
    )
    click.echo(json.dumps(figures) if as_json else text.format(**figures))
    return DONE


def given(option: str, name: str | None, kind: type[Any]) -> Any:
    """The object that an option names; None if it was not given."""
    return None if name is None else load_named(option, name, kind)


def publishing_config(source: Source, mapper: str | None, otherwise: str) -> JournalConfig:
    """The journal's configuration, for commands that publish.

    Args:
        source: where it is.
        mapper: the name of the program's mapper, if it was given.
        otherwise: what was not done, if nothing says where events go.

    Raises:
        ConfigError: nothing says where the events go. Publishing to the default topic what belongs into another one
            cannot be taken back.
    """
    config = load_config(source.file).journal
    if source.bootstrap_servers:
        config = attrs.evolve(config, bootstrap_servers=source.bootstrap_servers)
    default = EventProducerConfig().topic_mapper_class
    named = config.event_producer.topic_mapper_class != default  # by an environment variable
    if source.file is None and mapper is None and not named:
        raise ConfigError(
            "which topics the events go to is said by the program's configuration: give it with --config FILE, or its "
            f"mapper with --mapper PACKAGE.MODULE:NAME (--mapper {default} is the default one). {otherwise}"
        )
    return config


def advice_on(error: PersistenceError, serializer_name: str | None) -> str:
    """Which option says the types, if a type is what is missing; here nobody can call `Serializer.register`."""
    if "call serializer.register(" not in str(error):  # the reason of what stays pending comes as text
        return ""
    if serializer_name is None:
        return ". Name the program's serializer, which knows its types: --serializer PACKAGE.MODULE:NAME"
    return f". The serializer is that of --serializer {serializer_name}"


async def publish(
    config: JournalConfig, serializer: Serializer | None, mapper: EventTopicMapper | None, ids: list[str]
) -> PendingReport:
    """Publish what is pending, of some ids or of all."""
    async with open_journal(config, serializer=serializer, event_topic_mapper=mapper) as journal:
        return await journal.publish_pending(ids or None)
