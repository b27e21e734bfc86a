"""Promises of `Journal.replay` beyond windows: long logs, holes, pages, readers that leave, damage."""

from __future__ import annotations

import trio

from kafka_persist.abc import Capability
from kafka_persist.errors import PersistenceError

from ..engine.case import Promises, case
from ..engine.expect import expect_library_error, expect_numbers, raises, require
from ..engine.subject import JournalSubject
from ..errors import NotShown
from .probe import JournalProbe, new_probe, open_probe

PAGES = (1, 2, 99, 100, 101, 199, 201, 300, 999, 1_000, 1_001)
"""Lengths around the pages that stores use (100, 1,000) and their multiples."""


class ReplayCases(Promises):
    """Long replays, readers that leave early, and damage."""

    group = "Replay, beyond windows"

    @case(limit=60.0)
    async def test_logs_of_every_page_length_are_replayed_whole(self, subject: JournalSubject) -> None:
        """R3. Logs whose length is one below, at and one above 100 and 1,000 are replayed whole.

        Why: a store reads page by page, and the border between two pages is where the last or first event gets lost.
        """
        async with subject.open() as journal:
            for length in PAGES:
                probe = await new_probe(subject, journal, f"page-{length}")
                await probe.stored(*range(1, length + 1))
                await probe.shows(range(1, length + 1))

    @case(limit=30.0)
    async def test_a_hole_wider_than_a_page_does_not_end_the_replay(self, subject: JournalSubject) -> None:
        """R3. Behind holes of 2, 101 and 1,001 numbers the replay goes on.

        Why: a store that reads numbers 1 to 100 and finds nothing takes the hole for the end: events vanish.
        """
        async with subject.open() as journal:
            for hole in (2, 101, 1_001, 100_000):
                probe = await new_probe(subject, journal, f"hole-{hole}")
                await probe.stored(1, 2)
                await probe.stored(2 + hole, 3 + hole)
                await probe.shows([1, 2, 2 + hole, 3 + hole])
                await probe.shows([2 + hole], 3, max_events=1)

    @case()
    async def test_several_holes_do_not_end_the_replay(self, subject: JournalSubject) -> None:
        """R4. Several holes in one log, one after the other, are all passed.

        Why: an entity that rejects often leaves many.
        """
        numbers = [1, 3, 4, 104, 250, 251, 1_500]
        async with open_probe(subject) as probe:
            for number in numbers:
                await probe.stored(number)
            await probe.shows(numbers)
            await probe.highest_is(1_500)

    @case()
    async def test_events_written_during_a_replay_come_in_order_or_not(self, subject: JournalSubject) -> None:
        """R5. What is written while a replay runs may come or not, but in order, and never instead of older events.

        Why: a reader that sees 7 before 6 computes a state that never was.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1, 2, 3)
            received: list[int] = []
            async with probe.journal.replay(probe.persistence_id) as channel:
                received.append((await channel.receive()).sequence_nr)
                await probe.stored(4)
                await probe.stored(5)
                received += [event.sequence_nr async for event in channel]
            require(len(received) >= 3, "events that were stored before the replay are missing")
            expect_numbers(received, range(1, len(received) + 1), "the replay")
            await probe.shows(range(1, 6))

    @case()
    async def test_a_reader_may_leave_early(self, subject: JournalSubject) -> None:
        """R6. Leaving a replay after two events ends it; the journal goes on as before.

        Why: a recovery that fails half-way leaves its replay; the store must not stay busy with it.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 51))
            for _ in range(20):
                async with probe.journal.replay(probe.persistence_id) as channel:
                    await channel.receive()
                    await channel.receive()
            await probe.stored(51)
            await probe.shows(range(1, 52))

    @case()
    async def test_a_replay_ends_for_good(self, subject: JournalSubject) -> None:
        """R6. After its last event a replay raises EndOfChannel, again and again.

        Why: the end is a state, not a message that only one reader gets.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1)
            async with probe.journal.replay(probe.persistence_id) as channel:
                await channel.receive()
                for _ in range(3):
                    with raises(trio.EndOfChannel, "receiving behind the last event"):
                        await channel.receive()

    @case(limit=20.0)
    async def test_many_replays_at_once(self, subject: JournalSubject) -> None:
        """R6. Twenty replays of one id at once, half of them abandoned, all give their events.

        Why: views read the same id side by side.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 31))
            async with trio.open_nursery() as nursery:
                for reader in range(20):
                    nursery.start_soon(_read, probe, 3 if reader % 2 else 30)

    @case(limit=120.0)
    async def test_a_long_replay_needs_bounded_memory(self, subject: JournalSubject) -> None:
        """R10. A replay of 50,000 events to a slow reader keeps only a bounded number of them in memory.

        Why: an id that lived for years has more events than memory; recovery must not end in a kill.
        """
        async with open_probe(subject) as probe:
            total = 50_000
            for first in range(1, total + 1, 1_000):
                await probe.journal.write(probe.split([range(first, first + 1_000)]))
            await _measure_replay(probe, total)

    @case(needs=["backdoor"], requires=[Capability.DURABLE])
    async def test_an_undecodable_event_fails_its_id(self, subject: JournalSubject) -> None:
        """R9, C11. A damaged event fails the replay with id and number; nothing behind it is delivered.

        Why: a replay that skips what it cannot read recovers a wrong state, and nobody notices.
        """
        name, number = subject.id(), 3
        async with subject.open() as journal:
            probe = await new_probe(subject, journal, name, exact=True)
            await probe.stored(*range(1, 6))
        await subject.adapter.corrupt_event(name, number)
        async with subject.open() as journal:
            await _fails_at(JournalProbe(subject, journal, name), number)

    @case(needs=["backdoor"], requires=[Capability.DURABLE])
    async def test_an_undecodable_event_leaves_other_ids_alone(self, subject: JournalSubject) -> None:
        """R9. Other ids are read and written as if nothing had happened.

        Why: one bad record must not take the whole journal down.
        """
        name = subject.id("bad")
        async with subject.open() as journal:
            probe = await new_probe(subject, journal, name, exact=True)
            await probe.stored(1)
        await subject.adapter.corrupt_event(name, 1)
        async with subject.open() as journal:
            with raises(PersistenceError, "a replay of the damaged id"):
                await JournalProbe(subject, journal, name).replay()
            good = await new_probe(subject, journal, "good")
            await good.stored(1, 2)
            await good.shows([1, 2])

    @case(needs=["backdoor"], requires=[Capability.DURABLE])
    async def test_an_unknown_type_fails_recovery(self, subject: JournalSubject) -> None:
        """E5, R9. An event whose stored type name is unknown fails the replay.

        Why: a release without the type must stop, not recover without the event.
        """
        name = subject.id()
        async with subject.open() as journal:
            probe = await new_probe(subject, journal, name, exact=True)
            await probe.stored(1, 2)
        await subject.adapter.rename_event_type(name, 2)
        async with subject.open() as journal:
            await _fails_at(JournalProbe(subject, journal, name), 2)


async def _fails_at(probe: JournalProbe, number: int) -> None:
    received: list[int] = []
    with raises(Exception, f"a replay over the damaged event #{number}") as caught:
        async with probe.journal.replay(probe.persistence_id) as channel:
            received += [event.sequence_nr async for event in channel]
    expect_library_error(caught[0], "a replay over a damaged event")
    require(not received or received[-1] < number, f"events behind the damaged #{number} were delivered: {received}")
    text = str(caught[0])
    require(str(number) in text, f"the error does not name the sequence number {number}: {text}")


async def _read(probe: JournalProbe, count: int) -> None:
    received: list[int] = []
    async with probe.journal.replay(probe.persistence_id) as channel:
        while len(received) < count:
            received.append((await channel.receive()).sequence_nr)
    expect_numbers(received, range(1, count + 1), "one of many replays")


async def _measure_replay(probe: JournalProbe, total: int) -> None:
    import tracemalloc

    if tracemalloc.is_tracing():
        raise NotShown("not shown: memory is being traced already")
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        async with probe.journal.replay(probe.persistence_id) as channel:
            for _ in range(20):
                await channel.receive()
                await trio.sleep(0.001)
            for _ in range(5_000):
                await channel.receive()
            grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    limit = 16 * 1024 * 1024
    require(grown < limit, f"the replay of {total} events held {grown} bytes at once (limit {limit})")
