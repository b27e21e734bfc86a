"""The Kafka journal: `open_journal`.

Its parts: `_journal/` (ids, their queues and logs, replays) over `driver.Driver`, `_kafka/` (the driver of librdkafka),
`_core/` (which records count, their format). How one live writer per id is guaranteed: `_core/chain.py`.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from uuid import UUID

import trio

from ._config.parts import EMPTY_MAPPER
from ._core.chain import Chain, Head
from ._journal import bookmark as bookmarks
from ._journal.changes import claim, delete_to
from ._journal.deadlines import Deadlines
from ._journal.encoding import Encoder
from ._journal.gate import Gate
from ._journal.idlog import IdLog
from ._journal.interface import CAPABILITIES, KafkaJournal
from ._journal.known import Tools
from ._journal.layout import TopicPerId
from ._journal.listing import has_events, listed
from ._journal.registry import Registry
from ._journal.replay import Source, Window, served, streamed
from ._journal.writing import Writing
from ._lifecycle import Background, background, require_trio
from ._publishing.event_topics import Collisions
from ._publishing.id_discovery import Failures, each_stored_id
from ._publishing.service import NoSink, Publishing, make_mapping, make_service
from ._publishing.traced import traced
from ._shared.store import SharedJournal
from .abc import Capability, ReplayChannel
from .config import JournalConfig
from .driver import Driver
from .errors import BrokerError, ConfigError, CorruptRecord, StoreClosed, TopicMissing
from .model import MAX_SEQUENCE_NR, AtomicWrite, Rejection, check_persistence_id
from .publishing import EventTopicMapper, PendingReport, PublishingStatistics
from .serialization import Serializer, default_serializer
from .tracing import Tracing

__all__ = ["KafkaJournal", "open_journal", "open_journal_on"]

_log = logging.getLogger("kafka_persist.journal")


@asynccontextmanager
async def open_journal(
    config: JournalConfig | None = None,
    *,
    serializer: Serializer | None = None,
    event_topic_mapper: EventTopicMapper | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[KafkaJournal]:
    """Open a journal whose events live in Kafka.

    Args:
        config: where and how; by default the reference configuration.
        serializer: the registry of payload types; by default plain data only.
        event_topic_mapper: which user-defined topics an event goes to; by default the one that `config` names.
        tracing: is told of events that are published; None for nobody.

    Raises:
        ConfigError: the mapper that `config` names cannot be loaded, or the layout cannot publish.
        ConnectError: no broker answered within ``config.connect_timeout``.
        AuthenticationError: the credentials or certificates were refused.

    Leaving the block waits for writes under way, and for their publication (at most ``config.delivery_timeout`` each),
    then ends every thread and connection. Cancelled, it does the same without waiting
    for answers: such writes are unknown.
    """
    require_trio()
    from ._kafka.brokers import located
    from ._kafka.driver import open_driver_at
    from ._kafka.event_sink import open_event_sink

    config = config or JournalConfig()
    mapping = make_mapping(config, event_topic_mapper)
    _check_publishing(config, mapping.empty)
    async with AsyncExitStack() as stack:
        brokers = await stack.enter_async_context(located(config))
        driver = await stack.enter_async_context(open_driver_at(brokers))
        sink = NoSink() if mapping.empty else await stack.enter_async_context(open_event_sink(brokers))
        opened = open_journal_on(
            driver, config, serializer=serializer, publishing=Publishing(mapping, traced(sink, tracing))
        )
        yield await stack.enter_async_context(opened)


@asynccontextmanager
async def open_journal_on(
    driver: Driver,
    config: JournalConfig | None = None,
    *,
    serializer: Serializer | None = None,
    publishing: Publishing | None = None,
) -> AsyncIterator[KafkaJournal]:
    """Open the same journal on any `Driver`: a simulated log, or a driver that is shared.

    Without `publishing` nothing is published, and the journal's records say nothing about it.
    """
    config = config or JournalConfig()
    with ExitStack() as released:  # outside of the tasks, which use what is let go of
        async with background("the journal") as tasks:
            journal = _make(driver, config, serializer or default_serializer(), tasks, publishing)
            released.callback(journal.release)
            if config.event_producer.publish_pending:
                tasks.spawn(journal.sweep_at_start)
            try:
                yield journal
            finally:
                await journal.close()  # noqa: ASYNC102 - closing is bounded or shields itself


def _make(
    driver: Driver, config: JournalConfig, serializer: Serializer, tasks: Background, publishing: Publishing | None
) -> KafkaJournal:
    if config.layout == "topic-per-id":
        return TopicPerIdJournal(driver, config, serializer, tasks, publishing)
    _check_publishing(config, publishing is None or publishing.mapping.empty)
    return SharedJournal(driver, config, serializer, tasks, publishing)


def _check_publishing(config: JournalConfig, nothing: bool) -> None:
    if config.layout == "shared" and config.event_producer.mode == "exactly-once" and not nothing:
        raise ConfigError(
            'the shared layout does not publish events exactly once yet: set kafka-journal.event.producer.mode to "at-least-once", '
            f'or the mapper to "{EMPTY_MAPPER}", or use layout = "topic-per-id"'
        )


KafkaJournal.__module__ = __name__  # where users find it: in tracebacks and in the documentation


class TopicPerIdJournal(KafkaJournal):
    """A journal over a `Driver`, with a topic for each id."""

    def __init__(
        self,
        driver: Driver,
        config: JournalConfig,
        serializer: Serializer,
        tasks: Background,
        publishing: Publishing | None = None,
    ) -> None:
        self._driver = driver
        self._config = config
        self._serializer = serializer
        self._tasks = tasks
        self._closed = False
        self._layout = TopicPerId(config)
        self._ids = Registry(self._make_log, config.max_cached_ids)
        self._publication = make_service(
            publishing,
            driver=driver,
            config=config,
            layout=self._layout,
            ids=self._ids,
            serializer=serializer,
            spawn=tasks.spawn,
            read=self._read_again,
            look=self._look_in_turn,
        )
        self.publishing_statistics: Callable[[], PublishingStatistics] = self._publication.statistics
        self.sweep_at_start: Callable[[], Awaitable[None]] = self._publication.sweep_at_start
        self._collisions = Collisions(driver, None if publishing is None else publishing.mapping)
        self._tools = Tools(
            driver=driver,
            spawn=tasks.spawn,
            max_record_bytes=min(config.max_record_bytes, driver.max_record_bytes),
            host=socket.gethostname() if config.host_name == "auto" else config.host_name,
            check_new=self._collisions.check_new,
            on_stored=self._publication.on_stored,
        )
        self._writing = Writing(
            encoder=Encoder(
                serializer=serializer,
                ids=self._ids,
                topics_of=self._publication.topics_of,
                max_event_bytes=config.max_event_bytes,
                max_write_seconds=config.delivery_timeout,
            ),
            gate=Gate(config.max_waiting_writes, config.max_waiting_bytes),
            deadlines=Deadlines(tasks.spawn),
            check_open=self._check_open,
            look=self._look,
            published=self._publication.published,
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<KafkaJournal {state}, {len(self._ids)} ids known, {self._config.bootstrap_servers}>"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything that a journal can do."""
        return CAPABILITIES

    # --- writing -------------------------------------------------------------------------------------------------

    async def prepare(self, persistence_ids: Iterable[str]) -> None:
        """See `KafkaJournal.prepare`."""
        self._check_open()
        specs = [self._layout.spec_of(self._layout.log_of(check_persistence_id(name))) for name in persistence_ids]
        await self._driver.ensure_topics(specs)

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """See `Journal.claim`; creates the id's topic if it is missing.

        Raises:
            PersistenceIdCollision: the id's topic is a user-defined topic.
        """
        self._check_open()
        with self._ids.using(check_persistence_id(persistence_id)) as idlog:
            self._collisions.check_name(idlog.log.topic)
            await self._driver.ensure_topics([self._layout.spec_of(idlog.log)])
            async with idlog.turn():
                try:
                    highest = await claim(idlog, writer.bytes)
                except CorruptRecord as error:
                    raise await self._collisions.explained(idlog.log, error) from error.__cause__
            await self._publication.claimed(idlog)
            return highest

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """See `Journal.write`.

        All of it takes at most ``config.delivery_timeout``: waiting for room and for earlier writes, the broker's
        answer, and reading back where the answer leaves a question.

        Raises:
            WriteNotSent: it could not be sent in time; certainly not stored.
        """
        self._check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        return await self._writing.write(writes)

    # --- reading -------------------------------------------------------------------------------------------------

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """See `Journal.highest_sequence_nr`; creates no topic."""
        self._check_open()
        with self._ids.using(check_persistence_id(persistence_id)) as idlog:
            async with idlog.turn():
                return (await self._look(idlog)).head.highest

    async def _look(self, idlog: IdLog) -> Chain:
        """The chain as of now; an id without a topic has an empty one. Call it within a turn."""
        try:
            return await idlog.refresh()
        except TopicMissing:
            if idlog.chain.position or idlog.hint is not None:
                raise  # it was there before
            return idlog.chain  # noqa: ASYNC910 - `refresh` has checkpointed

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """See `Journal.replay`; a task of the journal's nursery reads ahead by one batch."""
        self._check_open()
        window = Window(low=max(1, from_sequence_nr), high=to_sequence_nr, limit=max_events)
        return self._replay(check_persistence_id(persistence_id), window)

    @asynccontextmanager
    async def _replay(self, persistence_id: str, window: Window) -> AsyncIterator[ReplayChannel]:
        with self._ids.using(persistence_id) as idlog:
            async with idlog.turn():
                head = (await self._look(idlog)).head
                window = window.within(head)
                recent = idlog.take_recent(window.low)
            source = self._source(idlog, head, window)
            if window.empty or recent is not None:
                with served(source, window, recent or ()) as channel:
                    yield channel
            else:
                async with streamed(source, window, self._tasks.spawn) as channel:
                    yield channel
            idlog.followed = head

    def _source(self, idlog: IdLog, head: Head, window: Window) -> Source:
        return Source(
            driver=self._driver,
            log=idlog.log,
            target=head,
            start=idlog.start_of_replay(window.low),
            serializer=self._serializer,
            look=lambda: self._look_in_turn(idlog),
        )

    @asynccontextmanager
    async def _read_again(self, idlog: IdLog, from_nr: int) -> AsyncIterator[ReplayChannel]:
        """The publisher's replay; it leaves what a recovery has read to the entity."""
        head = (await self._look_in_turn(idlog)).head
        window = Window(low=from_nr, high=MAX_SEQUENCE_NR, limit=None).within(head)
        source = self._source(idlog, head, window)
        async with streamed(source, window, self._tasks.spawn) as channel:
            yield channel

    async def _look_in_turn(self, idlog: IdLog) -> Chain:
        async with idlog.turn():
            return await self._look(idlog)

    def persistence_ids(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[str]]:
        """See `Journal.persistence_ids`: each topic's first records say whose it is, and whether it was written."""
        self._check_open()

        async def look(found: Callable[[str], Awaitable[None]]) -> Failures:
            async def written(persistence_id: str) -> None:
                log = self._layout.log_of(persistence_id)
                if await has_events(self._driver, log, persistence_id, self.highest_sequence_nr):
                    await found(persistence_id)

            return await each_stored_id(self._driver, self._config, self._layout, written)

        return listed(look, self._tasks.spawn)

    # --- deleting ------------------------------------------------------------------------------------------------

    def deleted_to(self, persistence_id: str) -> int | None:
        """See `Journal.deleted_to`."""
        known = self._ids.peek(persistence_id)
        return None if known is None else known.chain.head.floor

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """See `Journal.delete_to`; what is not published yet is published first.

        The floor is a record of the chain and holds at once. If the broker refuses to cut the log there, a warning is logged.
        """
        self._check_open()
        with self._ids.using(check_persistence_id(persistence_id)) as idlog:
            async with idlog.turn():
                chain = await self._look(idlog)
                floor = min(to_sequence_nr, chain.head.highest)  # not what is written until the next turn
            if floor <= chain.head.floor:
                return
            await self._publication.before_deleting(idlog, floor)
            async with idlog.turn():
                cut = await delete_to(idlog, floor)
            if cut is not None:
                await self._cut(idlog, cut)

    async def _cut(self, idlog: IdLog, offset: int) -> None:  # noqa: ASYNC910 - the driver checkpoints
        try:
            await self._driver.delete_before(idlog.log, offset)
        except BrokerError as error:
            text = "%s: the deleted events are hidden but still on disk: %s"
            _log.warning(text, idlog.log, error, extra={"event": "deletion.incomplete"})

    # --- bookmarks -----------------------------------------------------------------------------------------------

    def bookmark(self, persistence_id: str) -> bytes | None:
        """See `Journal.bookmark`."""
        known = self._ids.peek(persistence_id)
        return None if known is None or known.chain.head.offset < 0 else bookmarks.to_bytes(known.chain.head)

    def resume_from(self, persistence_id: str, bookmark: bytes) -> None:
        """See `Journal.resume_from`."""
        with self._ids.using(check_persistence_id(persistence_id)) as idlog:
            idlog.hint = bookmarks.from_bytes(bookmark)

    # --- publishing ----------------------------------------------------------------------------------------------

    async def publish_pending(self, persistence_ids: Iterable[str] | None = None) -> PendingReport:
        """See `KafkaJournal.publish_pending`."""
        self._check_open()
        return await self._publication.publish_pending(persistence_ids)

    # --- life ----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """See `KafkaJournal.close`."""
        self._closed = True
        with trio.move_on_after(self._config.delivery_timeout):  # noqa: ASYNC912 - nothing busy: nothing to cancel
            for idlog in self._ids.busy():
                async with idlog.turn():
                    pass
        await self._publication.close()

    def release(self) -> None:
        """See `KafkaJournal.release`: there is nothing."""

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("this journal is closed; use it inside its `async with open_journal(...)` block")

    def _make_log(self, persistence_id: str) -> IdLog:
        return IdLog(persistence_id, self._layout.log_of(persistence_id), self._tools)
