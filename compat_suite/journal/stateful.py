"""A state machine: generated lists of operations, run on the subject and on the memory journal, compared call by call.

The operations know nothing about right answers: the model is `kafka_persist.memory`, the executable specification.
Operations that the subject does not declare are not generated.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import SequenceNrConflict, WriterFenced
from kafka_persist.memory import MemoryBackend, open_memory_journal
from kafka_persist.model import AtomicWrite, PersistentRepr

from ..engine.subject import JournalSubject, NotSerializable
from ..errors import BrokenPromise

IDS = ("one", "two")
Operation = tuple[Any, ...]


class Operations:
    """Which operations a subject takes part in."""

    def __init__(self, subject: JournalSubject) -> None:
        self._subject = subject

    def strategy(self, st: Any) -> Any:
        """Return a strategy for lists of operations."""
        name = st.sampled_from(IDS)
        number = st.integers(0, 12)
        limit = st.none() | st.integers(0, 5)
        sizes = st.integers(1, 4 if self._subject.has(Capability.MULTI_EVENT_ATOMIC_WRITES) else 1)
        kinds = [
            st.tuples(st.just("write"), name, st.lists(sizes, min_size=1, max_size=3), st.integers(0, 2)),
            st.tuples(st.just("replay"), name, number, number, limit),
            st.tuples(st.just("replay"), name, st.just(1), st.just(10**6), limit),
            st.tuples(st.just("highest"), name),
            st.tuples(st.just("claim"), name),
        ]
        optional = [
            (Capability.DELETES, ("delete", name, st.integers(-1, 15))),
            (Capability.REJECTS_UNSERIALIZABLE, ("reject", name, st.integers(0, 2))),
            (Capability.REFUSES_STALE_SEQUENCE_NRS, ("stale", name, st.integers(0, 3))),
            (Capability.FENCING, ("zombie", name)),
            (Capability.DURABLE, ("reopen",)),
        ]
        for capability, (kind, *arguments) in optional:
            usable = capability is not Capability.DELETES or self._deletes_anywhere()
            if self._subject.has(capability) and usable:
                kinds.append(st.tuples(st.just(kind), *arguments))
        return st.lists(st.one_of(kinds), min_size=1, max_size=25)

    def _deletes_anywhere(self) -> bool:
        return self._subject.has(Capability.DELETES_INSIDE_ATOMIC_WRITES) or not self._subject.has(
            Capability.MULTI_EVENT_ATOMIC_WRITES
        )


@attrs.define
class Actor:
    """Runs operations on one journal; the subject's and the model's actor do the same with the same names.

    A writer lives as long as its store: whoever opens the store again claims again, as every entity does.
    """

    names: dict[str, str]
    bad: object
    claimed: set[str] = attrs.field(factory=set)
    writers: dict[str, list[uuid.UUID]] = attrs.field(factory=lambda: {name: [] for name in IDS})

    async def run(self, journal: Journal, operation: Operation) -> object:
        """Run one operation and return what can be compared."""
        kind, *arguments = operation
        action: Callable[..., Awaitable[object]] = getattr(self, f"_{kind}")
        try:
            return await action(journal, *arguments)
        except (SequenceNrConflict, WriterFenced) as error:
            return type(error).__name__

    async def _writer(self, journal: Journal, name: str) -> uuid.UUID:
        if name not in self.claimed:
            await self._claim(journal, name)
        return self.writers[name][-1]

    async def _claim(self, journal: Journal, name: str) -> object:
        self.claimed.add(name)
        self.writers[name].append(uuid.uuid4())
        return await journal.claim(self.names[name], self.writers[name][-1])

    async def _event(self, journal: Journal, name: str, number: int, payload: object) -> PersistentRepr:
        writer = await self._writer(journal, name)
        return PersistentRepr(persistence_id=self.names[name], sequence_nr=number, payload=payload, writer=writer)

    async def _write(self, journal: Journal, name: str, sizes: list[int], hole: int) -> object:
        await self._writer(journal, name)
        number = await journal.highest_sequence_nr(self.names[name]) + 1 + hole
        writes = []
        for size in sizes:
            events = [await self._event(journal, name, number + step, f"event-{number + step}") for step in range(size)]
            writes.append(AtomicWrite(events))
            number += size
        return [result is None for result in await journal.write(writes)]

    async def _reject(self, journal: Journal, name: str, place: int) -> object:
        await self._writer(journal, name)
        number = await journal.highest_sequence_nr(self.names[name]) + 1
        writes = [
            AtomicWrite([await self._event(journal, name, number + step, self.bad if step == place else "good")])
            for step in range(3)
        ]
        return [result is None for result in await journal.write(writes)]

    async def _stale(self, journal: Journal, name: str, back: int) -> object:
        await self._writer(journal, name)
        number = max(1, await journal.highest_sequence_nr(self.names[name]) - back)
        event = await self._event(journal, name, number, "stale")
        return [result is None for result in await journal.write([AtomicWrite([event])])]

    async def _zombie(self, journal: Journal, name: str) -> object:
        await self._writer(journal, name)
        number = await journal.highest_sequence_nr(self.names[name]) + 1
        writer = self.writers[name][0]
        event = PersistentRepr(persistence_id=self.names[name], sequence_nr=number, payload="zombie", writer=writer)
        return [result is None for result in await journal.write([AtomicWrite([event])])]

    async def _replay(self, journal: Journal, name: str, low: int, high: int, limit: int | None) -> object:
        async with journal.replay(
            self.names[name], from_sequence_nr=low, to_sequence_nr=high, max_events=limit
        ) as channel:
            return [(event.sequence_nr, event.payload) async for event in channel]

    async def _highest(self, journal: Journal, name: str) -> object:
        return await journal.highest_sequence_nr(self.names[name])

    async def _delete(self, journal: Journal, name: str, number: int) -> object:
        await journal.delete_to(self.names[name], number)
        return None


def _lives(operations: list[Operation]) -> list[list[Operation]]:
    """Cut a list of operations at the restarts."""
    lives: list[list[Operation]] = [[]]
    for operation in operations:
        if operation[0] == "reopen":
            lives.append([])
        else:
            lives[-1].append(operation)
    return lives


async def check_against_model(subject: JournalSubject, operations: list[Operation]) -> None:
    """Run the operations on both and compare each outcome, then the whole of what is stored."""
    ours = Actor({name: subject.id(name) for name in IDS}, subject.options.unserializable)
    model = Actor({name: name for name in IDS}, NotSerializable())
    last = [("replay", name, 1, 10**6, None) for name in IDS] + [("highest", name) for name in IDS]
    lives = _lives(operations)
    lives[-1] += last
    async with open_memory_journal(MemoryBackend()) as specification:
        for number, life in enumerate(lives, 1):
            ours.claimed.clear()
            model.claimed.clear()
            async with subject.open() as journal:
                for operation in life:
                    expected = await model.run(specification, operation)
                    got = await ours.run(journal, operation)
                    if got != expected:
                        raise BrokenPromise(
                            f"life {number}, {operation}: the model says {expected}, the journal {got}\n"
                            f"(seed {subject.options.seed}; all operations: {operations})"
                        )
