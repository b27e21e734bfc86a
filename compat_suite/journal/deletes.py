"""Promises of `Journal.delete_to`: gone forever, and nothing else."""

from __future__ import annotations

import trio

from kafka_persist.abc import Capability
from kafka_persist.errors import UnsupportedOperation
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.expect import expect_numbers, raises, require
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe, open_five, open_probe

DELETES = [Capability.DELETES]


class DeleteCases(Promises):
    """Deleting events."""

    group = "Deleting events"

    @case(requires=DELETES)
    async def test_deleted_events_are_not_replayed(self, subject: JournalSubject) -> None:
        """J13. After deleting to 3, a replay gives 4, 5.

        Why: what was deleted must not come back into a state.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(3)
            await probe.shows([4, 5])

    @case(requires=DELETES)
    async def test_a_delete_keeps_the_highest_number(self, subject: JournalSubject) -> None:
        """J14. After replaying and deleting to 3, highest is still 5.

        Why: the next event needs a number that was never used.
        """
        async with open_five(subject) as probe:
            await probe.shows([1, 2, 3, 4, 5])
            await probe.delete_to(3)
            await probe.shows([4, 5], 0)
            await probe.highest_is(5)

    @case(requires=DELETES)
    async def test_deleting_everything_keeps_the_highest_number(self, subject: JournalSubject) -> None:
        """J15. After deleting everything, nothing is replayed and highest is still 5.

        Why: an entity that starts over at 1 collides with its own snapshots and with every reader's position.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(MAX_SEQUENCE_NR)
            await probe.shows([], 0)
            await probe.highest_is(5)
            require((await probe.next_writer())[1] == 5, "a claim after deleting everything does not give 5")

    @case(requires=DELETES)
    async def test_deleting_everything_does_not_hide_later_events(self, subject: JournalSubject) -> None:
        """D1. After deleting up to the largest number, later writes are visible.

        Why: "everything" means everything so far; a floor at infinity silently swallows the future.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(MAX_SEQUENCE_NR)
            await probe.stored(6, 7)
            await probe.shows([6, 7])
            await probe.highest_is(7)

    @case(requires=DELETES)
    async def test_a_delete_beyond_the_end_does_not_hide_later_events(self, subject: JournalSubject) -> None:
        """D2, C18. After deleting to 8 of 5 events, events 6, 7 and 8 are visible when they are written.

        Why: a delete acts on what exists; later events were never meant.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(8)
            await probe.stored(6, 7)
            await probe.stored(8)
            await probe.shows([6, 7, 8])

    @case(requires=DELETES)
    async def test_a_repeated_delete_changes_nothing(self, subject: JournalSubject) -> None:
        """D3. The same delete again succeeds and changes nothing.

        Why: after an unknown outcome the caller deletes again.
        """
        async with open_five(subject) as probe:
            for _ in range(3):
                await probe.delete_to(3)
            await probe.shows([4, 5])

    @case(requires=DELETES)
    async def test_a_smaller_delete_resurrects_nothing(self, subject: JournalSubject) -> None:
        """D3. A later delete with a smaller number succeeds and brings nothing back.

        Why: deletes arrive from retention runs of different age.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(3)
            await probe.delete_to(1)
            await probe.shows([4, 5])

    @case(requires=DELETES)
    async def test_deletes_of_zero_and_below_change_nothing(self, subject: JournalSubject) -> None:
        """D3. Deleting to 0 and to negative numbers succeeds and changes nothing.

        Why: callers subtract; a wrap-around here deletes everything.
        """
        async with open_five(subject) as probe:
            for number in (0, -1, -MAX_SEQUENCE_NR):
                await probe.delete_to(number)
            await probe.shows([1, 2, 3, 4, 5])

    @case(requires=DELETES)
    async def test_deleting_an_unknown_id_changes_nothing(self, subject: JournalSubject) -> None:
        """D4. Deleting an id that was never written succeeds; its later events are visible and start at 1.

        Why: a delete that leaves a floor behind for an empty id hides its first events.
        """
        async with subject.open() as journal:
            probe = JournalProbe(subject, journal, subject.id())
            await probe.delete_to(10)
            await probe.highest_is(0)
            await probe.claim()
            await probe.stored(1, 2)
            await probe.shows([1, 2])

    @case(requires=DELETES)
    async def test_a_delete_touches_one_id_only(self, subject: JournalSubject) -> None:
        """D5. Ids that share a prefix with the deleted one, or contain it, keep their events.

        Why: a delete by pattern takes the neighbours with it.
        """
        base = subject.id()
        async with subject.open() as journal:
            probes = [
                await new_probe(subject, journal, name, exact=True)
                for name in (base, base + "1", base + "-x", "x" + base)
            ]
            for probe in probes:
                await probe.stored(1, 2, 3)
            await probes[0].delete_to(2)
            await probes[0].shows([3])
            for probe in probes[1:]:
                await probe.shows([1, 2, 3])

    @case(requires=DELETES)
    async def test_a_delete_removes_whole_writes_only_up_to_its_number(self, subject: JournalSubject) -> None:
        """D6. Deleting to the last event of an atomic write removes exactly that write and those before.

        Why: a store that keeps whole batches must not take one too many.
        """
        async with open_probe(subject) as probe:
            await probe.stored((1, 2), (3, 4), (5, 6))
            await probe.delete_to(4)
            await probe.shows([5, 6])

    @case(requires=[*DELETES, Capability.DELETES_INSIDE_ATOMIC_WRITES])
    async def test_a_delete_may_end_inside_an_atomic_write(self, subject: JournalSubject) -> None:
        """D6. Deleting to 4 of the atomic write 4, 5 leaves 5.

        Why: deletes count events; how they were written together must not show.
        """
        async with open_five(subject) as probe:
            await probe.delete_to(4)
            await probe.shows([5])
            await probe.highest_is(5)

    @case(requires=[*DELETES, Capability.MULTI_EVENT_ATOMIC_WRITES], lacks=[Capability.DELETES_INSIDE_ATOMIC_WRITES])
    async def test_a_delete_inside_an_atomic_write_is_refused_if_not_declared(self, subject: JournalSubject) -> None:
        """D6. A store that cannot split an atomic write refuses such a delete and changes nothing.

        Why: deleting more than asked loses events; deleting less keeps what had to go.
        """
        async with open_five(subject) as probe:
            with raises(UnsupportedOperation, "deleting to 4 of the atomic write 4, 5"):
                await probe.delete_to(4)
            await probe.shows([1, 2, 3, 4, 5])

    @case(lacks=DELETES)
    async def test_deletes_are_refused_if_not_declared(self, subject: JournalSubject) -> None:
        """D3. A journal without deletes raises UnsupportedOperation and changes nothing.

        Why: "unsupported" otherwise hides "silently wrong".
        """
        async with open_five(subject) as probe:
            for number in (3, MAX_SEQUENCE_NR):
                with raises(UnsupportedOperation, f"delete_to({number})"):
                    await probe.delete_to(number)
            await probe.shows([1, 2, 3, 4, 5])
            await probe.highest_is(5)

    @case(requires=DELETES)
    async def test_deletes_at_once_add_up(self, subject: JournalSubject) -> None:
        """D7. Ten deletes of one id at once leave what the largest of them leaves.

        Why: a smaller one that ends last must not win.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 21))
            async with trio.open_nursery() as nursery:
                for number in (7, 3, 15, 1, 9, 12, 2, 14, 5, 8):
                    nursery.start_soon(probe.delete_to, number)
            await probe.shows(range(16, 21))

    @case(requires=DELETES)
    async def test_a_delete_during_a_replay_resurrects_nothing(self, subject: JournalSubject) -> None:
        """D8. A replay that runs during a delete gives an ascending subset; a new one gives the rest only.

        Why: a page that was read before the delete must not put events back.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 31))
            received: list[int] = []
            async with probe.journal.replay(probe.persistence_id) as channel:
                received += [(await channel.receive()).sequence_nr for _ in range(3)]
                await probe.delete_to(20)
                received += [event.sequence_nr async for event in channel]
            expect_numbers(received[-10:], range(21, 31), "the events above the delete, in the running replay")
            require(received == sorted(set(received)), f"the running replay is not ascending: {received}")
            await probe.shows(range(21, 31))

    @case(requires=DELETES)
    async def test_writes_and_deletes_alternate(self, subject: JournalSubject) -> None:
        """D1, C18. Write two, delete one, fifty times: the rest is exactly what was not deleted.

        Why: this is an entity with retention, over its life.
        """
        async with open_probe(subject) as probe:
            for step in range(50):
                await probe.stored(2 * step + 1, 2 * step + 2)
                await probe.delete_to(step + 1)
            await probe.shows(range(51, 101))
            await probe.highest_is(100)
