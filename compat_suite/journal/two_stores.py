"""Promises about two stores that are open at once on one backend: what one does, the other one sees."""

from __future__ import annotations

from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import SequenceNrConflict, WriterFenced
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.expect import expect, raises
from ..engine.subject import JournalSubject
from .probe import JournalProbe

DURABLE = [Capability.DURABLE]
ELSEWHERE = ["elsewhere"]


class TwoStoreCases(Promises):
    """Two open stores."""

    group = "Two stores at once"

    @case(requires=DURABLE, limit=20.0)
    async def test_another_store_sees_writes_and_deletes(self, subject: JournalSubject) -> None:
        """X1, H2. A store that has read an id sees what another one then writes and deletes: events, highest, windows.

        Why: what a store remembers of an id is wrong as soon as another process writes.
        """
        async with subject.open() as one, subject.open() as two:
            await _sees(subject, one, two)

    @case(requires=DURABLE, needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_another_process_sees_writes_and_deletes(self, subject: JournalSubject) -> None:
        """X1, H2. The same with a store in another process, in both directions.

        Why: what stores of one process share hides what processes do not share.
        """
        async with subject.open() as one, subject.open_elsewhere() as two:
            await _sees(subject, one, two)
            await _sees(subject, two, one)

    @case(requires=[*DURABLE, Capability.FENCING], limit=20.0)
    async def test_writers_change_between_two_stores(self, subject: JournalSubject) -> None:
        """C4, X1. Claims move back and forth between two stores; each finds the highest number and fences the other writer.

        Why: an id that moves between two processes comes back to one that remembers it.
        """
        async with subject.open() as one, subject.open() as two:
            await _move(subject, one, two)

    @case(requires=[*DURABLE, Capability.FENCING], needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_writers_change_between_two_processes(self, subject: JournalSubject) -> None:
        """C4, X1. The same between two processes.

        Why: this is every deployment.
        """
        async with subject.open() as one, subject.open_elsewhere() as two:
            await _move(subject, one, two)

    @case(requires=[*DURABLE, Capability.DELETES], limit=20.0)
    async def test_a_delete_elsewhere_is_clamped_to_what_is_there(self, subject: JournalSubject) -> None:
        """D2, C18. A store deletes everything that another one wrote after the first had last looked, and nothing later.

        Why: clamped to what the store remembers, the delete leaves events; not clamped, it hides later ones.
        """
        async with subject.open() as one, subject.open() as two:
            await _deletes(subject, one, two)

    @case(requires=[*DURABLE, Capability.DELETES], needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_a_delete_in_another_process_is_clamped_to_what_is_there(self, subject: JournalSubject) -> None:
        """D2, C18. The same from another process, in both directions.

        Why: retention runs where no entity does.
        """
        async with subject.open() as one, subject.open_elsewhere() as two:
            await _deletes(subject, one, two)
            await _deletes(subject, two, one)

    @case(requires=[*DURABLE, Capability.REFUSES_STALE_SEQUENCE_NRS], limit=20.0)
    async def test_numbers_used_in_another_store_are_refused(self, subject: JournalSubject) -> None:
        """W8, X1. A number that was written through one store is refused by the other one.

        Why: without fencing the number is all that keeps two writers apart.
        """
        async with subject.open() as one, subject.open() as two:
            probe = JournalProbe(subject, one, subject.id())
            await probe.claim()
            await probe.stored(1)
            other = JournalProbe(subject, two, probe.persistence_id, probe.writer, probe.written)
            await other.highest_is(1)
            await probe.stored(2, 3)
            refusals = (SequenceNrConflict, *[WriterFenced] * subject.has(Capability.FENCING))
            with raises(refusals, "writing #2 through the other store"):
                await two.write([other.batch(2)])
            await other.shows([1, 2, 3])

    @case(requires=DURABLE, needs=ELSEWHERE, threads=True, limit=30.0)
    async def test_independent_ids_of_two_processes_do_not_wait_for_each_other(self, subject: JournalSubject) -> None:
        """C1, C5. Two processes write ids of their own in turns; both go on, and both see all of it.

        Why: this is a system with two processes on a normal day.
        """
        mine, theirs = subject.independent_ids(2)
        async with subject.open() as one, subject.open_elsewhere() as two:
            here, there = JournalProbe(subject, one, mine), JournalProbe(subject, two, theirs)
            await here.claim()
            await there.claim()
            for number in range(1, 11):
                await here.stored(number)
                await there.stored(number)
            await here.at(two).shows(range(1, 11))
            await there.at(one).shows(range(1, 11))


async def _sees(subject: JournalSubject, writing: Journal, reading: Journal) -> None:
    probe = JournalProbe(subject, writing, subject.id())
    other = probe.at(reading)
    await other.highest_is(0)  # the reader remembers that there is nothing
    await other.shows([])
    await probe.claim()
    for number in (1, 3, 6):
        await probe.stored(number, number + 1)
        await other.highest_is(number + 1)
        numbers = [n for first in (1, 3, 6) for n in (first, first + 1) if n <= number + 1]
        await other.shows(numbers)
        await other.shows(numbers[-1:], number + 1)
        await other.shows(numbers[:2], max_events=2)
    if not subject.has(Capability.DELETES):
        return
    for floor in (2, 4):
        await probe.delete_to(floor)
        await other.shows([n for n in (1, 2, 3, 4, 6, 7) if n > floor])
        await other.shows([], 1, floor)
        await other.highest_is(7)
    await probe.delete_to(MAX_SEQUENCE_NR)
    await other.shows([])
    await other.highest_is(7)
    await probe.stored(8)
    await other.shows([8])


async def _move(subject: JournalSubject, one: Journal, two: Journal) -> None:
    probe = JournalProbe(subject, one, subject.id())
    expect(await probe.claim(), 0, "the first claim")
    await probe.stored(1)
    last = 1
    for journal in (two, one, two, one):
        old = probe
        probe, highest = await old.next_writer(journal)
        expect(highest, last, "the claim in the store that takes over")
        await probe.stored(last + 1, last + 2)
        with raises(WriterFenced, "a write of the writer in the store that lost the id"):
            await old.journal.write([old.batch(last + 3)])
        last += 2
        for each in (old, probe):
            await each.shows(range(1, last + 1))
            await each.highest_is(last)


async def _deletes(subject: JournalSubject, writing: Journal, deleting: Journal) -> None:
    probe = JournalProbe(subject, writing, subject.id())
    await probe.claim()
    await probe.stored(1, 2, 3)
    other = probe.at(deleting)
    await other.highest_is(3)
    await probe.stored(4, 5, 6)
    await other.delete_to(5)
    await probe.shows([6])
    await probe.stored(7)
    await other.delete_to(1_000)
    await probe.shows([])
    await probe.highest_is(7)
    await probe.stored(8, 9)
    for each in (probe, other):
        await each.shows([8, 9])
        await each.highest_is(9)
