"""Puts a journal's publisher together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import attrs

from .._core.chain import Chain
from .._core.envelope import encode_entry
from .._core.header import is_record
from .._journal.idlog import IdLog
from .._journal.layout import Layout
from .._journal.registry import Registry
from ..abc import ReplayChannel
from ..config import JournalConfig
from ..driver import Ack, Driver, EventSink, Fate, Log, TopicSpec, TransactionalSink
from ..errors import EventMappingFailed, TopicMissing, printable
from ..publishing import EmptyEventTopicMapper, EventTopicMapper, load_event_topic_mapper
from ..serialization import Serializer
from .desk import Desk
from .mapping import Mapping
from .means import Means
from .publisher import Publisher
from .sweep import first_value, stored_ids
from .transactional import TransactionalPublisher

MAX_IN_FLIGHT: Final = 50_000
"""Published records without a confirmation; librdkafka's own queue has room for twice as many."""


class NoSink(EventSink):
    """What a mapper that publishes nothing writes to."""

    def submit(self, topic: str, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """Refuse; never called for an empty mapper."""
        on_ack(Ack(Fate.REFUSED, reason="nothing is published"))


@attrs.frozen
class Publishing:
    """What a journal is opened with to publish its events.

    Attributes:
        mapping: where they go.
        sink: what takes them.
    """

    mapping: Mapping
    sink: EventSink | TransactionalSink


def make_mapping(config: JournalConfig, mapper: EventTopicMapper | None) -> Mapping:
    """The mapper that was given, else the one that the configuration names.

    Raises:
        ConfigError: it cannot be loaded.
    """
    return Mapping(mapper or load_event_topic_mapper(config.event_producer.topic_mapper_class), config)


def make_desk(
    publishing: Publishing | None,
    *,
    driver: Driver,
    config: JournalConfig,
    layout: Layout,
    ids: Registry,
    serializer: Serializer,
    spawn: Callable[..., bool],
    read: Callable[[IdLog, int], AbstractAsyncContextManager[ReplayChannel]],
    look: Callable[[IdLog], Awaitable[Chain]],
) -> Desk:
    """Make the desk of a journal.

    Args:
        publishing: None for a journal that does not publish.
        driver: the journal's, like the following.
        config: the same.
        layout: the same.
        ids: the same.
        serializer: the same.
        spawn: starts a task in the journal's nursery.
        read: opens the events of an id from a number on.
        look: judges what came to an id's log since the last look.
    """
    mapping = Mapping(EmptyEventTopicMapper(), config) if publishing is None else publishing.mapping
    means = Means(
        spawn=spawn,
        read=read,
        look=look,
        topics_of=lambda idlog, event: mapping.topics_of(event, idlog.log.topic),
        encode=lambda event: encode_entry(event, serializer.dump(event.payload)),
        prepare=partial(_prepare, driver, config, ids.has_topic),
        forget=driver.forget_topics,
        reliable=config.event_producer.mode == "at-least-once" and not mapping.empty,
        max_in_flight=MAX_IN_FLIGHT,
    )
    return Desk(
        config=config,
        mapping=mapping,
        ids=ids,
        look=look,
        list_ids=partial(stored_ids, driver, config, layout),
        publisher=None if publishing is None else _publisher(means, publishing.sink),
    )


def _publisher(means: Means, sink: EventSink | TransactionalSink) -> Publisher | TransactionalPublisher:
    return TransactionalPublisher(means, sink) if isinstance(sink, TransactionalSink) else Publisher(means, sink)


async def _prepare(
    driver: Driver, config: JournalConfig, is_journal_topic: Callable[[str], bool], topics: Collection[str]
) -> None:
    """Create missing topics; see that no events get into a journal."""
    for topic in sorted(topics):
        if is_journal_topic(topic):
            raise _is_a_journal(topic)
    partitions, settings = config.event_producer.partitions, config.event_topic_settings()
    await driver.ensure_topics([TopicSpec(topic, partitions, settings, role="events") for topic in sorted(topics)])
    for topic in sorted(topics):
        if await _holds_a_journal(driver, Log(topic, config.partition)):
            raise _is_a_journal(topic)


async def _holds_a_journal(driver: Driver, log: Log) -> bool:
    try:
        return is_record(await first_value(driver, log))
    except TopicMissing:
        return False  # it has fewer partitions than the one that journals are in


def _is_a_journal(topic: str) -> EventMappingFailed:
    return EventMappingFailed(
        f"the mapper names {printable(topic)}, which is the journal topic of some id: events there would destroy it. "
        "Give user-defined topics other names, or the journal a prefix of its own"
    )
