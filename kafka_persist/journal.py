"""The Kafka journal: `open_journal`.

Its parts: `_journal/` (ids, their queues and logs, replays) over `driver.Driver`, `_kafka/` (the driver of librdkafka),
`_core/` (which records count, their format). How one live writer per id is guaranteed: `_core/chain.py`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final
from uuid import UUID

import attrs
import trio

from ._core.chain import Chain
from ._core.envelope import encode_entry
from ._journal import bookmark as bookmarks
from ._journal.batch import Batch, Item
from ._journal.gate import Gate
from ._journal.idlog import IdLog, Tools
from ._journal.layout import TopicPerId
from ._journal.registry import Registry
from ._journal.replay import Source, Window, served, streamed
from ._lifecycle import Background, background
from .abc import Capability, Journal, ReplayChannel
from .config import JournalConfig
from .driver import Driver
from .errors import (
    BrokerError,
    SequenceNrConflict,
    SerializationError,
    StoreClosed,
    TopicMissing,
    UsageError,
    printable,
)
from .model import MAX_SEQUENCE_NR, AtomicWrite, PersistentRepr, Rejection, check_persistence_id
from .serialization import Serializer, default_serializer

_log = logging.getLogger("kafka_persist.journal")

ENVELOPE_OVERHEAD: Final = 4_200
"""Bytes of a record beside its entries: fixed fields, and a persistence id of 1,000 characters at 4 bytes each."""

CAPABILITIES: Final = frozenset(
    {
        Capability.MULTI_EVENT_ATOMIC_WRITES,
        Capability.REJECTS_UNSERIALIZABLE,
        Capability.METADATA,
        Capability.TAGS,
        Capability.DELETES,
        Capability.DELETES_INSIDE_ATOMIC_WRITES,
        Capability.REFUSES_STALE_SEQUENCE_NRS,
        Capability.FENCING,
        Capability.DURABLE,
    }
)


@asynccontextmanager
async def open_journal(
    config: JournalConfig | None = None, *, serializer: Serializer | None = None
) -> AsyncIterator[KafkaJournal]:
    """Open a journal whose events live in Kafka.

    Args:
        config: where and how; by default the reference configuration.
        serializer: the registry of payload types; by default plain data only.

    Raises:
        ConnectError: no broker answered within ``config.connect_timeout``.
        AuthenticationError: the credentials or certificates were refused.

    Leaving the block waits for writes that were handed over (at most ``config.delivery_timeout``), then ends every
    thread and connection. Cancelled, it does the same without waiting for answers: such writes are unknown.
    """
    from ._kafka.driver import open_driver

    config = config or JournalConfig()
    async with (
        open_driver(config) as driver,
        open_journal_on(driver, config, serializer=serializer) as journal,
    ):
        yield journal


@asynccontextmanager
async def open_journal_on(
    driver: Driver, config: JournalConfig | None = None, *, serializer: Serializer | None = None
) -> AsyncIterator[KafkaJournal]:
    """Open the same journal on any `Driver`: a simulated log, or a driver that is shared."""
    config = config or JournalConfig()
    async with background("the journal") as tasks:
        journal = KafkaJournal(driver, config, serializer or default_serializer(), tasks)
        try:
            yield journal
        finally:
            await journal.close()


class KafkaJournal(Journal):
    """A journal over a `Driver`; opened by `open_journal`."""

    def __init__(self, driver: Driver, config: JournalConfig, serializer: Serializer, tasks: Background) -> None:
        self._driver = driver
        self._config = config
        self._serializer = serializer
        self._tasks = tasks
        self._closed = False
        self._layout = TopicPerId(config)
        self._max_entries = min(config.max_record_bytes, driver.max_record_bytes) - ENVELOPE_OVERHEAD
        self._tools = Tools(driver=driver, spawn=tasks.spawn, max_record_bytes=self._max_entries)
        self._ids = Registry(self._make_log, config.max_cached_ids)
        self._gate = Gate(config.max_waiting_writes)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<KafkaJournal {state}, {len(self._ids)} ids known, {self._config.bootstrap_servers}>"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything but listing ids (a topic's name does not give its id back)."""
        return CAPABILITIES

    # --- writing -------------------------------------------------------------------------------------------------

    async def prepare(self, persistence_ids: Iterable[str]) -> None:
        """Create the topics of many ids in one batch, ahead of their first claims.

        Raises:
            TopicSettingsRefused: an existing topic has settings that lose data.
            BrokerError: not all were created; calling again goes on.
        """
        self._check_open()
        specs = [self._layout.spec_of(self._layout.log_of(check_persistence_id(name))) for name in persistence_ids]
        await self._driver.ensure_topics(specs)

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """See `Journal.claim`; creates the id's topic if it is missing."""
        self._check_open()
        idlog = self._ids.get(check_persistence_id(persistence_id))
        await self._driver.ensure_topics([self._layout.spec_of(idlog.log)])
        async with idlog.turn():
            return await idlog.claim(writer.bytes)

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """See `Journal.write`."""
        self._check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        batch = self._encode(writes)
        if not batch.items:
            await trio.lowlevel.checkpoint()
            return batch.answer()
        strangers = self._strangers(writes)
        await self._gate.enter(_nothing if strangers else partial(self._hand_over, writes, batch))
        try:
            if strangers:
                await self._meet(strangers, partial(self._hand_over, writes, batch))
            await batch.wait()
        finally:
            self._gate.leave()
        return batch.answer()

    def _strangers(self, writes: Sequence[AtomicWrite]) -> list[IdLog]:
        """The logs that this journal does not know, or knows with another writer."""
        logs = {self._ids.get(write.persistence_id): write.writer.bytes for write in writes}
        return [idlog for idlog, writer in logs.items() if idlog.chain.head.writer != writer]

    async def _meet(self, strangers: Sequence[IdLog], hand_over: Callable[[], None]) -> None:
        """Look at the heads of `strangers`, then hand over while nobody else can."""
        async with AsyncExitStack() as turns:
            for idlog in sorted(strangers, key=lambda each: each.chain.persistence_id):  # one order: no deadlock
                await turns.enter_async_context(idlog.turn())
                await self._look(idlog)
            hand_over()

    def _encode(self, writes: Sequence[AtomicWrite]) -> Batch:
        """Turn payloads into bytes now, so that later changes to them do not matter; note the rejections."""
        batch = Batch(len(writes))
        for index, write in enumerate(writes):
            if not isinstance(write, AtomicWrite):
                raise UsageError(f"write() takes AtomicWrite objects, not {type(write).__name__}")
            idlog = self._ids.get(write.persistence_id)
            try:
                entries = [self._encode_event(event, idlog) for event in write.events]
            except SerializationError as error:
                batch.results[index] = Rejection(str(error), error)
                continue
            size = sum(map(len, entries))
            if (rejection := self._too_large(write, entries, size)) is not None:
                batch.results[index] = rejection
                continue
            first, last = write.first_sequence_nr, write.last_sequence_nr
            batch.add(Item(batch, index, write.writer.bytes, first, last, entries, size))
        return batch

    def _encode_event(self, event: PersistentRepr, idlog: IdLog) -> bytes:
        if not event.timestamp:
            event = attrs.evolve(event, timestamp=idlog.timestamp())
        return encode_entry(event, self._serializer.dump(event.payload))

    def _too_large(self, write: AtomicWrite, entries: Sequence[bytes], size: int) -> Rejection | None:
        limit = self._config.max_event_bytes
        for event, entry in zip(write.events, entries, strict=True):
            if len(entry) > limit:
                return Rejection(
                    f"event {event.sequence_nr} of {printable(write.persistence_id)} has {len(entry)} bytes; the limit "
                    f"is {limit} (max-event-bytes)"
                )
        if size > self._max_entries:
            return Rejection(
                f"an atomic write of {printable(write.persistence_id)} has {size} bytes; one record holds "
                f"{self._max_entries} (max-record-bytes)"
            )
        return None

    def _hand_over(self, writes: Sequence[AtomicWrite], batch: Batch) -> None:
        """Give the writes to their ids' logs, all or (a wrong sequence number) none."""
        self._check_open()
        groups: dict[IdLog, list[Item]] = {}
        for item in batch.items:
            groups.setdefault(self._ids.get(writes[item.index].persistence_id), []).append(item)
        accepted: list[tuple[IdLog, list[Item]]] = []
        for idlog, items in groups.items():
            refusal = idlog.refusal(items[0].writer)
            if refusal is None:
                _check_numbers(idlog, items)
                accepted.append((idlog, items))
            else:
                for item in items:
                    item.settle(refusal)
        for idlog, items in accepted:
            idlog.enqueue(items)

    # --- reading -------------------------------------------------------------------------------------------------

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """See `Journal.highest_sequence_nr`; creates no topic."""
        self._check_open()
        idlog = self._ids.get(check_persistence_id(persistence_id))
        async with idlog.turn():
            return (await self._look(idlog)).head.highest

    async def _look(self, idlog: IdLog) -> Chain:
        """The chain as of now; an id without a topic has an empty one. Call it within a turn."""
        try:
            return await idlog.refresh()
        except TopicMissing:
            if idlog.chain.position or idlog.hint is not None:
                raise  # it was there before
            return idlog.chain

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
        idlog = self._ids.get(persistence_id)
        async with idlog.turn():
            head = (await self._look(idlog)).head
            window = window.within(head)
            recent = idlog.take_recent(window.low)
        source = Source(
            driver=self._driver,
            log=idlog.log,
            target=head,
            start=idlog.start_of_replay(window.low),
            serializer=self._serializer,
            look=lambda: self._look_in_turn(idlog),
        )
        if window.empty or recent is not None:
            with served(source, window, recent or ()) as channel:
                yield channel
        else:
            async with streamed(source, window, self._tasks.spawn) as channel:
                yield channel

    async def _look_in_turn(self, idlog: IdLog) -> Chain:
        async with idlog.turn():
            return await self._look(idlog)

    # --- deleting ------------------------------------------------------------------------------------------------

    def deleted_to(self, persistence_id: str) -> int | None:
        """See `Journal.deleted_to`."""
        idlog = self._ids.peek(persistence_id)
        return None if idlog is None else idlog.chain.head.floor

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """See `Journal.delete_to`.

        The floor is a record of the chain and holds at once. The log is cut behind it as far as whole records allow;
        if the broker refuses that, the deleted events stay invisible and a warning is logged.
        """
        self._check_open()
        idlog = self._ids.get(check_persistence_id(persistence_id))
        async with idlog.turn():
            chain = await self._look(idlog)
            if to_sequence_nr <= chain.head.floor or not chain.head.highest:
                return
            cut = await idlog.delete_to(to_sequence_nr)
        if cut is not None:
            await self._cut(idlog, cut)

    async def _cut(self, idlog: IdLog, offset: int) -> None:
        try:
            await self._driver.delete_before(idlog.log, offset)
        except BrokerError as error:
            _log.warning("%s: the deleted events are hidden but still on disk: %s", idlog.log, error)

    # --- bookmarks -----------------------------------------------------------------------------------------------

    def bookmark(self, persistence_id: str) -> bytes | None:
        """See `Journal.bookmark`."""
        idlog = self._ids.peek(persistence_id)
        return None if idlog is None or idlog.chain.head.offset < 0 else bookmarks.to_bytes(idlog.chain.head)

    def resume_from(self, persistence_id: str, bookmark: bytes) -> None:
        """See `Journal.resume_from`."""
        self._ids.get(check_persistence_id(persistence_id)).hint = bookmarks.from_bytes(bookmark)

    # --- life ----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Refuse new calls and wait for the writes that were handed over; idempotent."""
        self._closed = True
        for idlog in self._ids.busy():
            async with idlog.turn():
                pass

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("this journal is closed; use it inside its `async with open_journal(...)` block")

    def _make_log(self, persistence_id: str) -> IdLog:
        return IdLog(persistence_id, self._layout.log_of(persistence_id), self._tools)


def _check_numbers(idlog: IdLog, items: Iterable[Item]) -> None:
    """Refuse numbers that are used already.

    Raises:
        SequenceNrConflict: with the number that would be next.
    """
    highest = idlog.reserved
    for item in items:
        if item.first <= highest:
            raise SequenceNrConflict(
                f"{printable(idlog.chain.persistence_id)}: a write starts at sequence number {item.first}, but "
                f"{highest} is used already; the next one is {highest + 1}. Nothing of this call was stored"
            )
        highest = item.last


def _nothing() -> None:
    """Hand nothing over yet."""
