"""``kafka-persist lag``: how far publication, and the consumers of published events, are behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

import attrs
import click
import trio

from .._core.chain import Chain
from .._journal.layout import TopicPerId
from .._journal.reading import catch_up
from .._publishing.id_discovery import each_stored_id
from .._shared.place import log_name, partition_of
from ..config import Config, JournalConfig
from ..driver import Driver, Log, TopicSpec
from ..errors import PersistenceError, TopicMissing
from ..projection import ProjectionStore
from .frame import DONE, Command, Source, with_json, with_source
from .named import load_named, see_current_directory
from .output import Listing, note
from .stores import for_reading

_OWNERS: Final = {"ids": "persistence id", "logs": "log"}
CONSUMER_COLUMNS: Final = ("topic", "partition", "position", "end", "lag")

UNDECIDED_SECONDS: Final = 5.0
"""How long an open transaction that will decide how far an id is published is waited for."""


@click.command("lag", cls=Command, short_help="Print what is not published, or not consumed, yet.")
@with_source
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--group", metavar="GROUP", help="Instead: how far this consumer group is behind in the topics of --topic."
)
@click.option("--topic", "topics", multiple=True, metavar="TOPIC", help="With --group: a topic; may be repeated.")
@click.option(
    "--projection",
    "store_name",
    metavar="PACKAGE.MODULE:NAME",
    help="Instead: how far the program's ProjectionStore (or what this function makes) is behind.",
)
@with_json("one object for each row")
def command(
    source: Source,
    *,
    ids: tuple[str, ...],
    group: str | None,
    topics: tuple[str, ...],
    store_name: str | None,
    as_json: bool,
) -> int:
    """Print which persistence ids have events that are not known to be published, and how many.

    Without IDs all of the journal are looked at. In mode "at-least-once" the journal notes with the next record how far an
    id is published, so up to the last write of a running program may be published already. With layout = "shared" a row is
    of a log, which is published as a whole, and the numbers count the writes and deletions in it. With --group: for each
    partition, the group's committed position, the end of the partition, and the difference. The group is not joined.
    With --projection: the same for a read model, whose positions are in its own store.
    """
    config = source.config()
    if store_name is not None:
        if group is not None or topics or ids:
            raise click.UsageError("--projection needs no --group, no --topic and no IDs.")
        see_current_directory()
        store: ProjectionStore = load_named("--projection", store_name, ProjectionStore)
        with Listing(CONSUMER_COLUMNS, as_json=as_json) as listing:
            trio.run(list_partitions, partial(projection_lag, config, store), listing)
        return DONE
    if group is None:
        if topics:
            raise click.UsageError("--topic needs --group.")
        what = "logs" if config.journal.layout == "shared" else "ids"
        with Listing((_OWNERS[what], "published", "highest", "lag"), as_json=as_json) as listing:
            looked_at = trio.run(publication, config, ids, listing)
        note(f"{looked_at} {what} looked at, {listing.count} with events that are not known to be published")
        return DONE
    if not topics or ids:
        raise click.UsageError("--group needs --topic, and no IDs.")
    with Listing(CONSUMER_COLUMNS, as_json=as_json) as listing:
        trio.run(list_partitions, partial(group_lag, config, group, topics), listing)
    return DONE


async def publication(config: Config, ids: tuple[str, ...], listing: Listing) -> int:
    """Print the ids, or shared logs, that are behind; how many were looked at.

    Raises:
        StoredDataError: an id or a log is damaged; the others were printed.
        BrokerError: there was no answer.
    """
    from .._kafka.driver import open_driver

    journal = for_reading(config.journal)
    async with open_driver(journal) as driver:
        published = Publication(driver, journal, listing)
        if journal.layout == "shared":
            _raise_first(await _shared_logs(published, ids))
        elif ids:
            for persistence_id in ids:
                await published.look(persistence_id)
        else:
            failures = await each_stored_id(driver, journal, TopicPerId(journal), published.look)
            _raise_first(failures.values())
        return published.looked_at


async def _shared_logs(published: Publication, ids: tuple[str, ...]) -> Sequence[PersistenceError]:
    """Look at the logs of these ids, or at all of them; what could not be read."""
    partitions = published.config.shared.partitions
    failures: list[PersistenceError] = []
    for partition in sorted({partition_of(name, partitions) for name in ids}) if ids else range(partitions):
        try:
            await published.look_at_shared(partition)
        except PersistenceError as error:
            failures.append(error)
    return failures


def _raise_first(failures: Iterable[PersistenceError]) -> None:
    for error in failures:
        raise error


@attrs.define(eq=False)
class Publication:
    """Compares what is stored with what is published."""

    driver: Driver
    config: JournalConfig
    listing: Listing
    looked_at: int = 0

    async def look(self, persistence_id: str) -> None:
        """Print an id if it is behind."""
        log = TopicPerId(self.config).log_of(persistence_id)
        head = (await catch_up(self.driver, log, Chain(persistence_id))).head
        published = head.published
        if self.config.event_producer.mode == "exactly-once":
            published = max(published, await trio.to_thread.run_sync(partial(_committed, self.config, log)))
        self._add("persistence_id", persistence_id, published, "highest_sequence_nr", head.highest)

    async def look_at_shared(self, partition: int) -> None:
        """Print a log that several ids share if it is behind; one that nobody has written to is not."""
        log = Log(self.config.shared_topic, partition)
        name = log_name(partition, self.config.shared.partitions)
        try:
            head = (await catch_up(self.driver, log, Chain(name, shared=True))).head
        except TopicMissing:
            return
        self._add("log", str(log), head.published, "highest", head.highest)

    def _add(self, owner: str, name: str, published: int, number: str, highest: int) -> None:
        self.looked_at += 1
        lag = highest - published
        if lag > 0:
            fields = {owner: name, "published_up_to": published, number: highest, "lag": lag}
            self.listing.add(fields, (name, str(published), str(highest), str(lag)))


def _committed(config: JournalConfig, log: Log) -> int:
    """Up to where transactions have published a log; blocks."""
    from .._kafka.published_offsets import PublishedOffsets

    offsets = PublishedOffsets(config)
    try:
        return offsets.look_up(log, UNDECIDED_SECONDS) or 0
    finally:
        offsets.close()


async def list_partitions(look: Callable[[], Awaitable[list[dict[str, Any]]]], listing: Listing) -> None:
    """Print how far somebody is behind. Raises as `group_lag`."""
    for fields in await look():
        position = "none" if fields["position"] is None else str(fields["position"])
        cells = (fields["topic"], str(fields["partition"]), position, str(fields["end"]), str(fields["lag"]))
        listing.add(fields, cells)


async def group_lag(config: Config, group: str, topics: Sequence[str]) -> list[dict[str, Any]]:
    """How far a consumer group is behind: an object for each partition.

    Raises:
        TopicMissing: a topic is missing.
        BrokerError: there was no answer.
    """
    from .._kafka.consumers import open_event_reader

    journal = for_reading(config.journal)
    async with open_event_reader(journal, _specs(journal, topics), group=group, start="earliest") as reader:
        logs = await reader.look_up(partial(reader.partitions_of, topics))
        starts = await reader.look_up(partial(reader.starts, logs))
        committed = await reader.look_up(partial(reader.committed, logs))
        ends = await reader.look_up(partial(reader.ends, logs))
    return [_row(log, committed[log], starts[log], ends[log]) for log in logs]


async def projection_lag(config: Config, store: ProjectionStore) -> list[dict[str, Any]]:
    """How far a read model is behind, in the topics that it has read. Raises as `group_lag`."""
    from .._kafka.consumers import open_event_reader

    journal = for_reading(config.journal)
    known = await trio.to_thread.run_sync(store.positions)
    topics = sorted({topic for topic, _ in known})
    if not topics:
        return []
    async with open_event_reader(journal, _specs(journal, topics), start="earliest") as reader:
        logs = await reader.look_up(partial(reader.partitions_of, topics))
        starts = await reader.look_up(partial(reader.starts, logs))
        ends = await reader.look_up(partial(reader.ends, logs))
    return [_row(log, known.get((log.topic, log.partition)), starts[log], ends[log]) for log in logs]


def _specs(config: JournalConfig, topics: Sequence[str]) -> list[TopicSpec]:
    settings = config.event_topic_settings()
    return [TopicSpec(name, config.event_producer.partitions, settings, role="events") for name in topics]


def _row(log: Log, position: int | None, start: int, end: int) -> dict[str, Any]:
    lag = end - (start if position is None else position)
    return {"topic": log.topic, "partition": log.partition, "position": position, "end": end, "lag": lag}
