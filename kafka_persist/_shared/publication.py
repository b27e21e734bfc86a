"""Publishing as the journal of the shared layout sees it: one outbox for each log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import trio

from .._core.index import Index
from .._journal.batch import Batch, Item
from .._journal.changes import save_mark
from .._journal.idlog import IdLog
from .._publishing.context import Flow
from .._publishing.event_topics import EventTopics
from .._publishing.id_discovery import for_each, incomplete
from .._publishing.routing import Topics
from .._publishing.service import DRAINING_SHARE, MAX_IN_FLIGHT, Publishing
from ..config import JournalConfig
from ..driver import Driver, EventSink
from ..errors import PersistenceError, UnsupportedOperation
from ..model import AtomicWrite
from ..publishing import PendingReport, PublishingStatistics
from ..serialization import Serializer
from .log import SharedLog
from .outbox import Outbox, Way
from .shard import Shard
from .waiting import SharedItem

_log = logging.getLogger("kafka_persist.publishing")

UNAVAILABLE: Final = (
    "this journal publishes nothing: it was opened without an event sink, or its mapper names no topics"
)


class SharedPublication:
    """The outboxes of a journal; without a sink all of it does nothing.

    A journal whose mapper names no topic has no outboxes. Its records say that they are published if nothing before them is
    missing (`SharedLog`); what another program has left stays that program's, and is not called published.

    Args:
        publishing: where events go, and what takes them; None if they go nowhere and the records say nothing about it.
        config: the journal's, like the following.
        driver: the same.
        serializer: the same.
        spawn: starts a task in the journal's nursery.
    """

    def __init__(
        self,
        publishing: Publishing | None,
        *,
        config: JournalConfig,
        driver: Driver,
        serializer: Serializer,
        spawn: Callable[..., bool],
    ) -> None:
        self._config = config
        self._outboxes: dict[IdLog, Outbox] = {}
        self._flow = Flow(MAX_IN_FLIGHT)
        self._way: Way | None = None
        self._marks = publishing is not None
        if publishing is not None and not publishing.mapping.empty:
            assert isinstance(publishing.sink, EventSink)
            self._way = Way(
                driver=driver,
                spawn=spawn,
                serializer=serializer,
                mapping=publishing.mapping,
                topics=EventTopics(driver, config, lambda topic: topic == config.shared_topic),
                sink=publishing.sink,
                flow=self._flow,
                reliable=config.event_producer.mode == "at-least-once",
            )

    def __repr__(self) -> str:
        return f"<SharedPublication {self._flow}>"

    @property
    def on_stored(self) -> Callable[[IdLog, Sequence[Item]], None] | None:
        """What a log calls when writes count; None if its records are to say nothing about publishing."""
        return self._stored if self._marks else None

    def _stored(self, log: IdLog, items: Sequence[Item]) -> None:
        if (outbox := self._outboxes.get(log)) is not None:
            outbox.stored(items)

    def add(self, log: SharedLog) -> None:
        """One more log of the journal."""
        if self._way is not None:
            outbox = self._outboxes[log] = Outbox(log, self._way)
            log.on_claimed = outbox.begin

    def topics_of(self, write: AtomicWrite) -> Sequence[Topics]:
        """The topics of each event; () if none has any.

        Raises:
            EventMappingFailed: the mapper raised or gave illegal names.
        """
        way = self._way
        if way is None:
            return ()
        topics = [way.mapping.topics_of(event, self._config.shared_topic) for event in write.events]
        return topics if any(topics) else ()

    def statistics(self) -> PublishingStatistics:
        """See `PublishingStatistics`; what is behind is counted in logs."""
        outboxes = self._outboxes.values()
        return PublishingStatistics(
            published=self._flow.confirmed,
            in_flight=self._flow.records,
            behind=sum(outbox.behind for outbox in outboxes),
            failures=sum(outbox.failures for outbox in outboxes),
            last_failure=next((outbox.last_failure for outbox in outboxes if outbox.last_failure), ""),
        )

    async def published(self, batch: Batch) -> None:
        """If so configured, wait until what was stored is published.

        Never fails: the events are stored, and publishing goes on. Cancellation takes no effect, as the call would
        otherwise look as if nothing had been stored.
        """
        if self._way is None or not self._config.event_producer.await_publication:
            return
        with trio.CancelScope(shield=True):  # bounded by the call's own time
            try:
                for item in batch.items:
                    if item.topics and batch.results[item.index] is None and isinstance(item, SharedItem):
                        seconds = max(0.0, batch.deadline - trio.current_time())
                        await self._outboxes[item.idlog].wait(item.number, seconds)
            except PersistenceError as error:
                _log.warning("a write returns before its publication: %s", error, extra={"event": "publishing.late"})

    async def publish_pending(
        self, shards: Mapping[str, Shard], persistence_ids: Sequence[str] | None
    ) -> PendingReport:
        """Publish what is pending in these logs, by name.

        Args:
            shards: the logs.
            persistence_ids: who was asked for; None for all.
        """
        if self._way is None:
            raise UnsupportedOperation(UNAVAILABLE)
        found: list[int] = []
        names = [] if persistence_ids is None else list(persistence_ids)

        async def publish(name: str) -> None:
            shard = shards[name]
            await shard.know()
            outbox, head = self._outboxes[shard.log], shard.log.chain.head
            outbox.begin()
            if missing := head.highest - outbox.published:
                await outbox.wait(head.highest, self._config.delivery_timeout)
                found.append(missing)
            await self._save(shard.log)
            if persistence_ids is None:
                names.extend(_ids_of(shard.log.index))

        failures = await for_each(sorted(shards), publish)
        report = PendingReport(ids=len(names), ids_behind=len(found), events=sum(found))
        if failures:
            raise incomplete(failures, report)
        return report

    async def close(self) -> None:
        """Wait for what is on its way, then record in the logs what is published. Bounded, and never fails."""
        if self._way is None:
            return
        with trio.move_on_after(self._config.delivery_timeout):
            with trio.move_on_after(DRAINING_SHARE * self._config.delivery_timeout):
                while any(outbox.busy for outbox in self._outboxes.values()):
                    await self._flow.wait_for_change()
            for log in self._outboxes:
                try:
                    await self._save(log)
                except PersistenceError as error:  # then the next owner publishes a few events a second time
                    _log.debug("%s: the log does not say yet how far it is published: %s", log.log, error)

    async def _save(self, log: IdLog) -> None:
        if log.unsaved and log.chain.head.offset >= 0:
            async with log.turn():
                await save_mark(log)


def _ids_of(index: Index) -> Iterable[str]:
    last = ""
    while names := index.table.ids(last, 1000):
        yield from names
        last = names[-1]
