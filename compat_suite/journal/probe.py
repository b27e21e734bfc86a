"""A probe writes the events of one id in one open journal, and knows what a replay must give back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from kafka_persist.abc import Capability, Journal
from kafka_persist.model import MAX_SEQUENCE_NR, AtomicWrite, PersistentRepr, Rejection

from ..engine.expect import expect, expect_event, expect_numbers
from ..engine.subject import JournalSubject

Batch = int | Sequence[int]
"""One atomic write: a sequence number or several."""


@attrs.define(eq=False)
class JournalProbe:
    """One writer of one id.

    Attributes:
        subject: whose journal it is.
        journal: open.
        persistence_id: of a case alone.
        writer: an incarnation.
        written: what was acknowledged, by sequence number; shared by all writers of the id.
        left: what a case found and expects to find again.
    """

    subject: JournalSubject
    journal: Journal
    persistence_id: str
    writer: uuid.UUID = attrs.field(factory=uuid.uuid4)
    written: dict[int, PersistentRepr] = attrs.field(factory=dict)
    left: list[int] = attrs.field(factory=list)

    def event(self, sequence_nr: int, **changes: Any) -> PersistentRepr:
        """Make an event."""
        fields = {"payload": self.subject.payload(sequence_nr), **changes}
        return PersistentRepr(persistence_id=self.persistence_id, sequence_nr=sequence_nr, writer=self.writer, **fields)

    def batch(self, *sequence_nrs: int) -> AtomicWrite:
        """Make an atomic write."""
        return AtomicWrite(tuple(self.event(number) for number in sequence_nrs))

    async def claim(self) -> int:
        """Take the id over."""
        return await self.journal.claim(self.persistence_id, self.writer)

    async def submit(self, *writes: AtomicWrite) -> Sequence[Rejection | None]:
        """Write and note what was acknowledged."""
        results = await self.journal.write(writes)
        expect(len(results), len(writes), "the number of results of one write call")
        for write, result in zip(writes, results, strict=True):
            if result is None:
                self.wrote([write])
        return results

    async def submit_event(self, event: PersistentRepr) -> None:
        """Write one event; it must be stored or refused."""
        expect(list(await self.submit(AtomicWrite((event,)))), [None], "the result of a write")

    def wrote(self, writes: Iterable[AtomicWrite]) -> None:
        """Note what is stored."""
        self.written.update({event.sequence_nr: event for write in writes for event in write.events})

    def split(self, batches: Iterable[Batch]) -> list[AtomicWrite]:
        """Make atomic writes, one event each where the subject stores no larger ones."""
        whole = self.subject.has(Capability.MULTI_EVENT_ATOMIC_WRITES)
        writes: list[AtomicWrite] = []
        for batch in batches:
            several = [batch] if isinstance(batch, int) else list(batch)
            writes += [self.batch(*several)] if whole else [self.batch(number) for number in several]
        return writes

    async def stored(self, *batches: Batch) -> None:
        """Write in one call and check that everything was stored."""
        writes = self.split(batches)
        results = await self.submit(*writes)
        expect(list(results), [None] * len(writes), "the results of a write of plain events")

    async def replay(
        self, low: int = 1, high: int = MAX_SEQUENCE_NR, max_events: int | None = None
    ) -> list[PersistentRepr]:
        """Return the events of a replay."""
        async with self.journal.replay(
            self.persistence_id, from_sequence_nr=low, to_sequence_nr=high, max_events=max_events
        ) as channel:
            return [event async for event in channel]

    async def shows(
        self, expected: Iterable[int], low: int = 1, high: int = MAX_SEQUENCE_NR, max_events: int | None = None
    ) -> None:
        """Check that a replay gives exactly these events, each as it was written."""
        events = await self.replay(low, high, max_events)
        expect_numbers([event.sequence_nr for event in events], expected, "the replay")
        for event in events:
            if event.sequence_nr in self.written:
                expect_event(event, self.written[event.sequence_nr])

    async def highest_is(self, expected: int) -> None:
        """Check the highest sequence number."""
        expect(await self.journal.highest_sequence_nr(self.persistence_id), expected, "the highest sequence number")

    async def delete_to(self, to_sequence_nr: int) -> None:
        """Delete."""
        await self.journal.delete_to(self.persistence_id, to_sequence_nr)

    def at(self, journal: Journal) -> JournalProbe:
        """Return the same writer in another open journal."""
        return attrs.evolve(self, journal=journal)

    def successor(self, journal: Journal | None = None) -> JournalProbe:
        """Return a probe with a new writer for the same id, in the same or another open journal."""
        return attrs.evolve(self, journal=journal or self.journal, writer=uuid.uuid4())

    async def next_writer(self, journal: Journal | None = None) -> tuple[JournalProbe, int]:
        """Let a new writer claim the id; return its probe and the highest sequence number that the claim gave."""
        probe = self.successor(journal)
        return probe, await probe.claim()


async def new_probe(
    subject: JournalSubject, journal: Journal, label: str = "a", *, exact: bool = False
) -> JournalProbe:
    """Return a probe for a new id (`label` is the whole id if `exact`), claimed."""
    probe = JournalProbe(subject, journal, label if exact else subject.id(label))
    await probe.claim()
    return probe


@asynccontextmanager
async def open_probe(subject: JournalSubject, label: str = "a") -> AsyncGenerator[JournalProbe]:
    """Open the journal and claim a new id."""
    async with subject.open() as journal:
        yield await new_probe(subject, journal, label)


FIVE: tuple[Batch, ...] = (1, 2, 3, (4, 5))
"""The fixture of the existing suites: five events, the last two in one atomic write."""


@asynccontextmanager
async def open_five(subject: JournalSubject) -> AsyncGenerator[JournalProbe]:
    """Open the journal and store five events of a new id in one call."""
    async with open_probe(subject) as probe:
        await probe.stored(*FIVE)
        yield probe
