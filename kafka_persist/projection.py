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
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from ._consuming.decoding import EventDecoder
from ._consuming.stream import ReceivedEvent, received
from .config import JournalConfig
from .driver import Log, TopicSpec
from .errors import JournalHeadLost, UsageError
from .naming import is_legal_topic_name
from .serialization import Serializer

if TYPE_CHECKING:
    from ._kafka.group import EventReader, RawEvent

__all__ = ["Lag", "Projection", "ProjectionStore", "open_projection"]

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
        """In one transaction: change the read model for each event, and store the positions behind them.

        An event whose sequence number is not above the last one of its persistence id in its topic changes nothing.

        Returns:
            How many events changed the read model.

        Raises:
            Exception: whatever the user's function raised; nothing of the batch was stored.
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
    names = [topics] if isinstance(topics, str) else list(topics)
    if not names or not all(is_legal_topic_name(name) for name in names):
        raise UsageError(f"topics must be one or more names of topics, not {topics!r}")
    from ._kafka.consumers import open_event_reader

    settings = config.event_topic_settings()
    specs = [TopicSpec(name, config.event_producer.partitions, settings, role="events") for name in names]
    async with open_event_reader(config, specs, start="earliest") as reader:
        yield Projection(reader, names, store, EventDecoder(serializer))


class Projection:
    """Applies published events to a store; opened by `open_projection`, used by one task."""

    def __init__(
        self, reader: EventReader, topics: Sequence[str], store: ProjectionStore, decoder: EventDecoder
    ) -> None:
        self._reader = reader
        self._topics = topics
        self._store = store
        self._decoder = decoder
        self._limiter = trio.CapacityLimiter(1)
        self._next: dict[Log, int] | None = None
        self._passed: dict[tuple[str, int], int] = {}
        self.applied: int = 0
        """Events that changed the read model, since it was opened."""

    def __repr__(self) -> str:
        return f"<Projection of {', '.join(self._topics)}, {self.applied} events applied>"

    async def run(self) -> None:
        """Apply events as they come, for ever.

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
            BrokerError: the broker did not answer, or refused.
            Exception: what the store or the user's function raised; the batch was not applied.
        """
        ends = await self._in_thread(partial(self._reader.ends, list(await self._positions())))
        while not _reached(await self._positions(), ends):
            await self._step()
        await self._advance()

    async def rebuild(self) -> None:
        """Empty the read model, then apply everything from the beginning of the topics.

        Raises: as `catch_up`.
        """
        await self._in_thread(self._store.clear)
        self._next = None
        await self.catch_up()

    async def lag(self) -> Lag:
        """How far the stored positions are behind the ends of the topics.

        Raises:
            BrokerError: the broker did not answer.
        """
        positions = dict(await self._positions())
        ends: dict[Log, int] = await self._in_thread(partial(self._reader.ends, positions))
        behind = {(log.topic, log.partition): end - positions[log] for log, end in ends.items()}
        return Lag(sum(behind.values()), behind)

    async def _positions(self) -> dict[Log, int]:
        """Where to read on, as the store says; the first call assigns the partitions."""
        await trio.lowlevel.checkpoint()
        found = self._next
        if found is None:
            found = self._next = await self._in_thread(self._assign)
        return found

    def _assign(self) -> dict[Log, int]:
        known = self._store.positions()
        found: dict[Log, int] = {}
        for log, start in self._reader.starts(self._reader.partitions_of(self._topics)).items():
            found[log] = known.get((log.topic, log.partition), start)
            if found[log] < start:
                raise JournalHeadLost(
                    f"{log} begins at offset {start}, but the read model has read up to {found[log]}: events were "
                    "removed before they were applied. Rebuild the read model, or restore the topic"
                )
        self._reader.assign(found)
        return found

    async def _step(self) -> None:
        """Read what has come, and apply it."""
        positions = await self._positions()
        records: Sequence[RawEvent] = await self._in_thread(partial(self._reader.read, wanted=True))
        fresh = [record for record in records if record.offset >= positions[record.log]]
        for start in range(0, len(fresh), BATCH):
            await self._apply(fresh[start : start + BATCH], positions)
        for log, end in self._reader.ends_reached.items():
            if end > positions[log]:  # behind the last event are ends of transactions
                positions[log] = self._passed[log.topic, log.partition] = end
        if not records:
            await self._advance()

    async def _advance(self) -> None:
        """Note in the store what was passed and brought no event; not for each batch: it is a transaction of its own."""
        await trio.lowlevel.checkpoint()
        passed, self._passed = self._passed, {}
        if passed:
            await self._in_thread(partial(self._store.advance, passed))

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
        try:
            if events:
                done: int = await self._in_thread(partial(self._store.apply, events))
                self.applied += done
                positions.update({Log(event.topic, event.partition): event.offset + 1 for event in events})
        except BaseException:
            self._next = None  # read again what was not applied
            raise
        if failure is not None:
            self._next = None
            raise failure

    async def _in_thread(self, sync_fn: Callable[[], Any]) -> Any:
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)


def _reached(positions: Mapping[Log, int], ends: Mapping[Log, int]) -> bool:
    return all(positions[log] >= end for log, end in ends.items())
