"""``kafka-persist tail``: the newest events of an id, or of a user-defined topic, and those that come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import click
import trio

from .._core.event_format import PublishedFields
from ..config import Config
from ..consuming import EventDecoder
from ..driver import TopicSpec
from ..errors import TopicMissing, printable
from ..serialization import Serializer
from .frame import DONE, Command, Source, serializer_of, with_json, with_serializer, with_source
from .output import Listing, note
from .plain_json import event_to_json, to_json
from .show import COLUMNS, WITH_TYPES, event_cells
from .stores import for_reading, open_journal_for_reading

TOPIC_COLUMNS: Final = ("persistence id", *COLUMNS)


@click.command("tail", cls=Command, short_help="Follow an id, or a topic of published events.")
@with_source
@click.argument("persistence_id", metavar="[ID]", required=False)
@click.option(
    "--topic", metavar="TOPIC", help="Follow the published events in this user-defined topic instead of an id."
)
@click.option(
    "--last",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    metavar="N",
    help="Of an id: begin with so many stored events.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after so many events; by default at Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(0.01, 3600),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Of an id: how often to look.",
)
@with_serializer(WITH_TYPES)
@with_json("one object for each event")
def command(
    source: Source,
    *,
    persistence_id: str | None,
    topic: str | None,
    last: int,
    limit: int | None,
    every: float,
    serializer_name: str | None,
    as_json: bool,
) -> int:
    """Print the newest events of a persistence id, or what is published to a topic, and then those that come.

    Ctrl-C ends it, with exit code 130. No consumer group is joined and no position is stored.
    """
    if (persistence_id is None) is (topic is None):
        raise click.UsageError("Give a persistence id, or a topic with --topic.")
    serializer = serializer_of(serializer_name)
    columns = COLUMNS if topic is None else TOPIC_COLUMNS
    with Listing(columns, as_json=as_json, live=True) as listing:
        follow = Follow(source.config(), serializer, listing, limit)
        if topic is not None:
            trio.run(follow.topic, topic)
        else:
            assert persistence_id is not None
            trio.run(follow.id, persistence_id, last, every)
    return DONE


@attrs.frozen
class Follow:
    """Prints events as they come.

    Attributes:
        config: the program's.
        serializer: what events are read with.
        listing: where they are printed.
        limit: how many, at most.
    """

    config: Config
    serializer: Serializer
    listing: Listing
    limit: int | None

    @property
    def done(self) -> bool:
        """As many were printed as were wanted."""
        return self.listing.count == self.limit

    async def id(self, persistence_id: str, last: int, every: float) -> None:
        """Follow an id.

        Raises:
            StoredDataError: what is stored is damaged.
            BrokerError: there was no answer.
        """
        async with open_journal_for_reading(self.config, self.serializer) as journal:
            highest = await journal.highest_sequence_nr(persistence_id)
            if not highest:
                note(f"{persistence_id!r} has never been written: waiting for its first event")
            next_nr = max(1, highest - last + 1)
            while True:
                async with journal.replay(persistence_id, from_sequence_nr=next_nr) as events:
                    async for event in events:
                        fields = event_to_json(event, self.serializer)
                        self.listing.add(fields, event_cells(fields))
                        next_nr = event.sequence_nr + 1
                        if self.done:
                            return
                await trio.sleep(every)

    async def topic(self, topic: str) -> None:
        """Follow a user-defined topic from its end on.

        Raises:
            TopicMissing: there is no such topic.
            StoredDataError: a record is no published event.
            BrokerError: there was no answer.
        """
        from .._kafka.consumers import open_event_reader

        config = for_reading(self.config.journal)
        spec = TopicSpec(topic, config.event_producer.partitions, config.event_topic_settings(), role="events")
        decoder = EventDecoder(self.serializer)
        async with self._existing(topic), open_event_reader(config, [spec], start="latest") as reader:
            logs: Callable[[], Any] = partial(reader.partitions_of, [topic])
            ends = await reader.look_up(partial(reader.ends, await reader.look_up(logs)))
            reader.assign(ends)
            note(f"following {topic} from its end: {len(ends)} partitions")
            while not self.done:
                for record in await reader.read(wanted=True):
                    if record.value is not None and not self.done:
                        published, data = decoder.fields(record.value, f"{record.log}@{record.offset}")
                        self._print(published, data, {"partition": record.log.partition, "offset": record.offset})

    @asynccontextmanager
    async def _existing(self, topic: str) -> AsyncIterator[None]:
        """Say plainly that a topic is missing: nobody here is to create it."""
        try:
            yield
        except TopicMissing as error:
            raise TopicMissing(f"there is no topic {printable(topic)}").about(topic=topic) from error

    def _print(self, published: PublishedFields, data: Any, place: dict[str, int]) -> None:
        encoded = self.serializer.dump(data)
        fields = {
            **place,
            "persistence_id": published.persistence_id,
            "sequence_nr": published.sequence_nr,
            "timestamp": published.timestamp,
            "name": encoded.name,
            "version": encoded.version,
            "manifest": published.manifest,
            "tags": sorted(published.tags),
            "metadata": to_json(published.metadata),
            "data": to_json(encoded.data),
        }
        self.listing.add(fields, (published.persistence_id, *event_cells(fields)))
