"""The journal's side of publishing: what each of its calls has to do about user-defined topics."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import attrs
import trio

from .._core.chain import Chain
from .._journal.batch import Batch, Item
from .._journal.changes import save_mark
from .._journal.idlog import IdLog
from .._journal.registry import Registry
from ..config import JournalConfig
from ..errors import PersistenceError, UnsupportedOperation
from ..model import AtomicWrite, check_persistence_id
from ..publishing import PendingReport, PublishingStatistics
from .mapping import Mapping, Topics
from .publisher import Publisher
from .sweep import Failures, for_each, incomplete
from .transactional import TransactionalPublisher

DRAINING_SHARE: Final = 0.75
"""The part of the time for closing in which events are still published; the rest is for recording how far that came."""

_log = logging.getLogger("kafka_persist.publishing")


@attrs.define(eq=False, kw_only=True)
class Desk:
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
    publisher: Publisher | TransactionalPublisher | None

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
                _log.warning("a write returns before its publication: %s", error)

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
            _log.warning("not all events of dead processes are published: %s", error)

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
                _log.debug("%s: its mark was not saved: %s", idlog.log, error)


async def _save(idlog: IdLog) -> None:
    if idlog.unsaved:
        async with idlog.turn():
            await save_mark(idlog)
