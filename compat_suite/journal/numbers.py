"""Promises about numbers: exact beyond 2**53, larger than any page, and each used once."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.errors import SequenceNrConflict
from kafka_persist.model import MAX_SEQUENCE_NR, AtomicWrite

from ..engine.case import Promises, case
from ..engine.expect import expect, raises
from ..engine.subject import JournalSubject
from .probe import new_probe, open_five, open_probe

BASES = (2**32, 2**53, 2**53 + 2**20 + 1, 2**62, MAX_SEQUENCE_NR - 6)
"""Six events follow each: a float, or half of a 64-bit number, cannot tell them apart."""
LIMITS = (99, 100, 101, 127, 128, 255, 256, 257, 499, 500, 501, 511, 512, 513, 999, 1_000, 1_001, 1_024, 1_025, 2_000)


class NumberCases(Promises):
    """Large numbers, limits and repetitions."""

    group = "Numbers"

    @case(limit=20.0)
    async def test_large_bounds_are_exact(self, subject: JournalSubject) -> None:
        """H4, R1. Each bound of a window is exact for six events next to each other beyond 2**32, 2**53 and 2**62.

        Why: a store that puts numbers through floats reads a neighbour instead of the event.
        """
        async with subject.open() as journal:
            for base in BASES:
                probe = await new_probe(subject, journal, f"bounds-{base}")
                numbers = range(base + 1, base + 7)
                await probe.stored(*numbers)
                for low in numbers:
                    await probe.shows([low], low, low)
                    await probe.shows(range(low, base + 7), low)
                    await probe.shows(range(base + 1, low + 1), 1, low)
                    await probe.shows([low], low, max_events=1)

    @case()
    async def test_large_numbers_are_claimed_and_continued_exactly(self, subject: JournalSubject) -> None:
        """H4, H1. Claims and the highest number are exact beyond 2**53, and are whole numbers.

        Why: a number that is rounded up loses the next event, one that is rounded down gives it a used number.
        """
        async with subject.open() as journal:
            for base in BASES:
                probe = await new_probe(subject, journal, f"claims-{base}")
                for number in (base + 1, base + 2, base + 3):
                    await probe.stored(number)
                    probe, highest = await probe.next_writer()
                    expect(highest, number, "the claim")
                    await probe.highest_is(number)

    @case(requires=[Capability.REFUSES_STALE_SEQUENCE_NRS])
    async def test_large_used_numbers_are_refused(self, subject: JournalSubject) -> None:
        """W8, H4. Beyond 2**53, a used number is refused, and the next one is not.

        Why: two numbers that are one in a float are refused or accepted for each other.
        """
        async with subject.open() as journal:
            for base in BASES:
                probe = await new_probe(subject, journal, f"stale-{base}")
                await probe.stored(base + 1, base + 2)
                for number in (base + 1, base + 2):
                    with raises(SequenceNrConflict, f"writing #{number} again"):
                        await journal.write([probe.batch(number)])
                await probe.stored(base + 3)
                await probe.shows([base + 1, base + 2, base + 3])

    @case(requires=[Capability.DELETES])
    async def test_large_deletes_are_exact(self, subject: JournalSubject) -> None:
        """D1, H4. A delete up to a number beyond 2**53 takes that event and not the next, also after a reopening.

        Why: deletes are forever.
        """
        async with subject.open() as journal:
            probes = [await new_probe(subject, journal, f"deletes-{base}") for base in BASES]
            for base, probe in zip(BASES, probes, strict=True):
                await probe.stored(*range(base + 1, base + 7))
                for number in (base + 1, base + 3, base + 4):
                    await probe.delete_to(number)
                    await probe.shows(range(number + 1, base + 7))
                await probe.highest_is(base + 6)
        if subject.has(Capability.DURABLE):
            async with subject.open() as journal:
                for base, probe in zip(BASES, probes, strict=True):
                    again = probe.successor(journal)
                    await again.shows([base + 5, base + 6])
                    await again.highest_is(base + 6)

    @case(limit=30.0)
    async def test_limits_larger_than_pages_are_exact(self, subject: JournalSubject) -> None:
        """J4, R3. Maxima around every usual page give exactly so many events, from the start and from the middle.

        Why: a limit that is applied to each page, or only to the first, is right until it is larger than a page.
        """
        async with open_probe(subject) as probe:
            total = 2_600
            for first in range(1, total + 1, 650):
                await probe.stored(*range(first, first + 650))
            for limit in LIMITS:
                await probe.shows(range(1, limit + 1), max_events=limit)
            for low, limit in ((2, 1_000), (501, 1_500), (1_001, 1_001), (2_001, 2_000)):
                await probe.shows(range(low, min(low + limit, total + 1)), low, max_events=limit)
            for limit in (total, 2**31, 2**53 + 1, MAX_SEQUENCE_NR):
                await probe.shows(range(1, total + 1), max_events=limit)

    @case(requires=[Capability.DELETES], limit=30.0)
    async def test_deletes_larger_than_chunks_are_whole(self, subject: JournalSubject) -> None:
        """D1, R3. A delete of 1,000 to 2,600 events takes all of them; one more delete goes on from there.

        Why: a store that deletes in chunks and stops after the first leaves the middle of a history.
        """
        async with open_probe(subject) as probe:
            total = 2_600
            for first in range(1, total + 1, 650):
                await probe.stored(*range(first, first + 650))
            for number in (999, 1_000, 2_001, 2_599):
                await probe.delete_to(number)
                await probe.shows(range(number + 1, total + 1))
            await probe.highest_is(total)
            other = await new_probe(subject, probe.journal, "at-once")
            for first in range(1, total + 1, 650):
                await other.stored(*range(first, first + 650))
            await other.delete_to(total - 1)
            await other.shows([total])

    @case(requires=[Capability.REFUSES_STALE_SEQUENCE_NRS])
    async def test_one_number_twice_in_one_call_is_refused(self, subject: JournalSubject) -> None:
        """W8, W9. A call that has a number twice, or goes back, raises SequenceNrConflict and stores nothing.

        Why: the second one is not above the highest number any more once the first one is stored.
        """
        async with open_five(subject) as probe:
            for calls in ([(6,), (6,)], [(6, 7), (7, 8)], [(8,), (7,)], [(6,), (7,), (6,)]):
                writes = [write for numbers in calls for write in probe.split([numbers])]
                with raises(SequenceNrConflict, f"a call with the writes {calls}"):
                    await probe.journal.write(writes)
                await probe.shows([1, 2, 3, 4, 5])
                await probe.highest_is(5)
            await probe.stored(6)

    @case()
    async def test_negative_limits_give_nothing(self, subject: JournalSubject) -> None:
        """J9. A maximum of 0 or below gives no events, and an upper bound below 1 neither.

        Why: in SQL a negative limit is none at all, and a slice counts it from the end.
        """
        async with open_five(subject) as probe:
            for limit in (0, -1, -(2**31), -MAX_SEQUENCE_NR):
                await probe.shows([], max_events=limit)
                await probe.shows([], 2, 4, limit)
            for high in (0, -1, -MAX_SEQUENCE_NR):
                await probe.shows([], -5, high)
            await probe.shows([1, 2], -MAX_SEQUENCE_NR, 2)

    @case(requires=[Capability.REJECTS_UNSERIALIZABLE], needs=["unserializable"])
    async def test_a_rejected_number_does_not_raise_the_highest(self, subject: JournalSubject) -> None:
        """C6, W5. A rejected write leaves the highest number alone; its number may be used or left out.

        Why: "certainly not stored" includes every trace of it; a restarted entity goes on above what is stored.
        """
        async with open_five(subject) as probe:
            bad = AtomicWrite((probe.event(9, payload=subject.options.unserializable),))
            await probe.submit(probe.batch(6), bad)
            await probe.highest_is(6)
            successor, highest = await probe.next_writer()
            expect(highest, 6, "the claim after a rejected #9")
            await successor.stored(7, 8, 9)
            await successor.shows(range(1, 10))
