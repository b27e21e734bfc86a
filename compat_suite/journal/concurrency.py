"""Promises about many callers at once: independence of ids, order within an id, one winner."""

from __future__ import annotations

import trio

from kafka_persist.abc import Capability
from kafka_persist.errors import SequenceNrConflict, WriteError, WriterFenced

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_numbers, require
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe, open_probe


class ConcurrencyCases(Promises):
    """Many callers at once."""

    group = "Many callers at once"

    @case(limit=60.0)
    async def test_many_ids_in_parallel(self, subject: JournalSubject) -> None:
        """C5. 100 ids with 100 events each, all at once: every id has its events in order.

        Why: this is a system on a normal day.
        """
        async with subject.open() as journal:
            probes = [await new_probe(subject, journal, f"par-{index}") for index in range(100)]
            async with trio.open_nursery() as nursery:
                for probe in probes:
                    nursery.start_soon(_write_in_tens, probe)
            for probe in probes:
                await probe.shows(range(1, 101))

    @case(limit=20.0)
    async def test_writes_of_one_id_wait_their_turn(self, subject: JournalSubject) -> None:
        """C2. Fifty writes of one id, made at once and in order, are stored in order, each with its own result.

        Why: an entity may hand over the next event before the answer to the last one is there.
        """
        async with open_probe(subject) as probe:
            async with trio.open_nursery() as nursery:
                for number in range(1, 51):
                    await nursery.start(_write_now, probe, number)
            await probe.shows(range(1, 51))

    @case(requires=[Capability.FENCING, Capability.REFUSES_STALE_SEQUENCE_NRS], limit=20.0)
    async def test_two_writers_of_one_id_never_both_win_a_number(self, subject: JournalSubject) -> None:
        """C4. Two writers that claim and write the same numbers at once: each number is acknowledged once at most.

        Why: both of them told their callers "done"; one of them lied.
        """
        async with subject.open() as journal:
            probes = [JournalProbe(subject, journal, subject.id("contested"))]
            probes.append(probes[0].successor())
            acknowledged = await _contest(probes, rounds=10)
            expect(sorted(acknowledged), sorted(set(acknowledged)), "the numbers that were acknowledged")
            replayed = [event.sequence_nr for event in await probes[0].replay()]
            expect_numbers(replayed, sorted(acknowledged), "the replay after the contest")

    @case(requires=[Capability.FENCING, Capability.REFUSES_STALE_SEQUENCE_NRS, Capability.DURABLE], limit=20.0)
    async def test_two_processes_never_both_win_a_number(self, subject: JournalSubject) -> None:
        """C4, X1. The same with two open journals, as in two processes.

        Why: within one journal a lock is enough; between two it is not.
        """
        async with subject.open() as one, subject.open() as two:
            probes = [JournalProbe(subject, one, subject.id("contested"))]
            probes.append(probes[0].successor(two))
            acknowledged = await _contest(probes, rounds=10)
            expect(sorted(acknowledged), sorted(set(acknowledged)), "the numbers that were acknowledged")
            replayed = [event.sequence_nr for event in await probes[1].replay()]
            expect_numbers(replayed, sorted(acknowledged), "the replay after the contest")

    @case()
    async def test_reading_one_id_while_writing_others(self, subject: JournalSubject) -> None:
        """C1. Open replays of one id do not keep other ids, or the same one, from being written.

        Why: a slow reader must not become everybody's problem.
        """
        async with open_probe(subject, "read") as read:
            await read.stored(*range(1, 11))
            other = await new_probe(subject, read.journal, "written")
            async with read.journal.replay(read.persistence_id) as channel:
                await channel.receive()
                await other.stored(*range(1, 11))
                await read.stored(11)
                rest = [event.sequence_nr async for event in channel]
            expect_numbers(rest[:9], range(2, 11), "the rest of the open replay")
            await other.shows(range(1, 11))

    @case(limit=20.0)
    async def test_many_recoveries_at_once(self, subject: JournalSubject) -> None:
        """C6. Fifty ids are claimed and replayed at once, and none waits forever.

        Why: after a deployment everything recovers at the same time.
        """
        async with subject.open() as journal:
            probes = [await new_probe(subject, journal, f"rec-{index}") for index in range(50)]
            await journal.write([probe.batch(number) for probe in probes for number in (1, 2, 3)])
            async with trio.open_nursery() as nursery:
                for probe in probes:
                    nursery.start_soon(_recover, probe)

    @case(limit=20.0)
    async def test_cancelled_recoveries_make_room(self, subject: JournalSubject) -> None:
        """C6, T3. Fifty recoveries that are cancelled half-way leave nothing behind that later ones wait for.

        Why: permits and readers that are not given back are used up after a bad day.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 101))
            for _ in range(50):
                with trio.CancelScope() as scope:
                    async with probe.journal.replay(probe.persistence_id) as channel:
                        await channel.receive()
                        scope.cancel()
                        await channel.receive()
            async with trio.open_nursery() as nursery:
                for _ in range(10):
                    nursery.start_soon(probe.shows, range(1, 101))


async def _write_in_tens(probe: JournalProbe) -> None:
    for first in range(1, 101, 10):
        await probe.stored(*range(first, first + 10))


async def _write_now(
    probe: JournalProbe, number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    task_status.started()
    try:
        await probe.stored(number)
    except WriteError as error:
        require(condition=False, what=f"write #{number}, made after #{number - 1}: {error}")


async def _recover(probe: JournalProbe) -> None:
    successor, highest = await probe.next_writer()
    expect(highest, 3, "the claim of one of many recoveries")
    await successor.shows([1, 2, 3])


async def _contest(probes: list[JournalProbe], rounds: int) -> list[int]:
    """Let all probes claim and write at once, several rounds; return the acknowledged numbers."""
    acknowledged: list[int] = []

    async def fight(probe: JournalProbe) -> None:
        for _ in range(rounds):
            highest = await probe.claim()
            for number in (highest + 1, highest + 2):
                try:
                    await probe.stored(number)
                except (WriterFenced, SequenceNrConflict):
                    break
                acknowledged.append(number)

    async with trio.open_nursery() as nursery:
        for probe in probes:
            nursery.start_soon(fight, probe)
    return acknowledged
