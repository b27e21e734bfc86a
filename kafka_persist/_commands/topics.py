"""``kafka-persist topics``: what each topic is for, and whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
import click
import trio

from .._core.event_format import decode_event
from .._publishing.id_discovery import first_value, for_each, owner_of
from ..config import Config
from ..driver import Driver, Log
from ..errors import InvalidPersistenceId, StoredDataError, TopicMissing
from ..naming import collision_key
from .frame import DONE, Command, Source, with_json, with_source
from .output import Listing
from .stores import for_reading

MAX_LOOKED_AT: Final = 16
"""Partitions that are looked into to find out whether a topic has published events."""


@click.command("topics", cls=Command, short_help="List the topics: what each is for, and whose it is.")
@with_source
@click.option("--others", is_flag=True, help="Also topics that have nothing to do with this journal.")
@with_json("one object for each topic")
def command(source: Source, *, others: bool, as_json: bool) -> int:
    """List the topics: what each is for, and whose it is.

    The first record of each topic is looked at. Roles are journal, snapshots, events (a user-defined topic), and with
    --others kafka (Kafka's own) and other.
    """
    with Listing(("topic", "role", "persistence id", "remark"), as_json=as_json) as listing:
        trio.run(list_topics, source.config(), others, listing)
    return DONE


@attrs.frozen
class Topic:
    """What is known of a topic."""

    name: str
    role: str
    persistence_id: str = ""
    remark: str = ""


async def list_topics(config: Config, others: bool, listing: Listing) -> None:
    """Print the topics.

    Raises:
        BrokerError: there was no answer.
    """
    from .._kafka.driver import open_driver

    found: list[Topic] = []
    async with open_driver(for_reading(config.journal)) as driver:

        async def look(name: str) -> None:
            found.append(await _look(driver, config, name))

        failures = await for_each(sorted(await driver.topic_names()), look)
    for error in failures.values():
        raise error
    names = _snapshot_topics(config, [topic.persistence_id for topic in found if topic.role == "journal"])
    for topic in sorted(found, key=lambda each: each.name):
        if topic.role not in {"kafka", "other"} or others:
            owner = topic.persistence_id or names.get(topic.name, "")
            fields = {"topic": topic.name, "role": topic.role, "persistence_id": owner or None, "remark": topic.remark}
            listing.add(fields, (topic.name, topic.role, owner, topic.remark))


async def _look(driver: Driver, config: Config, name: str) -> Topic:
    if name.startswith("__"):
        return Topic(name, "kafka")
    snapshots, journal = config.snapshot_store, config.journal
    if snapshots.layout == "shared" and name == snapshots.shared_topic:
        return Topic(name, "snapshots", "", f"shared: {snapshots.shared.partitions} partitions for many ids")
    if collision_key(name).startswith(collision_key(snapshots.prefix)):
        return Topic(name, "snapshots", _plain_owner(config, name))
    if journal.layout == "shared" and name == journal.shared_topic:
        return Topic(name, "journal", "", f"shared: {journal.shared.partitions} logs of many ids")
    if name.startswith(journal.prefix) and journal.layout == "topic-per-id":
        try:
            owner = await owner_of(driver, Log(name, journal.partition))
        except StoredDataError as error:
            return Topic(name, "journal", "", f"damaged: {error}")
        if owner is not None:
            strange = _topic_of(config, owner) != name
            return Topic(
                name, "journal", owner, "not the topic that this configuration gives the id" if strange else ""
            )
    return Topic(name, "events") if await _has_events(driver, name) else Topic(name, "other")


async def _has_events(driver: Driver, name: str) -> bool:
    """Whether the first record of the first partition that has one is a published event."""
    for partition in range(MAX_LOOKED_AT):
        try:
            value = await first_value(driver, Log(name, partition))
        except TopicMissing:
            return False
        if value is not None:
            try:
                decode_event(value, name)
            except StoredDataError:
                return False
            return True
    return False


def _topic_of(config: Config, persistence_id: str) -> str | None:
    try:
        return config.journal.topic_name(persistence_id)
    except InvalidPersistenceId:
        return None


def _plain_owner(config: Config, name: str) -> str:
    """The id whose snapshot topic is called like this, if its name shows it: see `kafka_persist.naming`."""
    plain = name.removeprefix(config.snapshot_store.prefix)
    try:
        return plain if config.snapshot_store.topic_name(plain) == name else ""
    except InvalidPersistenceId:
        return ""


def _snapshot_topics(config: Config, ids: Sequence[str]) -> dict[str, str]:
    return {
        config.snapshot_store.topic_name(persistence_id): persistence_id for persistence_id in ids if persistence_id
    }
