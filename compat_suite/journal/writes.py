"""Promises of `Journal.write`: what is stored, in which order, and what a result means."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.errors import PersistenceError, SequenceNrConflict, UsageError
from kafka_persist.model import AtomicWrite

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_event, expect_numbers, raises, require
from ..engine.subject import JournalSubject
from .probe import FIVE, JournalProbe, new_probe, open_five, open_probe


class WriteCases(Promises):
    """Writing."""

    group = "Writing"

    @case()
    async def test_a_stored_event_is_read_back_at_once(self, subject: JournalSubject) -> None:
        """W1, J1. When a write returned, its event is in the next replay.

        Why: an entity answers its caller as soon as the write returns; what is not readable then was never said.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1)
            await probe.shows([1])

    @case()
    async def test_several_atomic_writes_of_one_call_are_stored_in_order(self, subject: JournalSubject) -> None:
        """W1. Two atomic writes of different sizes in one call are both stored, in order.

        Why: entities send what has piled up in one call; a store that keeps a part of it loses acknowledged events.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1, (2, 3, 4))
            await probe.shows([1, 2, 3, 4])

    @case()
    async def test_later_calls_append(self, subject: JournalSubject) -> None:
        """W2. A second and a third call append; nothing of the earlier ones is replaced or reordered.

        Why: a batch that takes the place of an earlier one, or sorts before it, rewrites history.
        """
        async with open_probe(subject) as probe:
            await probe.stored((1, 2))
            await probe.stored(3)
            await probe.stored((4, 5), 6)
            await probe.shows([1, 2, 3, 4, 5, 6])

    @case()
    async def test_one_result_per_atomic_write(self, subject: JournalSubject) -> None:
        """W3. A call gives exactly one result per atomic write, also if the atomic writes hold several events.

        Why: the caller pairs results with writes by position; one more or less shifts every verdict behind it.
        """
        async with open_probe(subject) as probe:
            writes = probe.split(FIVE)
            results = await probe.journal.write(writes)
            expect(len(results), len(writes), "the number of results")
            expect([result for result in results if result is not None], [], "the results of plain events")

    @case(limit=30.0)
    async def test_long_calls_are_stored_whole(self, subject: JournalSubject) -> None:
        """W4. Calls with 1, 2, 100 and 1,000 events are stored whole and in order.

        Why: a limit that silently cuts a batch loses events only under load, when nobody looks.
        """
        async with open_probe(subject) as probe:
            first = 1
            for size in (1, 2, 100, 1_000):
                await probe.stored(*range(first, first + size))
                first += size
            await probe.shows(range(1, first))

    @case(requires=[Capability.MULTI_EVENT_ATOMIC_WRITES], limit=30.0)
    async def test_large_atomic_writes_are_stored_whole(self, subject: JournalSubject) -> None:
        """W4. One atomic write of 2, 100 and 1,000 events is stored whole and in order.

        Why: the events of one command belong together; half of them is a state that never was.
        """
        async with open_probe(subject) as probe:
            first = 1
            for size in (2, 100, 1_000):
                await probe.stored(range(first, first + size))
                first += size
            await probe.shows(range(1, first))

    @case()
    async def test_an_empty_call_does_nothing(self, subject: JournalSubject) -> None:
        """W12. A call without writes returns an empty list and changes nothing.

        Why: "nothing to write" is a normal case of a caller that collects writes.
        """
        async with open_five(subject) as probe:
            expect(list(await probe.journal.write([])), [], "the results of an empty call")
            await probe.shows([1, 2, 3, 4, 5])

    @case()
    async def test_the_first_number_may_be_any(self, subject: JournalSubject) -> None:
        """W10. The first event of an id may have the number 1 or any other, and highest follows it.

        Why: an entity that recovered from a snapshot alone goes on behind it.
        """
        async with subject.open() as journal:
            for first in (1, 1_000_000):
                probe = await new_probe(subject, journal, f"from-{first}")
                await probe.stored(first, first + 1)
                await probe.shows([first, first + 1])
                await probe.highest_is(first + 1)

    @case()
    async def test_holes_between_numbers_are_legal(self, subject: JournalSubject) -> None:
        """W11, C6. Numbers may have holes (1, 2, 5, 9); they come back as they were written.

        Why: a rejected event consumes its number; a store that renumbers or stops at the hole breaks recovery.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1, 2)
            await probe.stored(5)
            await probe.stored(9)
            await probe.shows([1, 2, 5, 9])
            await probe.highest_is(9)

    @case()
    async def test_writes_of_several_ids_in_one_call_stay_apart(self, subject: JournalSubject) -> None:
        """W1, C7. One call may hold writes of several ids; each id gets its own, in its order.

        Why: a shared writer batches for many entities; mixing them up crosses their states.
        """
        async with subject.open() as journal:
            one, two = await new_probe(subject, journal, "one"), await new_probe(subject, journal, "two")
            writes = [one.batch(1), two.batch(1), one.batch(2), two.batch(2), one.batch(3)]
            expect(list(await journal.write(writes)), [None] * 5, "the results")
            await one.shows([1, 2, 3])
            await two.shows([1, 2])

    @case()
    async def test_an_atomic_write_of_several_ids_cannot_be_made(self, subject: JournalSubject) -> None:
        """W13, C1. An atomic write that mixes ids, or has a gap, is refused before any store sees it.

        Why: all or nothing is promised for one id only. No store can break this one: the model refuses it.
        """
        one, two = (JournalProbe(subject, None, subject.id(label)) for label in "ab")  # type: ignore[arg-type]
        with raises(UsageError, "mixing ids in one atomic write"):
            AtomicWrite((one.event(1), two.event(2)))
        with raises(UsageError, "a gap inside an atomic write"):
            AtomicWrite((one.event(1), one.event(3)))

    @case(requires=[Capability.REFUSES_STALE_SEQUENCE_NRS])
    async def test_a_used_number_is_refused(self, subject: JournalSubject) -> None:
        """W8. A write of a number that is in use raises SequenceNrConflict and stores nothing.

        Why: two events with one number make every replay a guess.
        """
        async with open_five(subject) as probe:
            with raises(SequenceNrConflict, "writing #5 again"):
                await probe.journal.write([AtomicWrite((probe.event(5, payload=subject.payload(55)),))])
            await probe.shows([1, 2, 3, 4, 5])

    @case(requires=[Capability.REFUSES_STALE_SEQUENCE_NRS])
    async def test_a_number_below_the_highest_is_refused(self, subject: JournalSubject) -> None:
        """W9. A write that starts below the highest number is refused, also if its own number is unused.

        Why: an event that appears in the past was not part of what later events were decided on.
        """
        async with open_probe(subject) as probe:
            await probe.stored(5)
            with raises(SequenceNrConflict, "writing #3 after #5"):
                await probe.journal.write([probe.batch(3)])
            await probe.shows([5])

    @case(requires=[Capability.REFUSES_STALE_SEQUENCE_NRS])
    async def test_a_conflict_stores_nothing_of_the_call(self, subject: JournalSubject) -> None:
        """W9. If one write of a call is stale, nothing of the whole call is stored, of no id.

        Why: the error says "nothing was stored"; a caller that believes it writes the rest again.
        """
        async with open_five(subject) as probe:
            other = await new_probe(subject, probe.journal, "other")
            with raises(SequenceNrConflict, "a call with one stale write"):
                await probe.journal.write([other.batch(1), probe.batch(6), probe.batch(2)])
            await probe.shows([1, 2, 3, 4, 5])
            await other.shows([])

    @case(lacks=[Capability.REFUSES_STALE_SEQUENCE_NRS])
    async def test_duplicate_numbers_are_all_delivered(self, subject: JournalSubject) -> None:
        """W8, C17. A journal that does not refuse a used number delivers both events, in the order of the writes.

        Why: the filter behind the journal decides between them; a silent choice hides that there were two writers.
        """
        async with open_probe(subject) as probe:
            one, two = probe.event(1), probe.event(1, payload=subject.payload(11))
            await probe.journal.write([AtomicWrite((one,))])
            await probe.journal.write([AtomicWrite((two,))])
            events = await probe.replay()
            expect_numbers([event.sequence_nr for event in events], [1, 1], "the replay")
            expect_event(events[0], one)
            expect_event(events[1], two)

    @case(lacks=[Capability.MULTI_EVENT_ATOMIC_WRITES])
    async def test_multi_event_writes_are_rejected_if_not_declared(self, subject: JournalSubject) -> None:
        """W7, C2. A journal without multi-event atomicity rejects such a write, stores nothing of it and goes on.

        Why: storing the events one by one looks right until a crash falls between two of them.
        """
        async with open_probe(subject) as probe:
            results = await probe.journal.write([probe.batch(1, 2, 3)])
            require(len(results) == 1 and results[0] is not None, "a multi-event write was not rejected")
            await probe.shows([])
            await probe.stored(4)
            await probe.shows([4])

    @case()
    async def test_payload_changes_after_the_call_do_not_reach_the_store(self, subject: JournalSubject) -> None:
        """W1. A payload is what it was when it was written: changing the object later changes nothing.

        Why: an entity may go on with the list that it stored; history must not change with it.
        """
        async with open_probe(subject) as probe:
            payload = ["as", "written"]
            await probe.journal.write([AtomicWrite((probe.event(1, payload=payload),))])
            payload.append("later")
            first = (await probe.replay())[0]
            expect(first.payload, ["as", "written"], "the payload")
            first.payload.append("by a reader")
            expect((await probe.replay())[0].payload, ["as", "written"], "the payload in the next replay")

    @case(limit=20.0)
    async def test_the_order_of_calls_is_the_order_of_events(self, subject: JournalSubject) -> None:
        """C2, C7. Writes of one id that are made at once are stored in the order in which they were made.

        Why: the second event was decided on top of the first; a store that lets it overtake breaks the chain.
        """
        import trio

        async with open_probe(subject) as probe:
            async with trio.open_nursery() as nursery:
                for number in range(1, 21):
                    await nursery.start(_start_write, probe, number)
            await probe.shows(range(1, 21))


async def _start_write(probe: JournalProbe, number: int, task_status: object = None) -> None:
    task_status.started()  # type: ignore[attr-defined]
    try:
        await probe.stored(number)
    except PersistenceError as error:
        require(condition=False, what=f"write #{number}, made after #{number - 1}: {error}")
