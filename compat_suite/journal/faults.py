"""Promises under faults: lost answers, late landings, a backend that is down or slow. Needs the `faults` adapter."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from kafka_persist.abc import Capability
from kafka_persist.errors import WriteError, WriteOutcomeUnknown
from kafka_persist.model import AtomicWrite

from ..adapters import Faults
from ..engine.case import Promises, case
from ..engine.expect import expect, expect_numbers, raises, require
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe

NEEDS = ["faults"]


@asynccontextmanager
async def faulty_probe(subject: JournalSubject) -> AsyncGenerator[tuple[Faults, JournalProbe]]:
    """Open a journal on a backend that can misbehave, with one event stored."""
    async with subject.faults() as faults, subject.open_faulty(faults) as journal:
        probe = await new_probe(subject, journal)
        await probe.stored(1)
        yield faults, probe


class FaultCases(Promises):
    """Faults of the backend."""

    group = "Faults"

    @case(needs=NEEDS, limit=30.0)
    async def test_a_lost_acknowledgement_is_unknown(self, subject: JournalSubject) -> None:
        """X2, C3. If the answer to a write is lost, the call raises WriteOutcomeUnknown (or has found out).

        Why: "stored" would be a guess, and "rejected" a lie: the event is in the log.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.lose_acknowledgement()
            results = await _unknown_or_stored(probe, probe.batch(2))
            successor, highest = await probe.next_writer()
            require(highest in {1, 2} and (results is None or highest == 2), f"the claim after it gives {highest}")
            await successor.shows(range(1, highest + 1))
            await successor.stored(highest + 1)
            await successor.shows(range(1, highest + 2))

    @case(needs=NEEDS, limit=30.0)
    async def test_a_writer_with_an_unknown_outcome_is_finished(self, subject: JournalSubject) -> None:
        """X2. After an unknown outcome the writer's later writes are refused until somebody claims the id.

        Why: writing on means guessing whether the number is used.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.delay_write()
            if await _unknown_or_stored(probe, probe.batch(2)) is not None:
                return
            with raises(WriteError, "the next write of a writer whose last outcome is unknown"):
                await probe.journal.write([probe.batch(2)])
            with raises(WriteError, "its next but one"):
                await probe.journal.write([probe.batch(3)])

    @case(needs=NEEDS, limit=30.0)
    async def test_an_unknown_outcome_tells_the_result_of_each_write(self, subject: JournalSubject) -> None:
        """X2, W3. The error of an unknown outcome carries one result per atomic write of the call.

        Why: the other entities of a shared writer want to know about their own.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.lose_acknowledgement()
            with raises(WriteOutcomeUnknown, "a write whose acknowledgement is lost") as caught:
                results = await probe.journal.write([probe.batch(2)])
                raise WriteOutcomeUnknown("the store found out", results=[*results])
            error = caught[0]
            assert isinstance(error, WriteError)
            expect(len(error.results), 1, "the number of results that the error carries")

    @case(needs=NEEDS, requires=[Capability.FENCING], limit=30.0)
    async def test_a_write_that_lands_behind_a_claim_is_never_visible(self, subject: JournalSubject) -> None:
        """X3, C8. A write that lands after another writer's claim returned is never visible, to nobody.

        Why: the new writer has read the history without it and decided; it cannot appear afterwards.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.delay_write()
            if await _unknown_or_stored(probe, probe.batch(2)) is not None:
                return
            successor, highest = await probe.next_writer()
            await faults.land()
            expect(highest, 1, "the claim before the old write landed")
            await successor.shows([1])
            await successor.stored(2, 3)
            await successor.shows([1, 2, 3])

    @case(needs=NEEDS, limit=30.0)
    async def test_a_write_that_lands_before_a_claim_counts(self, subject: JournalSubject) -> None:
        """X3. A write that lands before the next claim is part of what the claim returns, and stays.

        Why: a claim decides once; both answers are right, changing it is not.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.delay_write()
            await _unknown_or_stored(probe, probe.batch(2))
            await faults.land()
            successor, highest = await probe.next_writer()
            require(highest in {1, 2}, f"the claim gives {highest}")
            for _ in range(2):
                await successor.shows(range(1, highest + 1))
            await successor.stored(highest + 1)
            await successor.shows(range(1, highest + 2))

    @case(needs=NEEDS, limit=30.0)
    async def test_a_retry_that_may_have_landed_is_not_stored_twice(self, subject: JournalSubject) -> None:
        """C33, X2. Whatever the store does about a lost answer, no event is there twice.

        Why: a store that silently sends again doubles the money.
        """
        async with faulty_probe(subject) as (faults, first):
            probe = first
            for number in (2, 3, 4):
                await faults.lose_acknowledgement()
                try:
                    await probe.submit(probe.batch(number))
                except WriteOutcomeUnknown:
                    probe, highest = await probe.next_writer()
                    if highest < number:
                        await probe.stored(number)
            await faults.land()
            await probe.shows([1, 2, 3, 4])

    @case(needs=NEEDS, requires=[Capability.MULTI_EVENT_ATOMIC_WRITES], limit=30.0)
    async def test_an_unknown_atomic_write_is_whole_or_absent(self, subject: JournalSubject) -> None:
        """X5. An atomic write of 50 events with an unknown outcome is there whole or not at all.

        Why: all or nothing is promised for the days on which things go wrong.
        """
        for fault in ("lose_acknowledgement", "delay_write"):
            async with faulty_probe(subject) as (faults, probe):
                await getattr(faults, fault)()
                await _unknown_or_stored(probe, probe.batch(*range(2, 52)))
                await faults.land()
                successor, highest = await probe.next_writer()
                require(highest in {1, 51}, f"after {fault} the claim gives {highest}: a part of the write is there")
                await successor.shows(range(1, highest + 1))

    @case(needs=NEEDS, limit=60.0)
    async def test_acknowledged_events_survive_any_mix_of_faults(self, subject: JournalSubject) -> None:
        """X4, C5. Through a long mix of faults, every acknowledged event is in the last replay, in order, once.

        Why: an acknowledgement is the only thing that an entity can rely on.
        """
        chance = random.Random(subject.options.seed)  # noqa: S311 - a replayable schedule, no secret
        async with faulty_probe(subject) as (faults, first):
            probe, highest = first, 1
            acknowledged = {(1, probe.writer)}
            for _ in range(40):
                fault = chance.choice(["none", "none", "lose_acknowledgement", "delay_write"])
                if fault != "none":
                    await getattr(faults, fault)()
                try:
                    await probe.submit(*probe.split([highest + 1, (highest + 2, highest + 3)]))
                    acknowledged |= {(highest + step, probe.writer) for step in (1, 2, 3)}
                    highest += 3
                except WriteError:
                    probe, highest = await probe.next_writer()
                    await faults.land()
            events = await probe.replay()
            seed = subject.options.seed
            expect_numbers([event.sequence_nr for event in events], range(1, highest + 1), f"the replay (seed {seed})")
            missing = acknowledged - {(event.sequence_nr, event.writer) for event in events}
            require(not missing, f"acknowledged but lost: {sorted(nr for nr, _ in missing)} (seed {seed})")


async def _unknown_or_stored(probe: JournalProbe, write: AtomicWrite) -> object:
    """Write; None if the outcome is unknown, else the results (the store found out by itself)."""
    try:
        results = await probe.submit(write)
    except WriteOutcomeUnknown:
        return None
    expect(list(results), [None], "the results of a write whose acknowledgement did not come")
    return results
