"""The Kafka snapshot store: `open_snapshot_store`.

Its parts: `_snapshots/` (saving, loading, removing, over `driver.Driver`, and the two layouts), `_core/snapshot_index.py`
(which snapshots exist), `_core/snapshot_format.py` (the records), `_kafka/` (the driver of librdkafka). What the store
says is always in the topic: what it remembers between calls, if anything, is brought up to date before it answers. So any
number of processes may use one.

Orphans: Kafka can lose the end of a journal in an unclean election, and then a snapshot may be newer than the last
event. The store cannot know; who has the journal can. With ``ignore-orphan`` entities and views load again, with the
journal's highest sequence number as the upper bound, and delete what they found above it, one by one, before their first
write, because later events take the orphans' sequence numbers.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Final

import trio

from ._core.snapshot_payload import encode_payload
from ._lifecycle import Background, background, require_trio
from ._snapshots.interface import SnapshotLayout, SnapshotLog
from ._snapshots.jobs import Job, Jobs, Preparation, Turns
from ._snapshots.loading import Loader, StoredSnapshot
from ._snapshots.removing import Tidier, withdraw
from ._snapshots.saving import ABANDONED_MS, Saver
from ._snapshots.shared import SharedTopic
from ._snapshots.topic import TopicPerId
from .abc import Capability, SnapshotStore
from .config import SnapshotStoreConfig
from .driver import Driver
from .errors import SerializationError, StoreClosed, TopicMissing, UsageError, printable
from .model import LATEST, SelectedSnapshot, SelectionCriteria, SnapshotMetadata, check_persistence_id
from .serialization import Serializer, default_serializer

__all__ = [
    "KafkaSnapshotStore",
    "StoredSnapshot",
    "open_snapshot_store",
    "open_snapshot_store_on",
]

StoredSnapshot.__module__ = __name__  # where users find it

MAX_CONCURRENT_SAVES: Final = 8
"""Saves whose records are in flight at the same time; it bounds the memory of the client's queue."""

TIDY_SECONDS: Final = 5.0
"""How long a call may go on, after its own result is certain, to delete what it replaced."""


@asynccontextmanager
async def open_snapshot_store(
    config: SnapshotStoreConfig | None = None, *, serializer: Serializer | None = None
) -> AsyncIterator[KafkaSnapshotStore]:
    """Open a store whose snapshots live in Kafka, in compacted topics: one for each id, or one for all.

    Args:
        config: where and how; by default the reference configuration.
        serializer: the registry of snapshot types; by default plain data only.

    Raises:
        ConnectError: no broker answered within ``config.connect_timeout`` seconds.
        AuthenticationError: the credentials or certificates were refused.
        IndexUnusable: another process uses ``config.shared.directory``, or it cannot be written.

    Leaving the block waits for saves and deletions whose last record was handed over (at most
    ``config.delivery_timeout`` seconds); every other call that still runs ends with `StoreClosed`. Cancelled, it waits
    for nothing: what has no answer is unknown.
    """
    require_trio()
    from ._kafka.driver import open_driver

    config = config or SnapshotStoreConfig()
    async with (
        open_driver(config) as driver,
        open_snapshot_store_on(driver, config, serializer=serializer) as store,
    ):
        yield store


@asynccontextmanager
async def open_snapshot_store_on(
    driver: Driver,
    config: SnapshotStoreConfig | None = None,
    *,
    serializer: Serializer | None = None,
    clock: Callable[[], int] | None = None,
) -> AsyncIterator[KafkaSnapshotStore]:
    """Open the same store on any `Driver`: a simulated log, or a driver that is shared.

    Args:
        driver: access to the log.
        config: limits and policies; by default the reference configuration.
        serializer: the registry of snapshot types; by default plain data only.
        clock: gives the timestamps, milliseconds since the Unix epoch.
    """
    require_trio()
    config = config or SnapshotStoreConfig()
    with ExitStack() as files:  # outside: what reads them has ended then
        async with background("the snapshot store") as tasks, AsyncExitStack() as stack:
            layout = _make_layout(driver, config, tasks)
            files.callback(layout.release)
            store = KafkaSnapshotStore(
                driver, layout, config, serializer or default_serializer(), tasks, clock or _wall_clock
            )
            stack.push_async_callback(store.close)
            yield store


def _make_layout(driver: Driver, config: SnapshotStoreConfig, tasks: Background) -> SnapshotLayout:
    if config.layout == "topic-per-id":
        return TopicPerId(driver, config)
    return SharedTopic(driver, config, tasks.spawn)


class KafkaSnapshotStore(SnapshotStore):
    """A snapshot store over a `Driver`; opened by `open_snapshot_store`.

    Concurrency: any number of calls, from any number of processes. Calls that write to one id run one after the other
    within this process, in the order in which they were made. Between processes: a save is visible from its last record
    on, and of two saves of one sequence number the later one; a deletion deletes what existed when it looked, never a
    save that came later.
    """

    def __init__(
        self,
        driver: Driver,
        layout: SnapshotLayout,
        config: SnapshotStoreConfig,
        serializer: Serializer,
        tasks: Background,
        clock: Callable[[], int],
    ) -> None:
        self._layout = layout
        self._config = config
        self._serializer = serializer
        self._clock = clock
        self._closed = False
        self._jobs = Jobs(tasks)
        self._turns = Turns()
        self._loads = trio.CapacityLimiter(config.max_concurrent_recoveries)
        self._saves = trio.CapacityLimiter(MAX_CONCURRENT_SAVES)
        self._preparing_seconds = config.connect_timeout + config.recovery_stall_timeout
        room = min(config.max_record_bytes, driver.max_record_bytes)
        self._tidier = Tidier(config.keep, room, min(TIDY_SECONDS, config.delivery_timeout))
        self._saver = Saver(config, room, clock, self._tidier)
        self._loader = Loader(config, serializer)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return (
            f"<KafkaSnapshotStore {state}, {self._loads.borrowed_tokens} loads, {len(self._turns)} ids written to, "
            f"{self._config.bootstrap_servers}>"
        )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this store can do with its configuration."""
        options = {
            Capability.MULTIPLE_SNAPSHOTS: self._config.keep > 1,
            Capability.SNAPSHOT_FALLBACK: self._config.on_unreadable == "older",
        }
        return frozenset({Capability.METADATA, Capability.DURABLE, *(name for name, has in options.items() if has)})

    # --- calls ---------------------------------------------------------------------------------------------------

    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        """See `SnapshotStore.save`; creates the id's topic if it is missing.

        The snapshot is encoded before the call first yields. Afterwards replaced snapshots and those beyond
        ``config.keep`` are deleted; where that fails a warning is logged, and the next save does it.

        Raises:
            SerializationError: it cannot be encoded, or has more than ``config.max_snapshot_bytes`` bytes.
            PersistenceIdCollision, ForeignEvent: another id has records in the same topic.
            WriteOutcomeUnknown, BrokerError: see `SnapshotStore.save`.
            WriteNotSent: what comes before the first record (other saves, the topic, what is in it) took longer than
                ``config.connect_timeout`` and ``config.recovery_stall_timeout`` together; certainly not stored.

        So it ends after these two and ``config.delivery_timeout``, one for every eight chunks, and at most 5 seconds of
        tidying up.

        Cancellation: until the last record is handed over nothing is stored; after that the call waits for the answer.
        """
        self._check_open()
        payload = self._encode(metadata, snapshot)
        return await self._jobs.run(self._save, metadata, payload)

    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        """See `SnapshotStore.load`; creates no topic, and holds no more than one snapshot in memory.

        Raises:
            SnapshotUnreadable: see `SnapshotStore.load`.
            ForeignEvent: another id has records in the same topic.
            RecoveryStalled, BrokerError: the broker did not answer.
        """
        self._check_open()
        return await self._jobs.run(self._load, check_persistence_id(persistence_id), criteria)

    async def stored(self, persistence_id: str) -> Sequence[StoredSnapshot]:
        """Return which snapshots of an id exist, the newest first; reads none of them, and creates no topic.

        Raises:
            SnapshotUnreadable: it is not certain which there are.
            ForeignEvent: another id has records in the same topic.
            RecoveryStalled, BrokerError: the broker did not answer.
        """
        self._check_open()
        return await self._jobs.run(self._list, check_persistence_id(persistence_id))

    async def delete(self, metadata: SnapshotMetadata) -> None:
        """See `SnapshotStore.delete`.

        Raises:
            WriteOutcomeUnknown: it may or may not be deleted; deleting again is safe.
            WriteNotSent: the same as for `save`; nothing was deleted.
            BrokerError: the broker did not answer.

        Cancellation: until the first record is handed over nothing is deleted; after that the call waits.
        """
        at = metadata.timestamp
        criteria = SelectionCriteria(
            min_sequence_nr=metadata.sequence_nr,
            max_sequence_nr=metadata.sequence_nr,
            min_timestamp=at,
            max_timestamp=at or LATEST.max_timestamp,
        )
        await self.delete_matching(metadata.persistence_id, criteria)

    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        """See `SnapshotStore.delete_matching`.

        Criteria without any bound also delete records that no snapshot store wrote, and so make a damaged topic usable
        again.

        Raises:
            WriteOutcomeUnknown: they may or may not be deleted; deleting again is safe.
            WriteNotSent: the same as for `save`; nothing was deleted.
            BrokerError: the broker did not answer.

        Cancellation: as `delete`.
        """
        self._check_open()
        await self._jobs.run(self._delete, check_persistence_id(persistence_id), criteria)

    # --- as tasks of the store's nursery -------------------------------------------------------------------------

    async def _save(self, job: Job[SnapshotMetadata], metadata: SnapshotMetadata, payload: bytes) -> SnapshotMetadata:
        topic = self._layout.of(metadata.persistence_id)
        async with AsyncExitStack() as held:
            await self._prepare("saving a snapshot", held, topic, creating=True)
            return await self._saver.save(job, topic, metadata, payload)

    async def _load(
        self, _job: Job[SelectedSnapshot | None], persistence_id: str, criteria: SelectionCriteria
    ) -> SelectedSnapshot | None:
        async with self._loads:
            return await self._loader.load(self._layout.of(persistence_id), criteria)

    async def _list(self, _job: Job[Sequence[StoredSnapshot]], persistence_id: str) -> Sequence[StoredSnapshot]:
        async with self._loads:
            return await self._loader.list_stored(self._layout.of(persistence_id))

    async def _delete(self, job: Job[None], persistence_id: str, criteria: SelectionCriteria) -> None:
        topic = self._layout.of(persistence_id)
        async with AsyncExitStack() as held:
            try:
                await self._prepare("deleting snapshots", held, topic, creating=False)
            except TopicMissing:
                return
            victims = topic.index.matching(criteria)
            strange = list(topic.index.strange) if criteria == LATEST else []
            if victims or strange:
                await job.point_of_no_return()
                sent = await withdraw(topic, victims, strange)
                job.succeed(None)
                await self._tidier.run(topic, sent, garbage_before=self._clock() - ABANDONED_MS, retain=False)

    async def _prepare(self, doing: str, held: AsyncExitStack, topic: SnapshotLog, *, creating: bool) -> None:
        """Do all that comes before the first record of a call: the id's turn, its topic, what is in it, room for records.

        One time for all of it, however many others are before this call. What is held is let go with `held`.

        Raises:
            WriteNotSent: it took too long.
            TopicMissing: there is no topic, and none was to be created.
        """
        name = printable(topic.persistence_id)
        preparation = Preparation(f"{doing} of {name}", self._preparing_seconds)
        with preparation.in_time():
            preparation.waits_for = "earlier calls that write to the id"
            await held.enter_async_context(self._turns.of(topic.persistence_id))
            self._check_open()
            if creating:
                preparation.waits_for = f"topic {topic.log.topic} to be found or created"
                await topic.ensure()
            preparation.waits_for = f"what is in {topic.log}"
            await topic.look()
            if creating:
                preparation.waits_for = f"the records of {MAX_CONCURRENT_SAVES} other saves"
                await held.enter_async_context(self._saves)

    # --- the rest ------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Refuse new calls and wait for those whose last record was handed over; idempotent."""
        self._closed = True
        await self._jobs.finish()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(
                "this snapshot store is closed; use it inside its `async with open_snapshot_store(...)` block"
            )

    def _encode(self, metadata: SnapshotMetadata, snapshot: object) -> bytes:
        if not isinstance(metadata, SnapshotMetadata):
            raise UsageError(f"save() takes a SnapshotMetadata first, not {type(metadata).__name__}")
        payload = encode_payload(self._serializer, metadata, snapshot)
        if len(payload) > self._config.max_snapshot_bytes:
            raise SerializationError(
                f"the snapshot of {printable(metadata.persistence_id)} at {metadata.sequence_nr} has {len(payload)} "
                f"bytes; the limit is {self._config.max_snapshot_bytes} (max-snapshot-bytes). Nothing was stored"
            )
        self._saver.piece_bytes(metadata.persistence_id, len(payload))
        return payload


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000
