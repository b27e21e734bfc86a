"""Promises that outlive the store: everything survives closing it, dropping it, and opening it again."""

from __future__ import annotations

from kafka_persist.abc import Capability
from kafka_persist.errors import WriterFenced
from kafka_persist.model import MAX_SEQUENCE_NR, AtomicWrite

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_event, expect_numbers, raises, require
from ..engine.subject import JournalSubject
from .probe import FIVE, JournalProbe, new_probe

DURABLE = [Capability.DURABLE]


async def _reopened(subject: JournalSubject, probe: JournalProbe, expected: list[int], highest: int) -> None:
    """Open the journal again; check what is there and that a new writer goes on behind it."""
    async with subject.open() as journal:
        successor = probe.successor(journal)
        await successor.shows(expected)
        await successor.highest_is(highest)
        expect(await successor.claim(), highest, "the claim after reopening")
        await successor.stored(highest + 1)
        await successor.shows([*expected, highest + 1])


class RestartCases(Promises):
    """Restarts and crashes."""

    group = "Restarts and crashes"

    @case(requires=DURABLE)
    async def test_events_survive_a_restart(self, subject: JournalSubject) -> None:
        """X1. After closing and opening again, all events are there as they were, and writing goes on.

        Why: this is what a journal is for.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(*FIVE)
        await _reopened(subject, probe, [1, 2, 3, 4, 5], 5)

    @case(requires=DURABLE)
    async def test_events_survive_a_crash(self, subject: JournalSubject) -> None:
        """X1. What was acknowledged is visible to another open journal before the first one is closed.

        Why: a process that dies does not close its stores; what waits for the close is lost.
        """
        async with subject.open() as crashed:
            probe = await new_probe(subject, crashed)
            await probe.stored(*FIVE)
            await _reopened(subject, probe, [1, 2, 3, 4, 5], 5)

    @case(requires=[*DURABLE, Capability.DELETES])
    async def test_deletes_survive_a_restart(self, subject: JournalSubject) -> None:
        """X1, D9. After a restart, deleted events stay deleted.

        Why: a floor that is kept in memory only brings events back that nobody expects any more.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(*FIVE)
            await probe.delete_to(3)
        await _reopened(subject, probe, [4, 5], 5)

    @case(requires=[*DURABLE, Capability.DELETES])
    async def test_highest_survives_a_restart_after_deleting_everything(self, subject: JournalSubject) -> None:
        """X1, D10. After deleting everything and a restart, nothing is replayed and highest is still 5.

        Why: computed from the events that are left it is 0, and the next event gets a number that was used.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(*FIVE)
            await probe.delete_to(MAX_SEQUENCE_NR)
        await _reopened(subject, probe, [], 5)

    @case(requires=[*DURABLE, Capability.DELETES])
    async def test_deletes_beyond_the_end_hide_nothing_after_a_restart(self, subject: JournalSubject) -> None:
        """X1, D2. After a delete far beyond the end and a restart, new events are visible, also after another one.

        Why: a floor in the future swallows everything that is written until it is reached.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1, 2)
            await probe.delete_to(1_000)
        await _reopened(subject, probe, [], 2)
        async with subject.open() as journal:
            await probe.successor(journal).shows([3])

    @case(requires=[*DURABLE, Capability.DELETES])
    async def test_several_deletes_survive_a_restart(self, subject: JournalSubject) -> None:
        """X1, D3. Deletes to 2, to 4 and to 1 with restarts between them leave what the largest leaves.

        Why: a log of deletes in which the last one wins resurrects events.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1, 2, 3, 4, 5, 6)
        for number in (2, 4, 1):
            async with subject.open() as journal:
                await probe.successor(journal).delete_to(number)
        await _reopened(subject, probe, [5, 6], 6)

    @case(requires=[*DURABLE, Capability.DELETES])
    async def test_a_delete_touches_one_id_only_after_a_restart(self, subject: JournalSubject) -> None:
        """X1, D5. After a restart, the delete of one id has touched no other one.

        Why: floors that are kept by a shortened name come back to the wrong id.
        """
        base = subject.id()
        async with subject.open() as journal:
            probes = [await new_probe(subject, journal, name, exact=True) for name in (base, base + "1", "x" + base)]
            for probe in probes:
                await probe.stored(1, 2, 3)
            await probes[0].delete_to(2)
        async with subject.open() as journal:
            await probes[0].successor(journal).shows([3])
            for probe in probes[1:]:
                await probe.successor(journal).shows([1, 2, 3])

    @case(requires=DURABLE)
    async def test_holes_survive_a_restart(self, subject: JournalSubject) -> None:
        """X1, W11. Numbers with holes are the same after a restart.

        Why: a store that counts records when it opens closes the holes.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            for number in (1, 2, 5, 9):
                await probe.stored(number)
        await _reopened(subject, probe, [1, 2, 5, 9], 9)

    @case(requires=DURABLE)
    async def test_all_fields_survive_a_restart(self, subject: JournalSubject) -> None:
        """X1, E4. Payload, manifest, writer, timestamp and (if declared) tags and metadata are the same afterwards.

        Why: what only lives in a cache is gone when it is needed.
        """
        fields: dict[str, object] = {"manifest": "m:v1", "timestamp": 1_234_567_890_123}
        if subject.has(Capability.TAGS):
            fields["tags"] = frozenset({"red"})
        if subject.has(Capability.METADATA):
            fields["metadata"] = {"origin": "a"}
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            event = probe.event(1, **fields)
            await probe.submit(AtomicWrite((event,)))
        async with subject.open() as journal:
            events = await probe.successor(journal).replay()
            expect_numbers([event.sequence_nr for event in events], [1], "the replay after a restart")
            expect_event(events[0], event)

    @case(requires=[*DURABLE, Capability.REJECTS_UNSERIALIZABLE], needs=["unserializable"])
    async def test_rejected_events_do_not_appear_after_a_restart(self, subject: JournalSubject) -> None:
        """X1, W5. What was rejected is not there after a restart either.

        Why: a store may hide a rejected event by a note that it keeps in memory.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1)
            bad = AtomicWrite((probe.event(2, payload=subject.options.unserializable),))
            await probe.submit(bad, probe.batch(3))
        await _reopened(subject, probe, [1, 3], 3)

    @case(requires=[*DURABLE, Capability.FENCING])
    async def test_fenced_events_do_not_appear_after_a_restart(self, subject: JournalSubject) -> None:
        """X1, C4. What a fenced writer tried to write is not there after a restart, and it is still fenced.

        Why: every reader must come to the same decision, forever.
        """
        async with subject.open() as journal:
            old = await new_probe(subject, journal)
            await old.stored(1)
            new, _ = await old.next_writer()
            with raises(WriterFenced, "a write of the older writer"):
                await old.journal.write([old.batch(2)])
            await new.stored(2)
        async with subject.open() as journal:
            again = JournalProbe(subject, journal, old.persistence_id, old.writer, old.written)
            await again.shows([1, 2])
            with raises(WriterFenced, "the older writer after a restart"):
                await journal.write([again.batch(3)])
            await again.shows([1, 2])

    @case(requires=DURABLE, limit=20.0)
    async def test_many_restarts_lose_nothing(self, subject: JournalSubject) -> None:
        """X1. Ten restarts with a few events in each life: everything is there in the end.

        Why: what a store rewrites when it opens goes wrong on the second time.
        """
        probe: JournalProbe | None = None
        last = 0
        for life in range(10):
            async with subject.open() as journal:
                probe = probe.successor(journal) if probe else JournalProbe(subject, journal, subject.id())
                expect(await probe.claim(), last, f"the claim in life {life + 1}")
                await probe.stored(last + 1, (last + 2, last + 3))
                last += 3
        assert probe is not None
        async with subject.open() as journal:
            await probe.successor(journal).shows(range(1, last + 1))

    @case(lacks=DURABLE)
    async def test_without_durability_nothing_is_half_there(self, subject: JournalSubject) -> None:
        """X1. A journal that is not durable comes back with all of an id or with nothing of it, highest included.

        Why: a highest number without events, or events without it, is a damaged id and not an empty one.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1, 2, 3)
        async with subject.open() as journal:
            successor = probe.successor(journal)
            numbers = [event.sequence_nr for event in await successor.replay()]
            highest = await journal.highest_sequence_nr(probe.persistence_id)
            require((numbers, highest) in (([], 0), ([1, 2, 3], 3)), f"events {numbers}, highest {highest}")
