"""Promises about what `Cancelled` tells: a write that it came out of is absent, now and later, and nothing works on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from kafka_persist.abc import Capability

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_numbers, require
from ..engine.pauses import pauses
from ..engine.resources import listed, threads, working_threads
from ..engine.subject import JournalSubject
from .cancellation import at_every_await, cancel_at
from .probe import JournalProbe, new_probe

LARGE = 300


class CancelledCases(Promises):
    """What Cancelled tells."""

    group = "What Cancelled tells"

    @case(limit=60.0)
    async def test_a_write_that_raised_cancelled_is_absent_now_and_later(self, subject: JournalSubject) -> None:
        """T2, T1. A write, cancelled at any of its awaits: if Cancelled came out, no event is there, now or later.

        Why: "not stored" is what Cancelled says; whoever believes it uses the numbers again.
        """
        left: list[tuple[JournalProbe, list[int]]] = []
        async with subject.open() as journal:

            async def attempt(step: int) -> bool:
                probe = await new_probe(subject, journal, f"cancelled-{step}")
                await probe.stored(1)
                finished, hit = await cancel_at(step, lambda: probe.submit(*probe.split([range(2, LARGE + 2)])))
                expected = [1, *range(2, LARGE + 2)] if finished else [1]
                ended = "returned" if finished else "raised Cancelled"
                numbers = [event.sequence_nr for event in await probe.replay()]
                expect_numbers(numbers, expected, f"cancelled at await {step}, the write {ended}; the replay after it")
                left.append((probe, expected))
                return hit

            await at_every_await(attempt)
            for probe, expected in left:
                await _shows(probe, expected, "at the end, after other writes")
        if subject.has(Capability.DURABLE):
            async with subject.open() as journal:
                for probe, expected in left:
                    await _shows(probe.at(journal), expected, "after a restart")

    @case(limit=60.0)
    async def test_a_writer_goes_on_after_a_cancelled_call(self, subject: JournalSubject) -> None:
        """T1, T2. After any call that was cancelled at any of its awaits, the same writer writes on without a claim.

        Why: a timeout around one command must not cost the entity its life.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1)
            last = 1

            async def write() -> None:
                await probe.stored(last + 1)

            async def replay() -> None:
                await probe.replay(max_events=3)

            calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
                ("write", write),
                ("replay", replay),
                ("highest_sequence_nr", lambda: journal.highest_sequence_nr(probe.persistence_id)),
            ]
            if subject.has(Capability.DELETES):
                calls.append(("delete_to", lambda: probe.delete_to(0)))
            for name, call in calls:

                async def attempt(step: int, name: str = name, call: Callable[[], Awaitable[object]] = call) -> bool:
                    nonlocal last
                    finished, hit = await cancel_at(step, call)
                    last += name == "write" and finished
                    where = f"after a {name} that was cancelled at await {step}"
                    expect(
                        await journal.highest_sequence_nr(probe.persistence_id), last, f"{where}, the highest number"
                    )
                    await probe.stored(last + 1)
                    last += 1
                    return hit

                await at_every_await(attempt)
            await probe.shows(range(1, last + 1))

    @case(limit=60.0)
    async def test_no_thread_works_on_after_a_cancelled_call(self, subject: JournalSubject) -> None:
        """T2, T4. When Cancelled came out of a call, no thread works on it any more.

        Why: what a forgotten thread does later, it does to a caller that was told that nothing happens.
        """
        async with pauses() as paused, subject.open() as journal:
            probe = await new_probe(subject, journal, "read")
            await probe.stored(*range(1, LARGE + 1))
            before = threads()

            def no_thread(what: str) -> None:
                left = working_threads(before)
                require(not left, f"{what}, and this still works: {listed(left)}")

            async def cancelled(step: int, name: str, call: Callable[[], Awaitable[object]]) -> bool:
                paused.begin_at(1)  # a thread may be done before anybody looks
                _, hit = await cancel_at(step, call)
                no_thread(f"the {name} was cancelled at await {step}")
                paused.end()
                return hit

            async def write(step: int) -> bool:
                going_on = False
                for turn in range(3):
                    writer = await new_probe(subject, journal, f"thread-{step}-{turn}")
                    writes = writer.split([range(1, LARGE + 1)])
                    going_on |= await cancelled(step, "write", partial(writer.submit, *writes))
                return going_on

            async def claim(step: int) -> bool:
                return await cancelled(step, "claim", probe.successor().claim)

            async def replay(step: int) -> bool:
                return await cancelled(step, "replay", probe.replay)

            async def highest(step: int) -> bool:
                return await cancelled(
                    step, "highest_sequence_nr", partial(journal.highest_sequence_nr, probe.persistence_id)
                )

            async def delete(step: int) -> bool:
                return await cancelled(step, "delete_to", partial(journal.delete_to, probe.persistence_id, 1))

            await at_every_await(write)
            await at_every_await(claim)
            await at_every_await(replay, 20)
            await at_every_await(highest)
            if subject.has(Capability.DELETES):
                await at_every_await(delete)


async def _shows(probe: JournalProbe, expected: list[int], when: str) -> None:
    numbers = [event.sequence_nr for event in await probe.replay()]
    expect_numbers(numbers, expected, f"the replay {when}")
    highest = await probe.journal.highest_sequence_nr(probe.persistence_id)
    expect(highest, expected[-1], f"the highest number {when}")
