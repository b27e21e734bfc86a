"""What shards need of Kafka: readers of commands and of replies, and a producer that sends both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import trio

from .._lifecycle import background
from ..config import JournalConfig
from ..driver import Ack, Log, TopicSpec
from ..errors import JournalTruncated, PersistenceError, TopicSettingsRefused
from .brokers import located_once
from .consumers import open_event_reader
from .event_sink import CLOSING_SECONDS, KafkaEventSink, make_sink_client
from .group import EventReader, RawEvent

T = TypeVar("T")

LOOKS: Final = 3
LOOK_PAUSE: Final = 1.0
"""How often, and after how many seconds, a topic that ends too early is looked at again: a deposed leader may say so."""


class KafkaCommandReader:
    """An `EventReader` as shards use it: where it begins is looked up in the topic, too."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

    @property
    def assigned(self) -> Mapping[Log, int]:
        """See `CommandReader`."""
        return self._reader.assigned

    def subscribe(self, topics: Sequence[str]) -> None:
        """See `CommandReader`."""
        self._reader.subscribe(topics)

    async def place(self, find: Callable[[Sequence[Log]], Awaitable[Mapping[Log, int]]]) -> None:
        """See `CommandReader`."""
        await self._reader.place(partial(self._bounded, find))

    async def read(self, *, wanted: bool) -> Sequence[RawEvent]:
        """See `CommandReader`."""
        return await self._reader.read(wanted=wanted)

    def owns(self, record: RawEvent) -> bool:
        """See `CommandReader`."""
        return self._reader.owns(record)

    def finish(self, record: RawEvent) -> None:
        """See `CommandReader`."""
        self._reader.finish(record)

    def read_again(self, logs: Sequence[Log]) -> None:
        """See `CommandReader`."""
        self._reader.read_again(logs)

    async def _bounded(
        self, find: Callable[[Sequence[Log]], Awaitable[Mapping[Log, int]]], logs: Sequence[Log]
    ) -> Mapping[Log, int]:
        """Where to begin, within the topic: what retention has removed was not asked for any more.

        Raises:
            JournalTruncated: the topic ends before commands that have taken effect.
        """
        wanted = await find(logs)
        if not wanted:
            return wanted
        starts = await self._reader.look_up(partial(self._reader.starts, wanted))
        ends = await self._reader.look_up(partial(self._reader.ends, wanted))
        for _ in range(LOOKS):
            short = [log for log, position in wanted.items() if ends[log] < position]
            if not short:
                return {log: max(position, starts[log]) for log, position in wanted.items()}
            await trio.sleep(LOOK_PAUSE)
            ends = await self._reader.look_up(partial(self._reader.ends, wanted))
        log = min(wanted, key=lambda each: ends[each] - wanted[each])
        raise JournalTruncated(
            f"{log} ends at offset {ends[log]}, but commands below offset {wanted[log]} have taken effect: the topic was deleted "
            "and created anew, or its broker lost acknowledged records. New commands would be taken for done"
        ).about(topic=log.topic, offset=ends[log])


class KafkaConnections:
    """`Connections` to Kafka; opened by `open_shard_connections`."""

    def __init__(self, config: JournalConfig, sink: KafkaEventSink) -> None:
        self._config = config
        self._sink = sink

    def submit(self, log: Log, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """See `Connections`."""
        self._sink.submit_to(log, key, value, on_ack)

    @asynccontextmanager
    async def open_commands(self, group: str) -> AsyncIterator[KafkaCommandReader]:
        """See `Connections`."""
        topic = self._config.command_topic
        spec = TopicSpec(topic, self._config.shared.partitions, self._config.command_topic_settings(), role="events")
        async with open_event_reader(self._config, [spec], group=group, start="earliest") as reader:
            await self._check(reader, topic)
            yield KafkaCommandReader(reader)

    @asynccontextmanager
    async def open_replies(self, place: int) -> AsyncIterator[KafkaCommandReader]:
        """See `Connections`."""
        topic = self._config.reply_topic
        spec = TopicSpec(topic, self._config.shared.partitions, self._config.reply_topic_settings(), role="events")
        async with open_event_reader(self._config, [spec], start="latest") as reader:
            await self._check(reader, topic)
            log = Log(topic, place)
            reader.assign(await self._answer(reader, partial(reader.ends, [log])))
            yield KafkaCommandReader(reader)

    async def _answer(self, reader: EventReader, question: Callable[[], T]) -> T:
        """Ask until there is an answer, for ``connect-timeout``: a topic that was just made has no leader at first."""
        until = trio.current_time() + self._config.connect_timeout
        while True:
            try:
                return await reader.look_up(question)
            except PersistenceError as error:
                if not error.retriable or trio.current_time() > until:
                    raise
            await trio.sleep(LOOK_PAUSE / 10)

    async def _check(self, reader: EventReader, topic: str) -> None:
        found = await self._answer(reader, partial(reader.partitions_of, [topic]))
        wanted = self._config.shared.partitions
        if len(found) != wanted:
            raise TopicSettingsRefused(
                f"topic {topic} has {len(found)} partitions, but the journal has {wanted} (kafka-journal.shared.partitions): a "
                "command would go to the wrong shard"
            ).about(topic=topic)


@asynccontextmanager
async def open_shard_connections(config: JournalConfig) -> AsyncIterator[KafkaConnections]:
    """Open them; the producer is ended with the block, and nothing is connected before it is used.

    Raises:
        ConnectError: ZooKeeper does not answer, or names no usable broker.
        ConfigError: librdkafka refuses a property.
    """
    config = await located_once(config)
    make = partial(make_sink_client, config.command_producer_properties(), in_order=False)
    async with background("the connections of shards") as tasks:
        sink = KafkaEventSink(config, tasks, await make(), lambda _config: make())
        try:
            yield KafkaConnections(config, sink)
        finally:
            with trio.move_on_after(CLOSING_SECONDS, shield=True):
                await sink.close()
