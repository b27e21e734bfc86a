"""The journal in memory: the contract of `kafka_persist.abc.Journal`, written down as plainly as possible.

Each method does its work in one go, without yielding, so that calls take effect in the order in which they are made;
the checkpoint comes before (a cancelled call does nothing) or after it (the work is done and its result returned).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import attrs
import trio

from kafka_persist.abc import Capability, Journal, ReplayChannel
from kafka_persist.errors import (
    SequenceNrConflict,
    SerializationError,
    StoreClosed,
    StoredDataError,
    WriterFenced,
    printable,
)
from kafka_persist.model import MAX_SEQUENCE_NR, AtomicWrite, PersistentRepr, Rejection, check_persistence_id
from kafka_persist.serialization import Serializer

from .backend import EncodedValue, EventLog, MemoryBackend, StoredEvent
from .sizes import KafkaSizes

if TYPE_CHECKING:
    from kafka_persist.errors import WriteResult

SNAPSHOT_ONLY = frozenset({Capability.MULTIPLE_SNAPSHOTS, Capability.SNAPSHOT_FALLBACK})


class MemoryJournal(Journal):
    """A journal over a `MemoryBackend`; opened by `open_memory_journal`."""

    def __init__(
        self,
        backend: MemoryBackend,
        serializer: Serializer,
        *,
        max_write_bytes: int,
        durable: bool,
        sizes: KafkaSizes | None = None,
    ) -> None:
        self._backend = backend
        self._serializer = serializer
        self._max_write_bytes = max_write_bytes
        self._sizes = sizes
        self._closed = False
        self._capabilities = frozenset(Capability) - SNAPSHOT_ONLY - (frozenset() if durable else {Capability.DURABLE})

    def __repr__(self) -> str:
        return f"<MemoryJournal {'closed' if self._closed else 'open'}, {len(self._backend.logs)} ids>"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; `Capability.DURABLE` only on a backend that the caller keeps."""
        return self._capabilities

    def close(self) -> None:
        """Refuse every later call."""
        self._closed = True

    async def _begin(self) -> None:
        """Raise if cancelled or closed; does not yield otherwise."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.check_open()

    def check_open(self) -> None:
        """Raise `StoreClosed` after the end of the block."""
        if self._closed:
            raise StoreClosed("this memory journal is closed; use it inside its `async with` block")

    # --- writing --------------------------------------------------------------------------------------------------

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """See `Journal.claim`."""
        await self._begin()
        log = self._backend.log_to_change(check_persistence_id(persistence_id))
        log.writer = writer
        highest = log.highest
        await trio.lowlevel.cancel_shielded_checkpoint()
        return highest

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """See `Journal.write`."""
        await self._begin()
        encoded = [self._encode(write) for write in writes]
        self._check_sequence_nrs(writes, encoded)
        results = [self._store(write, events) for write, events in zip(writes, encoded, strict=True)]
        await trio.lowlevel.cancel_shielded_checkpoint()
        return self._answer(results)

    def _encode(self, write: AtomicWrite) -> list[EncodedValue] | Rejection:
        """Encode all events of a write, or say why the whole write is rejected."""
        try:
            encoded = [EncodedValue.of(self._serializer, event.payload, event.metadata) for event in write.events]
            if self._sizes is not None:
                too_large = self._sizes.rejection(write, self._serializer, self._backend.clock())
                if too_large is not None:
                    return too_large
        except SerializationError as error:
            return Rejection(str(error), error)
        size = sum(value.size for value in encoded)
        if size > self._max_write_bytes:
            return Rejection(f"the write has {size} bytes, the limit is {self._max_write_bytes} bytes")
        return encoded

    def _check_sequence_nrs(
        self, writes: Sequence[AtomicWrite], encoded: Sequence[list[EncodedValue] | Rejection]
    ) -> None:
        """Refuse the call if a write that would be stored does not start above its id's highest sequence number."""
        highest: dict[str, int] = {}
        for write, events in zip(writes, encoded, strict=True):
            log = self._backend.log(write.persistence_id)
            if isinstance(events, Rejection) or write.writer != log.writer:
                continue
            last = highest.get(write.persistence_id, log.highest)
            if write.first_sequence_nr <= last:
                raise SequenceNrConflict(
                    f"{printable(write.persistence_id)}: a write starts at {write.first_sequence_nr}, but the highest "
                    f"sequence number is {last}; claim the id again and go on above what the claim returns"
                )
            highest[write.persistence_id] = write.last_sequence_nr

    def _store(self, write: AtomicWrite, encoded: list[EncodedValue] | Rejection) -> WriteResult:
        if isinstance(encoded, Rejection):
            return encoded
        log = self._backend.log(write.persistence_id)
        if write.writer != log.writer:
            return WriterFenced(
                f"{printable(write.persistence_id)}: writer {write.writer} does not hold the id "
                f"({'nobody does' if log.writer is None else 'another writer claimed it'}); claim it first"
            )
        pairs = zip(write.events, encoded, strict=True)
        log.append([StoredEvent(self._stamped(event, log), value) for event, value in pairs])
        return None

    def _stamped(self, event: PersistentRepr, log: EventLog) -> PersistentRepr:
        """Return the fields to store: without the values that are stored encoded, with a timestamp."""
        timestamp = event.timestamp or max(self._backend.clock(), log.timestamp)
        return attrs.evolve(event, payload=None, metadata=None, timestamp=timestamp)

    @staticmethod
    def _answer(results: Sequence[WriteResult]) -> Sequence[Rejection | None]:
        answers: list[Rejection | None] = []
        for result in results:
            if isinstance(result, Exception):
                raise WriterFenced(str(result), results=results) from result
            answers.append(result)
        return answers

    # --- reading --------------------------------------------------------------------------------------------------

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """See `Journal.replay`."""
        return self._replay(persistence_id, from_sequence_nr, to_sequence_nr, max_events)

    @asynccontextmanager
    async def _replay(
        self, persistence_id: str, low: int, high: int, max_events: int | None
    ) -> AsyncGenerator[ReplayChannel]:
        await self._begin()
        high = min(high, self._backend.log(check_persistence_id(persistence_id)).highest)
        channel = MemoryReplay(self, persistence_id, low, high, max_events)
        await trio.lowlevel.cancel_shielded_checkpoint()
        async with channel:
            yield channel

    def next_event(self, persistence_id: str, low: int, high: int) -> PersistentRepr | None:
        """Return the first event from `low` to `high`, decoded; None if there is none.

        Raises:
            StoredDataError: it cannot be returned; the message names id and sequence number.
        """
        stored = self._backend.log(persistence_id).first_from(low)
        if stored is None or stored.fields.sequence_nr > high:
            return None
        try:
            return stored.load(self._serializer)
        except StoredDataError as error:
            raise type(error)(f"{printable(persistence_id)} #{stored.fields.sequence_nr}: {error}") from error

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """See `Journal.highest_sequence_nr`."""
        await self._begin()
        highest = self._backend.log(check_persistence_id(persistence_id)).highest
        await trio.lowlevel.cancel_shielded_checkpoint()
        return highest

    def persistence_ids(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[str]]:
        """See `Journal.persistence_ids`."""
        return self._persistence_ids()

    @asynccontextmanager
    async def _persistence_ids(self) -> AsyncGenerator[trio.abc.ReceiveChannel[str]]:
        await self._begin()
        written = [persistence_id for persistence_id, log in self._backend.logs.items() if log.highest]
        send, receive = trio.open_memory_channel[str](len(written))
        with send, receive:
            for persistence_id in written:
                send.send_nowait(persistence_id)
            send.close()
            await trio.lowlevel.cancel_shielded_checkpoint()
            yield receive

    # --- deleting -------------------------------------------------------------------------------------------------

    def deleted_to(self, persistence_id: str) -> int:
        """See `Journal.deleted_to`."""
        return self._backend.log(persistence_id).floor

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """See `Journal.delete_to`."""
        await self._begin()
        self._backend.log(check_persistence_id(persistence_id)).delete_to(to_sequence_nr)
        await trio.lowlevel.cancel_shielded_checkpoint()


class MemoryReplay(trio.abc.ReceiveChannel[PersistentRepr]):
    """One replay: a position in the log. Holds no events, so its memory does not depend on their number."""

    def __init__(
        self, journal: MemoryJournal, persistence_id: str, low: int, high: int, max_events: int | None
    ) -> None:
        self._journal = journal
        self._persistence_id = persistence_id
        self._position = low
        self._high = high
        self._left = MAX_SEQUENCE_NR if max_events is None else max_events
        self._closed = False

    async def receive(self) -> PersistentRepr:
        """Return the next event.

        Raises:
            trio.EndOfChannel: there are no more.
            StoredDataError: the next event cannot be returned; no event after it is delivered.
        """
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError("this replay is closed; use it inside its `async with` block")
        self._journal.check_open()
        event = self._journal.next_event(self._persistence_id, self._position, self._high) if self._left > 0 else None
        if event is None:
            raise trio.EndOfChannel
        self._position = event.sequence_nr + 1
        self._left -= 1
        return event

    async def aclose(self) -> None:
        """Refuse every later call."""
        self._closed = True
        await trio.lowlevel.checkpoint()
