"""The journal's side of publishing: what each of its calls has to do about user-defined topics."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import attrs
import trio

from .._core.chain import Chain
from .._core.envelope import encode_entry
from .._journal.batch import Batch, Item
from .._journal.changes import save_mark
from .._journal.idlog import IdLog
from .._journal.layout import Layout
from .._journal.registry import Registry
from ..abc import ReplayChannel
from ..config import JournalConfig
from ..driver import Ack, Driver, EventSink, Fate, TransactionalSink
from ..errors import PersistenceError, UnsupportedOperation
from ..model import AtomicWrite, check_persistence_id
from ..publishing import (
    EmptyEventTopicMapper,
    EventTopicMapper,
    PendingReport,
    PublishingStatistics,
    load_event_topic_mapper,
)
from ..serialization import Serializer
from .at_least_once import AtLeastOncePublisher
from .context import PublisherContext
from .event_topics import EventTopics
from .exactly_once import ExactlyOncePublisher
from .id_discovery import Failures, for_each, incomplete, stored_ids
from .publisher import Publisher
from .routing import Mapping, Topics

DRAINING_SHARE: Final = 0.75
"""The part of the time for closing in which events are still published; the rest is for recording how far that came."""

MAX_IN_FLIGHT: Final = 50_000
"""Published records without a confirmation; librdkafka's own queue has room for twice as many."""

_log = logging.getLogger("kafka_persist.publishing")


@attrs.define(eq=False, kw_only=True)
class PublicationService:
    """Publishing as a journal sees it; without a publisher all of it does nothing.

    Attributes:
        config: the journal's.
        mapping: where events go.
        ids: the journal's logs.
        look: judges what came to an id's log since the last look.
        list_ids: all ids of the journal, and why some are not known.
        publisher: None if nothing is published and the records say nothing about it.
    """

    config: JournalConfig
    mapping: Mapping
    ids: Registry
    look: Callable[[IdLog], Awaitable[Chain]]
    list_ids: Callable[[], Awaitable[tuple[Sequence[str], Failures]]]
    publisher: Publisher | None

    @property
    def on_stored(self) -> Callable[[IdLog, Sequence[Item]], None] | None:
        """What an id's log calls when writes count."""
        return None if self.publisher is None else self.publisher.stored

    def topics_of(self, write: AtomicWrite, idlog: IdLog) -> Sequence[Topics]:
        """The topics of each event; () if none has any.

        Raises:
            EventMappingFailed: the mapper raised or gave illegal names.
        """
        if self.publisher is None or self.mapping.empty:
            return ()
        topics = [self.mapping.topics_of(event, idlog.log.topic) for event in write.events]
        return topics if any(topics) else ()

    async def claimed(self, idlog: IdLog) -> None:
        """Publish what the previous writer left.

        Raises:
            JournalTruncated: events are published that the log does not have any more.
            BrokerError: with "exactly-once", nobody says how far the id is published.
        """
        if self.publisher is not None:
            await self.publisher.verify(idlog)
            self.publisher.claimed(idlog)

    async def published(self, batch: Batch) -> None:
        """If so configured, wait until what was stored is published.

        Never fails: the events are stored, and publishing goes on (`PublishingStatistics` tells). Cancellation takes
        no effect, as the call would otherwise look as if nothing had been stored.
        """
        if self.publisher is None or not self.config.event_producer.await_publication:
            return
        with trio.CancelScope(shield=True):  # bounded by the call's own time
            try:
                for item in batch.items:
                    if item.topics and batch.results[item.index] is None:
                        seconds = max(0.0, batch.deadline - trio.current_time())
                        await self.publisher.wait(item.idlog, item.last, seconds)
            except PersistenceError as error:
                _log.warning("a write returns before its publication: %s", error, extra={"event": "publishing.late"})

    async def before_deleting(self, idlog: IdLog, number: int) -> None:
        """Publish the events up to `number`: nobody could read them any more.

        Raises:
            PublicationPending: not within the delivery timeout.
            JournalTruncated: events are published that the log does not have any more.
        """
        if self.publisher is None:
            return
        if idlog.published < number:
            await self.publisher.learn(idlog)
        if idlog.published < number:
            await self.publisher.wait(idlog, number, self.config.delivery_timeout)

    async def publish_pending(self, persistence_ids: Iterable[str] | None) -> PendingReport:
        """See `KafkaJournal.publish_pending`."""
        publisher = self.publisher
        if publisher is None:
            raise UnsupportedOperation("this journal publishes nothing: it was opened without an event sink")
        unknown: Failures = {}
        if persistence_ids is None:
            names, unknown = await self.list_ids()
        else:
            names = list(map(check_persistence_id, persistence_ids))
        found: list[int] = []

        async def publish(persistence_id: str) -> None:
            with self.ids.using(persistence_id) as idlog:
                head = (await self.look(idlog)).head
                if head.highest > max(head.published, idlog.published):
                    await publisher.learn(idlog)
                if missing := head.highest - max(head.published, idlog.published):
                    await publisher.wait(idlog, head.highest, self.config.delivery_timeout)
                    found.append(missing)
                await _save(idlog)

        failures = {**unknown, **await for_each(names, publish)}
        report = PendingReport(ids=len(names) + len(unknown), ids_behind=len(found), events=sum(found))
        if failures and persistence_ids is not None and len(names) == 1:
            raise failures[names[0]]
        if failures:
            raise incomplete(failures, report)
        return report

    async def sweep_at_start(self) -> None:
        """Publish what is pending; what cannot be published is logged."""
        try:
            await self.publish_pending(None)
        except PersistenceError as error:
            _log.warning(
                "not all events of dead processes are published: %s",
                error,
                extra={"event": "publishing.sweep-incomplete"},
            )

    def statistics(self) -> PublishingStatistics:
        """See `PublishingStatistics`."""
        return PublishingStatistics() if self.publisher is None else self.publisher.statistics()

    async def close(self) -> None:
        """Wait for what is on its way, then record in the journal what is published. Bounded, and never fails."""
        if self.publisher is None:
            return
        with trio.move_on_after(self.config.delivery_timeout):
            with trio.move_on_after(DRAINING_SHARE * self.config.delivery_timeout):
                await self.publisher.drain()
            await for_each(self.ids.unsaved(), self._save_quietly)

    async def _save_quietly(self, persistence_id: str) -> None:
        with self.ids.using(persistence_id) as idlog:
            try:
                await _save(idlog)
            except PersistenceError as error:  # then the next recovery publishes a few events a second time
                _log.debug("%s: the journal does not say yet how far it is published: %s", idlog.log, error)


async def _save(idlog: IdLog) -> None:
    if idlog.unsaved:
        async with idlog.turn():
            await save_mark(idlog)


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


def make_service(
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
) -> PublicationService:
    """Make what a journal publishes with.

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
    context = PublisherContext(
        spawn=spawn,
        read=read,
        look=look,
        topics_of=lambda idlog, event: mapping.topics_of(event, idlog.log.topic),
        encode=lambda event: encode_entry(event, serializer.dump(event.payload)),
        topics=EventTopics(driver, config, ids.has_topic),
        reliable=config.event_producer.mode == "at-least-once" and not mapping.empty,
        max_in_flight=MAX_IN_FLIGHT,
    )
    return PublicationService(
        config=config,
        mapping=mapping,
        ids=ids,
        look=look,
        list_ids=partial(stored_ids, driver, config, layout),
        publisher=None if publishing is None else _publisher(context, publishing.sink),
    )


def _publisher(context: PublisherContext, sink: EventSink | TransactionalSink) -> Publisher:
    if isinstance(sink, TransactionalSink):
        return ExactlyOncePublisher(context, sink)
    return AtLeastOncePublisher(context, sink)
