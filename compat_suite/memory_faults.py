"""The faults adapter of the memory stores: a network that loses, delays and holds, in front of a memory backend."""

from __future__ import annotations

import contextlib
import copy
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar
from uuid import UUID

import attrs
import trio

from kafka_persist.abc import Capability, Journal, ReplayChannel, SnapshotStore
from kafka_persist.errors import ConnectError, PersistenceError, RecoveryStalled, WriteOutcomeUnknown, WriterFenced
from kafka_persist.memory import MemoryBackend, open_memory_journal, open_memory_snapshot_store
from kafka_persist.model import (
    LATEST,
    MAX_SEQUENCE_NR,
    AtomicWrite,
    PersistentRepr,
    Rejection,
    SelectedSnapshot,
    SelectionCriteria,
    SnapshotMetadata,
)

from .adapters import Faults

T = TypeVar("T")


@attrs.define(eq=False)
class Network:
    """What happens to requests on their way to the backend."""

    delivery_time: float
    up: bool = True
    lose_next: bool = False
    delay_next: bool = False
    delayed: list[Callable[[], Awaitable[object]]] = attrs.field(factory=list)
    held: dict[str | None, trio.Event] = attrs.field(factory=dict)
    turns: defaultdict[str, trio.Lock] = attrs.field(factory=lambda: defaultdict(trio.Lock))

    def check_up(self) -> None:
        """Raise if the backend is down."""
        if not self.up:
            raise ConnectError("the backend does not answer: it is stopped")

    def hold_of(self, persistence_id: str) -> trio.Event | None:
        """Return what requests of this id wait for, if anything."""
        return self.held.get(persistence_id, self.held.get(None))

    async def ask(self, persistence_id: str, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request that only reads, or that is safe to repeat."""
        self.check_up()
        hold = self.hold_of(persistence_id)
        if hold is not None:
            with trio.move_on_after(self.delivery_time):
                await hold.wait()
            if self.hold_of(persistence_id) is not None:
                raise RecoveryStalled(f"the backend did not answer within {self.delivery_time:g} s")
        self.check_up()
        return await request()

    async def store(self, persistence_id: str, request: Callable[[], Awaitable[T]]) -> T:
        """Send a write: handed over, so shielded and bounded by the delivery time."""
        self.check_up()
        answers: list[T] = []
        with trio.CancelScope(shield=True):
            answers.append(await self._deliver(persistence_id, request))
        return answers[0]

    async def _deliver(self, persistence_id: str, request: Callable[[], Awaitable[T]]) -> T:
        hold = self.hold_of(persistence_id)
        if hold is not None:
            with trio.move_on_after(self.delivery_time):
                await hold.wait()
        if self.hold_of(persistence_id) is not None or not self.up or self.delay_next:
            self.delay_next = False
            self.delayed.append(request)
            raise WriteOutcomeUnknown(f"no acknowledgement within {self.delivery_time:g} s; claim the id again")
        answer = await request()
        if self.lose_next:
            self.lose_next = False
            raise WriteOutcomeUnknown("the acknowledgement was lost; claim the id again")
        return answer

    async def land(self) -> None:
        """Let the delayed writes reach the backend."""
        waiting, self.delayed = self.delayed, []
        for request in waiting:
            with contextlib.suppress(PersistenceError):  # the backend refuses it if its writer was fenced meanwhile
                await request()


class FaultyJournal(Journal):
    """A memory journal behind a network."""

    def __init__(self, inner: Journal, network: Network) -> None:
        self._inner = inner
        self._network = network
        self._finished: set[tuple[str, UUID]] = set()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the memory journal."""
        return self._inner.capabilities

    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """Forward, in turn."""
        async with self._network.turns[persistence_id]:
            return await self._network.ask(persistence_id, lambda: self._inner.claim(persistence_id, writer))

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """Forward each write, in turn."""
        sent = copy.deepcopy(list(writes))
        if not sent:
            return await self._inner.write(sent)
        return [await self._write(write) for write in sent]

    async def _write(self, write: AtomicWrite) -> Rejection | None:
        name = write.persistence_id
        async with self._network.turns[name]:
            if (name, write.writer) in self._finished:
                raise WriterFenced(f"writer {write.writer} is finished after an unknown outcome; claim the id again")
            try:
                return (await self._network.store(name, lambda: self._inner.write([write])))[0]
            except WriteOutcomeUnknown as error:
                self._finished.add((name, write.writer))
                raise WriteOutcomeUnknown(str(error), results=[error]) from error

    @asynccontextmanager
    async def _replay(
        self, persistence_id: str, open_inner: Callable[[], AbstractAsyncContextManager[ReplayChannel]]
    ) -> AsyncGenerator[ReplayChannel]:
        await self._network.ask(persistence_id, trio.lowlevel.checkpoint)
        async with open_inner() as channel:
            yield FaultyChannel(persistence_id, channel, self._network)

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """Forward; each event is a request."""
        return self._replay(
            persistence_id,
            lambda: self._inner.replay(
                persistence_id, from_sequence_nr=from_sequence_nr, to_sequence_nr=to_sequence_nr, max_events=max_events
            ),
        )

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """Forward, in turn: behind the writes that are under way."""
        async with self._network.turns[persistence_id]:
            return await self._network.ask(persistence_id, lambda: self._inner.highest_sequence_nr(persistence_id))

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """Forward, in turn."""
        async with self._network.turns[persistence_id]:
            await self._network.ask(persistence_id, lambda: self._inner.delete_to(persistence_id, to_sequence_nr))


class FaultyChannel(trio.abc.ReceiveChannel[PersistentRepr]):
    """A replay behind a network."""

    def __init__(self, persistence_id: str, inner: ReplayChannel, network: Network) -> None:
        self._persistence_id = persistence_id
        self._inner = inner
        self._network = network

    async def receive(self) -> PersistentRepr:
        """Ask for the next event."""
        return await self._network.ask(self._persistence_id, self._inner.receive)

    async def aclose(self) -> None:
        """Forward."""
        await self._inner.aclose()


class FaultySnapshotStore(SnapshotStore):
    """A memory snapshot store behind a network."""

    def __init__(self, inner: SnapshotStore, network: Network) -> None:
        self._inner = inner
        self._network = network

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the memory store."""
        return self._inner.capabilities

    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        """Forward."""
        return await self._network.store(metadata.persistence_id, lambda: self._inner.save(metadata, snapshot))

    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        """Forward."""
        return await self._network.ask(persistence_id, lambda: self._inner.load(persistence_id, criteria))

    async def delete(self, metadata: SnapshotMetadata) -> None:
        """Forward."""
        await self._network.ask(metadata.persistence_id, lambda: self._inner.delete(metadata))

    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        """Forward."""
        await self._network.ask(persistence_id, lambda: self._inner.delete_matching(persistence_id, criteria))


class MemoryFaults(Faults):
    """Faults for the memory stores."""

    def __init__(self, delivery_time: float = 0.05) -> None:
        self.delivery_time = delivery_time
        self.network = Network(delivery_time)
        self._backend = MemoryBackend()

    def open_journal(self) -> AbstractAsyncContextManager[Journal]:
        """Open a memory journal behind the network."""
        return self._open_journal()

    def wrap(self, inner: Journal) -> Journal:
        """Put the network in front of a journal."""
        return FaultyJournal(inner, self.network)

    @asynccontextmanager
    async def _open_journal(self) -> AsyncGenerator[Journal]:
        self.network.check_up()
        async with open_memory_journal(self._backend) as inner:
            yield self.wrap(inner)

    def open_snapshot_store(self) -> AbstractAsyncContextManager[SnapshotStore]:
        """Open a memory snapshot store behind the network."""
        return self._open_snapshot_store()

    @asynccontextmanager
    async def _open_snapshot_store(self) -> AsyncGenerator[SnapshotStore]:
        self.network.check_up()
        async with open_memory_snapshot_store(self._backend) as inner:
            yield FaultySnapshotStore(inner, self.network)

    async def lose_acknowledgement(self) -> None:
        """See `Faults`."""
        self.network.lose_next = True

    async def delay_write(self) -> None:
        """See `Faults`."""
        self.network.delay_next = True

    async def land(self) -> None:
        """See `Faults`."""
        await self.network.land()

    async def stop(self) -> None:
        """See `Faults`."""
        self.network.up = False

    async def start(self) -> None:
        """See `Faults`."""
        self.network.up = True

    async def hold(self, persistence_id: str | None = None) -> None:
        """See `Faults`."""
        self.network.held.setdefault(persistence_id, trio.Event())

    async def release(self) -> None:
        """See `Faults`."""
        held, self.network.held = self.network.held, {}
        for event in held.values():
            event.set()
        await self.network.land()


@asynccontextmanager
async def open_memory_faults() -> AsyncGenerator[Faults]:
    """Open the adapter."""
    yield MemoryFaults()
