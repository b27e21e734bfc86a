"""Promises of `Journal.highest_sequence_nr`: the last used number, which never decreases."""

from __future__ import annotations

import trio

from kafka_persist.abc import Capability
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.expect import expect, require
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe, open_five, open_probe


class HighestCases(Promises):
    """The highest sequence number."""

    group = "Highest sequence number"

    @case()
    async def test_an_unknown_id_has_none(self, subject: JournalSubject) -> None:
        """H1, J11. An id that was never written has the highest number 0, whatever a replay of it asked for.

        Why: a journal that takes the question for the answer starts a new entity at a number that nobody wrote.
        """
        async with subject.open() as journal:
            for hint in (0, 5, MAX_SEQUENCE_NR):
                probe = JournalProbe(subject, journal, subject.id(f"hint-{hint}"))
                await probe.shows([], hint)
                await probe.highest_is(0)
                expect(await probe.claim(), 0, "the claim of an unknown id")

    @case()
    async def test_a_bookmark_of_an_unknown_id_is_only_a_hint(self, subject: JournalSubject) -> None:
        """H1. `resume_from` with another id's bookmark does not give an unknown id a highest number.

        Why: a snapshot that outlived its events must not invent a journal.
        """
        async with open_five(subject) as probe:
            bookmark = probe.journal.bookmark(probe.persistence_id)
            unknown = subject.id("unknown")
            if bookmark is not None:
                probe.journal.resume_from(probe.persistence_id, bookmark)
            await probe.shows([1, 2, 3, 4, 5])
            expect(await probe.journal.highest_sequence_nr(unknown), 0, "the highest number of an unknown id")

    @case()
    async def test_it_follows_each_write(self, subject: JournalSubject) -> None:
        """H2. After each write, highest is the number of its last event, not a count of events.

        Why: with holes, a count falls behind, and the next write gets a number that is in use.
        """
        async with open_probe(subject) as probe:
            for number in (1, 2, 7, 8, 100):
                await probe.stored(number)
                await probe.highest_is(number)

    @case()
    async def test_it_never_decreases(self, subject: JournalSubject) -> None:
        """H2. Replays, claims and (if declared) deletes never lower it.

        Why: a number that comes back is given to a second event.
        """
        async with open_five(subject) as probe:
            await probe.replay(1, 2)
            await probe.highest_is(5)
            await probe.next_writer()
            await probe.highest_is(5)
            if subject.has(Capability.DELETES):
                for number in (2, 5, MAX_SEQUENCE_NR):
                    await probe.delete_to(number)
                    await probe.highest_is(5)

    @case()
    async def test_it_belongs_to_one_id(self, subject: JournalSubject) -> None:
        """H2. It counts the events of its own id only; it is no position in a shared log.

        Why: an id in a busy journal would otherwise jump ahead with each write of its neighbours.
        """
        async with subject.open() as journal:
            one, two = await new_probe(subject, journal, "one"), await new_probe(subject, journal, "two")
            await two.stored(1, 2, 3)
            await one.stored(1)
            await two.stored(4)
            await one.stored(2)
            await one.highest_is(2)
            await two.highest_is(4)
            await one.shows([1, 2])

    @case()
    async def test_large_numbers_are_exact(self, subject: JournalSubject) -> None:
        """H4. Numbers up to the largest, 2**63 - 1, are stored, bounded and reported exactly.

        Why: a float or a 32-bit field in the store rounds them, and "no upper bound" overflows.
        """
        numbers = [2**31, 2**53 + 1, 2**62, MAX_SEQUENCE_NR - 1, MAX_SEQUENCE_NR]
        async with open_probe(subject) as probe:
            for number in numbers:
                await probe.stored(number)
                await probe.highest_is(number)
            await probe.shows(numbers)
            await probe.shows(numbers[1:3], 2**53, 2**62)
            await probe.shows(numbers[-1:], MAX_SEQUENCE_NR)

    @case()
    async def test_it_waits_for_writes_that_are_under_way(self, subject: JournalSubject) -> None:
        """H3, C8. Asked while a write is under way, it answers with a number that is not used again.

        Why: a restarted entity asks while its old write is still on the way; both would get the same number.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1)
            answers: list[int] = []

            async def ask() -> None:
                answers.append(await probe.journal.highest_sequence_nr(probe.persistence_id))

            async with trio.open_nursery() as nursery:
                for number in range(2, 12):
                    await nursery.start(_write, probe, number)
                    nursery.start_soon(ask)
            require(all(1 <= answer <= 11 for answer in answers), f"impossible answers: {answers}")
            await probe.highest_is(11)
            await probe.shows(range(1, 12))


async def _write(
    probe: JournalProbe, number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    task_status.started()
    await probe.stored(number)
