"""Read models: published events, each applied once to a store of one's own.

A projection reads user-defined topics without a consumer group. Where it stands is kept in the read model's own store, in
the same transaction as what an event changed there, so a crash neither loses nor repeats an event. The topic itself may
hold an event twice (``mode = "at-least-once"``); the store also remembers the last sequence number of each persistence
id, and leaves out what is not above it.

Theory of operation: the store's transaction ``(changes, position, sequence number)`` is the only truth. The projection
reads from the stored positions on and hands over batches; the store checks, inside the transaction, that each position
is the one that it expects, so that a second process on the same read model stops instead of applying events twice.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import trio

from ._consuming.decoding import EventDecoder
from ._consuming.stream import ReceivedEvent, received
from ._lifecycle import require_trio
from .config import JournalConfig
from .driver import Log, TopicSpec
from .errors import JournalHeadLost, PersistenceError, ProjectionFailed, RecoveryStalled, UsageError, printable
from .naming import is_legal_topic_name
from .serialization import Serializer

if TYPE_CHECKING:
    from ._kafka.group import EventReader, RawEvent

__all__ = ["Lag", "Projection", "ProjectionStore", "apply_failed", "open_projection"]

T = TypeVar("T")

BATCH: Final = 500
"""Events in one transaction at most."""


class ProjectionStore(abc.ABC):
    """Where a read model lives; `kafka_persist.projection_sqlite` has one for SQLite.

    Its methods are called in a worker thread, one at a time.
    """

    @abc.abstractmethod
    def positions(self) -> Mapping[tuple[str, int], int]:
        """Return the next offset of each (topic, partition) that was read before."""

    @abc.abstractmethod
    def apply(self, events: Sequence[ReceivedEvent]) -> int:
        """In one transaction: change the read model for each event, and store the positions after them.

        An event whose sequence number is not above the last one of its persistence id in its topic changes nothing.

        Returns:
            How many events changed the read model.

        Raises:
            Exception: whatever the user's function raised; nothing of the batch was stored. The projection raises it as
                the cause of a `ProjectionFailed`; a store that raises `apply_failed` itself names the event.
        """

    def advance(self, positions: Mapping[tuple[str, int], int]) -> None:  # noqa: B027 - a store may do without
        """Raise stored positions: up to these offsets there is nothing more to apply.

        Behind the last event of a partition may stand ends of transactions (``mode = "exactly-once"``), which are no
        events. A store that does not note that they were passed takes their removal, by retention, for lost events.
        """

    @abc.abstractmethod
    def clear(self) -> None:
        """In one transaction: empty the read model and forget all positions."""


@attrs.frozen
class Lag:
    """How far a projection is behind.

    Attributes:
        records: records between the stored positions and the ends of the topics; offsets, so markers count as well.
        partitions: the same for each (topic, partition).
    """

    records: int
    partitions: Mapping[tuple[str, int], int]


@asynccontextmanager
async def open_projection(
    config: JournalConfig,
    topics: str | Sequence[str],
    store: ProjectionStore,
    *,
    serializer: Serializer | None = None,
) -> AsyncIterator[Projection]:
    """Open a projection of user-defined topics into `store`.

    Args:
        config: the journal's: brokers, security, creation of topics.
        topics: one or several; missing ones are created unless ``config.topics.create`` is false.
        store: the read model; stays open.
        serializer: the registry of payload types; by default plain data only.

    Raises:
        UsageError: no topic, or an illegal name.
        TopicMissing: a topic is missing, and creation is not allowed.
        BrokerError: the broker did not answer, or refused.
    """
    require_trio()
    names = [topics] if isinstance(topics, str) else list(topics)
    if not names or not all(is_legal_topic_name(name) for name in names):
        raise UsageError(f"topics must be one or more names of topics, not {topics!r}")
    from ._kafka.consumers import open_event_reader

    settings = config.event_topic_settings()
    specs = [TopicSpec(name, config.event_producer.partitions, settings, role="events") for name in names]
    async with open_event_reader(config, specs, start="earliest") as reader:
        yield Projection(reader, names, store, EventDecoder(serializer), stall_seconds=config.recovery_stall_timeout)


class Projection:
    """Applies published events to a store; opened by `open_projection`, used by one task."""

    def __init__(
        self,
        reader: EventReader,
        topics: Sequence[str],
        store: ProjectionStore,
        decoder: EventDecoder,
        *,
        stall_seconds: float,
    ) -> None:
        self._reader = reader
        self._topics = topics
        self._store = store
        self._decoder = decoder
        self._stall_seconds = stall_seconds
        self._limiter = trio.CapacityLimiter(1)
        self._next: dict[Log, int] | None = None
        self._passed: dict[tuple[str, int], int] = {}
        self.applied: int = 0
        """Events that changed the read model, since it was opened."""

    def __repr__(self) -> str:
        return f"<Projection of {', '.join(self._topics)}, {self.applied} events applied>"

    async def run(self) -> None:
        """Apply events as they come, forever.

        Raises: as `catch_up`.

        Cancellation: a batch is applied completely or not at all.
        """
        while True:
            await self._step()

    async def catch_up(self) -> None:
        """Apply everything that is in the topics now, and return.

        Raises:
            StoredDataError: a value cannot be decoded; everything before it was applied.
            JournalHeadLost: events were removed from a topic (retention) before they were applied: `rebuild`, or
                restore the topic.
            ConnectError, BrokerError: the broker did not answer, or refused.
            RecoveryStalled: no record came for ``recovery_stall_timeout``, and there are more.
            ProjectionFailed: the store or the user's function raised; the batch was not applied.

        Cancellation: a batch is applied completely or not at all.
        """
        ends = await self._look_up(partial(self._reader.ends, list(await self._positions())))
        moved = trio.current_time()
        while not _reached(positions := await self._positions(), ends):
            if await self._step():
                moved = trio.current_time()
            elif trio.current_time() > moved + self._stall_seconds:
                raise self._stalled(positions, ends)
        await self._advance()

    def _stalled(self, positions: Mapping[Log, int], ends: Mapping[Log, int]) -> RecoveryStalled:
        log, end = next((log, end) for log, end in ends.items() if positions[log] < end)
        return RecoveryStalled(
            f"{log} has records up to {end}, and the read model has read up to {positions[log]}; no progress for "
            f"{self._stall_seconds:g} s (recovery-stall-timeout). Is the partition's leader reachable?"
        ).about(topic=log.topic, offset=positions[log])

    async def rebuild(self) -> None:
        """Empty the read model, then apply everything from the beginning of the topics.

        Raises: as `catch_up`.
        """
        await self._in_store(self._store.clear)
        self._next = None
        await self.catch_up()

    async def lag(self) -> Lag:
        """How far the stored positions are behind the ends of the topics.

        Raises:
            ConnectError, BrokerError: the broker did not answer, or refused.
        """
        positions = dict(await self._positions())
        ends = await self._look_up(partial(self._reader.ends, positions))
        behind = {(log.topic, log.partition): end - positions[log] for log, end in ends.items()}
        return Lag(sum(behind.values()), behind)

    async def _positions(self) -> dict[Log, int]:
        """Where to read on, as the store says; the first call, and each one after a failure, assigns the partitions."""
        await trio.lowlevel.checkpoint()
        if self._next is None:
            self._next = await self._assign()
        return self._next

    async def _assign(self) -> dict[Log, int]:
        known = await self._in_store(self._store.positions)
        logs = await self._look_up(partial(self._reader.partitions_of, self._topics))
        found: dict[Log, int] = {}
        for log, start in (await self._look_up(partial(self._reader.starts, logs))).items():
            found[log] = known.get((log.topic, log.partition), start)
            if found[log] < start:
                raise JournalHeadLost(
                    f"{log} begins at offset {start}, but the read model has read up to {found[log]}: events were "
                    "removed before they were applied. Rebuild the read model, or restore the topic"
                )
        self._reader.assign(found)
        return found

    async def _step(self) -> bool:
        """Read what has come, and apply it; False if nothing came."""
        positions = await self._positions()
        try:
            return await self._apply_next(positions)
        except BaseException:
            self._next = None  # what was taken from the client may not be applied: it is read again
            raise

    async def _apply_next(self, positions: dict[Log, int]) -> bool:
        records = await self._reader.read(wanted=True)
        fresh = [record for record in records if record.offset >= positions[record.log]]
        for start in range(0, len(fresh), BATCH):
            await self._apply(fresh[start : start + BATCH], positions)
        passed = {log: end for log, end in self._reader.ends_reached.items() if end > positions[log]}
        for log, end in passed.items():  # after the last event come ends of transactions
            positions[log] = self._passed[log.topic, log.partition] = end
        if not records:
            await self._advance()
        return bool(fresh or passed)

    async def _advance(self) -> None:
        """Note in the store what was passed and brought no event; not for each batch: it is a transaction of its own."""
        await trio.lowlevel.checkpoint()
        passed, self._passed = self._passed, {}
        if passed:
            await self._in_store(partial(self._store.advance, passed))

    async def _apply(self, records: Sequence[RawEvent], positions: dict[Log, int]) -> None:
        await trio.lowlevel.checkpoint()
        events: list[ReceivedEvent] = []
        failure: Exception | None = None
        for record in records:
            try:
                events.append(received(self._decoder, record))
            except Exception as error:  # noqa: BLE001 - raised again behind what came before it
                failure = error
                break
        if events:
            self.applied += await self._apply_events(events)
            positions.update({Log(event.topic, event.partition): event.offset + 1 for event in events})
        if failure is not None:
            raise failure

    async def _apply_events(self, events: Sequence[ReceivedEvent]) -> int:
        try:
            return await self._in_store(partial(self._store.apply, events))
        except PersistenceError:
            raise
        except Exception as error:
            if len(events) == 1:
                raise apply_failed(events[0], error) from error
            raise ProjectionFailed(
                f"the store failed for a batch of {len(events)} events, the first one {_place(events[0])}: "
                f"{type(error).__name__}: {printable(str(error), 200)}. Nothing of the batch was applied"
            ) from error

    async def _look_up(self, question: Callable[[], T]) -> T:
        """Ask the brokers, in a thread that a cancellation leaves to its own time limit."""
        return await self._reader.look_up(question)

    async def _in_store(self, sync_fn: Callable[[], T]) -> T:
        """Call the store, in a thread, to its end: a transaction is not left in the middle."""
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)


def apply_failed(event: ReceivedEvent, error: Exception) -> ProjectionFailed:
    """The error for an event that could not be applied; raise it ``from error``."""
    failed = ProjectionFailed(
        f"{_place(event)} could not be applied: {type(error).__name__}: {printable(str(error), 200)}. Nothing of its batch "
        "was applied"
    )
    failed.partition, failed.sequence_nr = event.partition, event.sequence_nr
    return failed.about(event.persistence_id, event.topic, event.offset)


def _place(event: ReceivedEvent) -> str:
    number = f"event {event.sequence_nr} of {printable(event.persistence_id)}"
    return f"{number} ({event.topic}[{event.partition}]@{event.offset})"


def _reached(positions: Mapping[Log, int], ends: Mapping[Log, int]) -> bool:
    return all(positions[log] >= end for log, end in ends.items())
