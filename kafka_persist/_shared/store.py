"""The journal of the shared layout."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final
from uuid import UUID

import trio

from .._core.index import UNKNOWN, Index, MemoryTable
from .._index.lmdb_table import open_table
from .._journal.batch import Batch
from .._journal.deadlines import Deadlines
from .._journal.gate import Gate
from .._journal.interface import CAPABILITIES, KafkaJournal
from .._journal.known import Tools
from .._journal.listing import listed
from .._journal.replay import Window
from .._lifecycle import Background
from .._publishing.service import Publishing
from ..abc import Capability, ReplayChannel
from ..config import JournalConfig
from ..driver import Driver, Log, TopicSpec
from ..errors import (
    PersistenceError,
    SequenceNrConflict,
    StoreClosed,
    TopicSettingsRefused,
    printable,
)
from ..model import MAX_SEQUENCE_NR, AtomicWrite, Rejection, check_persistence_id
from ..publishing import PendingReport
from ..serialization import Serializer
from .cleaning import Cleaner
from .commands import CommandLog
from .deleting import Deletions
from .encoding import SharedEncoder
from .log import SharedLog
from .order import Call, CallOrder
from .place import log_name, partition_of
from .publication import SharedPublication
from .replay import IndexReplay
from .settling import Patience
from .shard import Shard
from .unit import refusal_in
from .waiting import SharedItem

_log = logging.getLogger("kafka_persist.publishing")

IDS_AT_A_TIME: Final = 500

PATIENCE_SHARE: Final = 0.2
"""The part of a call's time after which what became of a record without an answer is looked into."""


class SharedJournal(KafkaJournal):
    """A journal whose logs hold many ids each."""

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
        self._closed = False
        self._publication = SharedPublication(
            publishing, config=config, driver=driver, serializer=serializer, spawn=tasks.spawn
        )
        self.publishing_statistics = self._publication.statistics
        self._tools = Tools(
            driver=driver,
            spawn=tasks.spawn,
            max_record_bytes=min(config.max_record_bytes, driver.max_record_bytes),
            host=socket.gethostname() if config.host_name == "auto" else config.host_name,
            on_stored=self._publication.on_stored,
        )
        self._deletions = Deletions(self._run, self._tools.spawn, config.delivery_timeout)
        self._shards: list[Shard] = []
        self._patience = Patience(
            lambda: [shard.log for shard in self._shards], tasks.spawn, PATIENCE_SHARE * config.delivery_timeout
        )
        try:
            for partition in range(config.shared.partitions):
                self._shards.append(self._make_shard(partition))
        except BaseException:
            self.release()
            raise
        self._encoder = SharedEncoder(
            serializer=serializer,
            log_of=lambda persistence_id: self._shards[partition_of(persistence_id, len(self._shards))].log,
            topics_of=self._publication.topics_of,
            max_event_bytes=config.max_event_bytes,
            max_record_bytes=self._tools.max_record_bytes,
            max_write_seconds=config.delivery_timeout,
        )
        self._gate = Gate(config.max_waiting_writes, config.max_waiting_bytes)
        self._deadlines = Deadlines(tasks.spawn)
        self._order = CallOrder()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        owned = sum(shard.log.owned for shard in self._shards)
        return f"<SharedJournal {state}, owns {owned} of {len(self._shards)} logs, {self._config.bootstrap_servers}>"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything that a journal can do."""
        return CAPABILITIES

    def _make_shard(self, partition: int) -> Shard:
        topic, partitions = self._config.shared_topic, self._config.shared.partitions
        per_log = max(1, self._config.max_cached_ids // partitions)
        name, directory = log_name(partition, partitions), self._config.shared.directory
        index = Index(open_table(directory, partition, f"{topic}: {name}") if directory else MemoryTable())
        log = SharedLog(name, Log(topic, partition), self._tools, index, per_log)
        cleaner = Cleaner(
            log,
            self._driver,
            self._tools.spawn,
            self._run,
            ratio=self._config.shared.cleaning_ratio,
            least_bytes=self._config.shared.cleaning_least_bytes,
            seconds=self._config.delivery_timeout,
        )
        log.on_grown = cleaner.look
        log.on_sent = self._patience.watch
        log.on_wish = partial(self._deletions.fulfil, log)
        self._publication.add(log)
        return Shard(log, self._driver, self._tools.spawn, self._ensure_topic, self._config.delivery_timeout)

    def _shard(self, persistence_id: str) -> Shard:
        return self._shards[partition_of(check_persistence_id(persistence_id), len(self._shards))]

    async def _ensure_topic(self) -> None:
        topic, wanted = self._config.shared_topic, len(self._shards)
        await self._driver.ensure_topics([TopicSpec(topic, wanted, self._config.topic_settings(), role="journal")])
        found = await self._driver.partition_count(topic)
        if found != wanted:
            raise TopicSettingsRefused(
                f"topic {topic} has {found} partitions, but kafka-journal.shared.partitions is {wanted}: an id would be looked "
                f"for in the wrong one. Set it to {found}"
            ).about(topic=topic)

    # --- writing -------------------------------------------------------------------------------------------------

    async def prepare(self, persistence_ids: Iterable[str]) -> None:
        """See `KafkaJournal.prepare`: takes over the logs of the ids."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        for shard in {self._shard(persistence_id) for persistence_id in persistence_ids}:
            await shard.own()

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """See `Journal.claim`; takes over the id's log if this process does not own it.

        Raises:
            TopicSettingsRefused: the topic has settings that lose data, or another number of partitions.
        """
        self._check_open()
        shard = self._shard(persistence_id)
        log = shard.log
        async with self._order.claiming(persistence_id):
            while True:
                await shard.own()
                if log.pending.last(persistence_id) or not log.owned:
                    await shard.wait_decided(persistence_id)
                else:
                    log.writers.set(persistence_id, writer.bytes)
                    return log.index.table.state(persistence_id).highest

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """See `Journal.write`; all of it takes at most ``config.delivery_timeout``.

        Raises:
            WriteNotSent: it had no turn in time; certainly not stored.
        """
        self._check_open()
        await trio.lowlevel.checkpoint_if_cancelled()
        batch = self._encoder.encode(writes)
        if not batch.items:
            await trio.lowlevel.checkpoint()
        else:
            await self._run(batch)
            await self._publication.published(batch)
        return batch.answer()

    def command_log(self, partition: int) -> CommandLog:
        """One log as the owner of its shard uses it."""
        return CommandLog(self._shards[partition], self._encoder, self._run)

    async def _run(self, batch: Batch) -> None:
        """Hand the items of a call over as soon as there is room, and wait for their results."""
        self._deadlines.add(batch)
        calls: list[Call[None]] = []

        def begin() -> None:
            ids = [item.persistence_id for item in _items_of(batch)]
            if self._order.holds(ids):
                calls.append(self._order.begin(ids, partial(self._hand_over, batch)))
            else:  # the usual case
                self._hand_over(batch)

        try:
            if not await self._gate.enter(batch.size, batch.send_by, begin):
                raise batch.too_late(_items_of(batch)[0].persistence_id)
            try:
                if not batch.entered:  # ids of it are being claimed
                    with trio.move_on_at(batch.send_by):
                        await self._order.end(calls[0])
                    if not batch.entered:
                        raise batch.too_late(_items_of(batch)[0].persistence_id)
                await batch.wait()
            finally:
                self._gate.leave(batch.size)
        finally:
            self._deadlines.remove(batch)

    def _hand_over(self, batch: Batch) -> None:
        """Give the items to their logs, all or (a wrong sequence number) none."""
        self._check_open()
        items = _items_of(batch)
        if trio.current_time() > batch.send_by:
            raise batch.too_late(items[0].persistence_id)
        groups: dict[SharedLog, list[SharedItem]] = {}
        refused: list[tuple[SharedItem, PersistenceError]] = []
        reserved: dict[str, int] = {}
        for item in items:
            log = item.idlog
            assert isinstance(log, SharedLog)
            refusal = refusal_in(item.unit, log.item_refusal(item))
            if refusal is None:
                self._check_number(log, item, reserved)
                groups.setdefault(log, []).append(item)
            else:
                refused.append((item, refusal))
        for item, refusal in refused:
            item.settle(refusal)
        batch.entered = True
        for log, accepted in groups.items():
            log.accept(accepted)

    def _check_number(self, log: SharedLog, item: SharedItem, reserved: dict[str, int]) -> None:
        name = item.persistence_id
        if item.run is None:
            return
        highest = reserved.get(name)
        if highest is None:
            highest = log.reserved_of(name)
        if item.first <= highest:
            raise SequenceNrConflict(
                f"{printable(name)}: a write starts at sequence number {item.first}, but {highest} is used already; the next "
                f"one is {highest + 1}. Nothing of this call was stored"
            )
        reserved[name] = item.last

    # --- reading -------------------------------------------------------------------------------------------------

    async def _known(self, persistence_id: str, *, recovering: bool = False) -> SharedLog:
        """The id's log, with all in its index that was stored when this, or the claim of a recovery, was called."""
        self._check_open()
        shard = self._shard(persistence_id)
        await shard.wait_decided(persistence_id)
        if recovering and shard.log.is_known_since_claim(persistence_id):
            await trio.lowlevel.checkpoint()
        else:
            await shard.know()
        return shard.log

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """See `Journal.highest_sequence_nr`; creates no topic and takes nothing over."""
        self._check_open()
        log = self._shard(persistence_id).log
        epoch, there, owned = await self._order.after_claims(
            persistence_id, lambda: (log.chain.head.epoch, log.reserved_of(persistence_id), log.owned)
        )
        highest = (await self._known(persistence_id)).index.table.state(persistence_id).highest
        # Of this process's writes only those count that were called before.
        return min(highest, there) if owned and log.owned and log.chain.head.epoch == epoch else highest

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """See `Journal.replay`; reads the index, after a look at the log (the claim's, for the first replay behind a claim)."""
        self._check_open()
        window = Window(low=max(1, from_sequence_nr), high=to_sequence_nr, limit=max_events)
        return self._replay(check_persistence_id(persistence_id), window)

    @asynccontextmanager
    async def _replay(self, persistence_id: str, window: Window) -> AsyncIterator[ReplayChannel]:
        log = await self._known(persistence_id, recovering=True)
        state = log.index.table.state(persistence_id)
        limit = None if window.limit is None else max(0, window.limit)
        window = Window(low=max(window.low, state.floor + 1), high=min(window.high, state.highest), limit=limit)
        channel = IndexReplay(log, persistence_id, window, self._serializer, self._check_open)
        try:
            yield channel
        finally:
            channel.close()

    def persistence_ids(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[str]]:
        """See `Journal.persistence_ids`; reads every log to its end."""
        self._check_open()
        return listed(self._list, self._tools.spawn)

    async def _list(self, found: Callable[[str], Awaitable[None]]) -> Mapping[str, PersistenceError]:
        for shard in self._shards:
            await shard.know()
            last = ""
            while names := shard.log.index.table.ids(last, IDS_AT_A_TIME):
                for persistence_id in names:
                    await found(persistence_id)
                last = names[-1]
        return {}

    # --- deleting ------------------------------------------------------------------------------------------------

    def deleted_to(self, persistence_id: str) -> int | None:
        """See `Journal.deleted_to`."""
        state = self._shard(persistence_id).log.index.table.state(persistence_id)
        return None if state is UNKNOWN else state.floor

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """See `Journal.delete_to`; takes nothing over."""
        self._check_open()
        shard = self._shard(persistence_id)
        log = shard.log
        epoch, there = await self._order.after_claims(
            persistence_id, lambda: (log.chain.head.epoch, log.reserved_of(persistence_id))
        )
        await self._deletions.delete(shard, persistence_id, to_sequence_nr, there, epoch)

    # --- publishing ----------------------------------------------------------------------------------------------

    async def publish_pending(self, persistence_ids: Iterable[str] | None = None) -> PendingReport:
        """See `KafkaJournal.publish_pending`; a log is published as a whole, whichever of its ids are asked for.

        In the report, ``ids_behind`` and the names of failures are of logs.
        """
        self._check_open()
        names = None if persistence_ids is None else list(map(check_persistence_id, persistence_ids))
        shards = self._shards if names is None else dict.fromkeys(map(self._shard, names))
        return await self._publication.publish_pending({str(shard.log.log): shard for shard in shards}, names)

    async def sweep_at_start(self) -> None:
        """Publish what is pending; what cannot be published is logged."""
        try:
            await self.publish_pending()
        except PersistenceError as error:
            _log.warning(
                "not all events of dead processes are published: %s",
                error,
                extra={"event": "publishing.sweep-incomplete"},
            )

    # --- life ----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """See `KafkaJournal.close`."""
        self._closed = True
        with trio.move_on_after(self._config.delivery_timeout):  # noqa: ASYNC912 - nothing busy: nothing to cancel
            for shard in self._shards:
                if not shard.log.idle:
                    async with shard.log.turn():
                        pass
        await self._publication.close()

    def release(self) -> None:
        """See `KafkaJournal.release`: the indexes are written to disk."""
        for shard in self._shards:
            shard.log.release()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("this journal is closed; use it inside its `async with open_journal(...)` block")


def _items_of(batch: Batch) -> list[SharedItem]:
    return [item for item in batch.items if isinstance(item, SharedItem)]
