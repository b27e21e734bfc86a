"""Promises of `Journal.claim`: one live writer per id."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.errors import SequenceNrConflict, WriterFenced
from kafka_persist.model import AtomicWrite

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_numbers, raises, told
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe, open_five, open_probe


class ClaimCases(Promises):
    """Claims and fencing."""

    group = "One writer per id"

    @case()
    async def test_a_claim_gives_the_highest_sequence_number(self, subject: JournalSubject) -> None:
        """H1. A claim returns 0 for an unknown id and the highest sequence number for a known one.

        Why: the next event gets the number behind it.
        """
        async with subject.open() as journal:
            probe = JournalProbe(subject, journal, subject.id())
            expect(await probe.claim(), 0, "the claim of an unknown id")
            await probe.stored(1, 2, 3)
            expect((await probe.next_writer())[1], 3, "the claim of an id with three events")

    @case()
    async def test_a_new_writer_goes_on(self, subject: JournalSubject) -> None:
        """C4. After a claim the new writer's events follow the old ones, each with its own writer.

        Why: this is every restart of every entity.
        """
        async with open_five(subject) as probe:
            successor, highest = await probe.next_writer()
            await successor.stored(highest + 1, highest + 2)
            await successor.shows(range(1, 8))

    @case()
    async def test_claims_of_one_id_do_not_touch_others(self, subject: JournalSubject) -> None:
        """C1. A claim of one id leaves the writers of other ids alone.

        Why: ids are independent; one restart must not stop the neighbours.
        """
        async with open_probe(subject, "one") as one:
            two = await new_probe(subject, one.journal, "two")
            await one.stored(1)
            await two.stored(1)
            await one.next_writer()
            await two.stored(2)
            await two.shows([1, 2])

    @case(requires=[Capability.FENCING])
    async def test_an_older_writer_is_fenced(self, subject: JournalSubject) -> None:
        """C4. After another writer's claim, a write of the older one raises WriterFenced and is never visible.

        Why: two live entities of one id otherwise take turns in corrupting its history.
        """
        async with open_five(subject) as old:
            new, _ = await old.next_writer()
            with raises(WriterFenced, "a write of the older writer"):
                await old.journal.write([old.batch(6)])
            await new.shows(range(1, 6))
            await new.stored(6)
            await new.shows(range(1, 7))

    @case(requires=[Capability.FENCING])
    async def test_a_writer_without_a_claim_is_fenced(self, subject: JournalSubject) -> None:
        """C4. A write without a claim raises WriterFenced and stores nothing.

        Why: a writer that never read the id's history cannot know what it is writing on top of.
        """
        async with subject.open() as journal:
            probe = JournalProbe(subject, journal, subject.id())
            with raises(WriterFenced, "a write without a claim"):
                await journal.write([probe.batch(1)])
            await probe.claim()
            await probe.shows([])

    @case(requires=[Capability.FENCING])
    async def test_a_fenced_writer_stays_fenced(self, subject: JournalSubject) -> None:
        """C4. A fenced writer is refused again and again, also after the new writer wrote.

        Why: a retry loop in the old process must never get through.
        """
        async with open_five(subject) as old:
            new, _ = await old.next_writer()
            for attempt in range(3):
                with raises(WriterFenced, f"attempt {attempt + 1} of the older writer"):
                    await old.journal.write([old.batch(20 + attempt)])
                await new.stored(6 + attempt)
            await new.shows(range(1, 9))

    @case(requires=[Capability.FENCING])
    async def test_a_fenced_write_does_not_stop_the_others_of_its_call(self, subject: JournalSubject) -> None:
        """C4, W3. In a call with a fenced write the others are decided by themselves; the error tells each result.

        Why: a shared writer must know which of its entities lost their id, and go on with the others.
        """
        async with open_five(subject) as old:
            new, _ = await old.next_writer()
            other = await new_probe(subject, old.journal, "other")
            with raises(WriterFenced, "a call with one fenced write") as caught:
                await old.journal.write([old.batch(6), other.batch(1)])
            error = caught[0]
            assert isinstance(error, WriterFenced)
            kinds = [type(result).__name__ for result in error.results]
            expect(kinds, ["WriterFenced", "NoneType"], "the results that the error carries")
            await new.shows(range(1, 6))
            await other.shows([1])

    @case(
        requires=[Capability.FENCING, Capability.REJECTS_UNSERIALIZABLE, Capability.REFUSES_STALE_SEQUENCE_NRS],
        needs=["unserializable"],
    )
    async def test_refusals_have_an_order(self, subject: JournalSubject) -> None:
        """C4, W3, W9. What cannot be serialized is rejected, else a fenced writer is told so, else a used number refused.

        Why: an entity does something else after each of them; which one comes must not depend on the store.
        """
        async with subject.open() as journal:
            old, good, other = [await new_probe(subject, journal, label) for label in ("fenced", "good", "other")]
            await old.stored(1, 2)
            await good.stored(1, 2)
            await old.successor().claim()
            bad = [AtomicWrite((probe.event(2, payload=subject.options.unserializable),)) for probe in (good, old)]
            for write, what in zip(bad, ("a used number", "a fenced writer"), strict=True):
                with told(f"an unserializable event with {what}"):
                    results = await journal.write([write])
                    expect([type(result).__name__ for result in results], ["Rejection"], "the result")
            with raises(WriterFenced, "a used number by a fenced writer"):
                await journal.write([old.batch(2)])
            with raises(WriterFenced, "a call with a fenced, a rejected and a good write") as caught:
                await journal.write([old.batch(3), bad[1], other.batch(1)])
            kinds = [type(result).__name__ for result in getattr(caught[0], "results", None) or ()]
            expect(kinds, ["WriterFenced", "Rejection", "NoneType"], "the results of that call")
            with raises(SequenceNrConflict, "a call with a fenced, a rejected, a good and a stale write"):
                await journal.write([old.batch(3), bad[1], other.batch(2), good.batch(2)])
            await other.shows([1])
            await good.shows([1, 2])

    @case(requires=[Capability.FENCING, Capability.DURABLE])
    async def test_a_claim_in_another_process_fences(self, subject: JournalSubject) -> None:
        """C4, X1. A claim made through a second open journal fences the writer of the first.

        Why: the two live writers of an id are in two processes; fencing within one is the easy half.
        """
        async with open_five(subject) as old, subject.open() as second:
            new, highest = await old.next_writer(second)
            expect(highest, 5, "the claim in the second journal")
            await new.stored(6)
            with raises(WriterFenced, "a write of the first journal's writer"):
                await old.journal.write([old.batch(6)])
            await new.shows(range(1, 7))

    @case(lacks=[Capability.FENCING])
    async def test_without_fencing_nothing_acknowledged_is_hidden(self, subject: JournalSubject) -> None:
        """C4, C17. A journal without fencing that accepts an older writer's event delivers it.

        Why: the filter behind the journal decides between two writers; it must see what was acknowledged.
        """
        async with open_probe(subject) as old:
            await old.stored(1)
            new, _ = await old.next_writer()
            try:
                results = await old.journal.write([old.batch(2)])
            except WriterFenced:
                accepted = False
            else:
                accepted = list(results) == [None]
            numbers = [event.sequence_nr for event in await new.replay()]
            expect_numbers(numbers, [1, 2] if accepted else [1], "the replay")
