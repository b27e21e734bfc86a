"""Promises while the backend is down or slow. Needs the `faults` adapter."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable

import trio

from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import BrokerError, PersistenceError, WriteError, WriteOutcomeUnknown

from ..adapters import Faults
from ..engine.case import Promises, case
from ..engine.expect import expect_numbers, raises, require
from ..engine.subject import JournalSubject
from .faults import NEEDS, faulty_probe
from .probe import JournalProbe, new_probe

GRACE = 2.0
"""Seconds that a call may need beyond the store's own delivery time, times the scale factor."""


class OutageCases(Promises):
    """A backend that is down or slow."""

    group = "Outages"

    @case(needs=NEEDS, limit=60.0)
    async def test_a_backend_that_is_down_at_start_is_an_error(self, subject: JournalSubject) -> None:
        """X6. With the backend down, opening or claiming raises a BrokerError; when it is back, everything works.

        Why: a start that hangs or that shows an empty journal is worse than one that fails.
        """
        async with subject.faults() as faults:
            await faults.stop()
            await _fails(subject, _claim_once(subject, faults), "starting with the backend down")
            await faults.start()
            async with subject.open_faulty(faults) as journal:
                probe = await new_probe(subject, journal)
                await probe.stored(1)
                await probe.shows([1])

    @case(needs=NEEDS, limit=60.0)
    async def test_a_write_to_a_backend_that_is_down_is_no_rejection(self, subject: JournalSubject) -> None:
        """X7, C3. With the backend down a write fails or is unknown, never rejected; later the store works again.

        Why: the entity goes on after a rejection, as if the event had been refused on its merits.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.stop()
            await _fails(subject, lambda: probe.journal.write([probe.batch(2)]), "a write with the backend down")
            await faults.start()
            await faults.land()
            successor, highest = await _retried(probe.next_writer)
            await successor.stored(highest + 1)
            await successor.shows(range(1, highest + 2))

    @case(needs=NEEDS, limit=60.0)
    async def test_reads_of_a_backend_that_is_down_are_errors(self, subject: JournalSubject) -> None:
        """X7, X9. With the backend down a replay and the highest number are errors, not an empty journal.

        Why: "no events" makes a new entity out of an old one.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.stop()
            await _fails(subject, probe.successor().claim, "a claim with the backend down")
            await _fails(subject, probe.replay, "a replay with the backend down")
            await faults.start()
            await _retried(probe.next_writer)
            await probe.shows([1])
            await probe.highest_is(1)

    @case(needs=NEEDS, requires=[Capability.DELETES], limit=60.0)
    async def test_a_delete_on_a_backend_that_is_down_is_an_error(self, subject: JournalSubject) -> None:
        """X7. With the backend down a delete is an error; deleting again afterwards is safe.

        Why: retention that believes it has deleted never tries again.
        """
        async with faulty_probe(subject) as (faults, probe):
            await probe.stored(2, 3)
            await faults.stop()
            await _fails(subject, lambda: probe.delete_to(2), "a delete with the backend down")
            await faults.start()
            successor, _ = await _retried(probe.next_writer)
            await successor.delete_to(2)
            await successor.shows([3])

    @case(needs=NEEDS, limit=60.0)
    async def test_a_replay_that_breaks_off_is_an_error(self, subject: JournalSubject) -> None:
        """X9. If the backend goes down during a replay, the replay raises after its prefix; it does not just end.

        Why: a prefix that looks complete is a state from the past.
        """
        total = 2_000
        async with faulty_probe(subject) as (faults, probe):
            await probe.stored(*range(2, total + 1))
            received: list[int] = []

            async def read() -> None:
                async with probe.journal.replay(probe.persistence_id) as channel:
                    received.append((await channel.receive()).sequence_nr)
                    await faults.stop()
                    received.extend([event.sequence_nr async for event in channel])

            try:
                await read()
            except BrokerError:
                pass
            else:
                require(len(received) == total, f"the replay ended without an error after {len(received)} of {total}")
            expect_numbers(received, range(1, len(received) + 1), "what the replay gave before it broke off")
            await faults.start()

    @case(needs=NEEDS, limit=60.0)
    async def test_a_slow_backend_meets_the_deadline(self, subject: JournalSubject) -> None:
        """X8. With a backend that does not answer, a write ends within the store's delivery time; later it works.

        Why: a write without an end blocks its entity, its caller and the shutdown.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.hold()
            started = trio.current_time()
            await _fails(subject, lambda: probe.journal.write([probe.batch(2)]), "a write that is not answered")
            took = trio.current_time() - started
            limit = faults.delivery_time + GRACE * subject.options.scale
            require(took <= limit, f"the write took {took:.2f} s (delivery time and grace: {limit:.2f} s)")
            await faults.release()
            successor, highest = await _retried(probe.next_writer)
            await successor.stored(highest + 1)
            await successor.shows(range(1, highest + 2))

    @case(needs=NEEDS, limit=60.0)
    async def test_a_read_ends_when_its_caller_gives_up(self, subject: JournalSubject) -> None:
        """T9, X8. A deadline around a claim, a replay or a highest number that is not answered ends it on time.

        Why: callers have deadlines of their own; a read has nothing to protect from them.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.hold()
            for name, call in _reads(probe):
                started = trio.current_time()
                with trio.move_on_after(0.01):
                    await _swallow(call)
                took = trio.current_time() - started
                require(took <= GRACE * subject.options.scale, f"{name} outlived its deadline by {took:.2f} s")
            await faults.release()

    @case(needs=NEEDS, limit=60.0)
    async def test_a_slow_write_delays_no_other_id(self, subject: JournalSubject) -> None:
        """C1. While the backend does not answer for one id, writes of another id return.

        Why: one slow partition must not stop all entities.
        """
        async with faulty_probe(subject) as (faults, slow):
            other = await new_probe(subject, slow.journal, "other")
            await faults.hold(slow.persistence_id)
            async with trio.open_nursery() as nursery:
                await nursery.start(_tried, functools.partial(slow.submit, slow.batch(2)))
                with trio.move_on_after(faults.delivery_time + GRACE * subject.options.scale) as scope:
                    await other.stored(1)
                await faults.release()
            require(not scope.cancelled_caught, "a write of another id waited for the slow one")
            await other.shows([1])

    @case(needs=NEEDS, limit=60.0)
    async def test_highest_waits_for_a_slow_write(self, subject: JournalSubject) -> None:
        """H3, C3, C8. Asked during a slow write of the same id, highest waits for its outcome.

        Why: answered before, it gives a number that is about to be used.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.hold(probe.persistence_id)
            answers: list[int] = []

            async def ask() -> None:
                try:
                    answers.append(await probe.journal.highest_sequence_nr(probe.persistence_id))
                except PersistenceError:
                    answers.append(-1)

            async with trio.open_nursery() as nursery:
                await nursery.start(_tried, functools.partial(probe.submit, probe.batch(2)))
                nursery.start_soon(ask)
                await trio.sleep(faults.delivery_time / 4)
                require(not answers, f"highest answered {answers} while a write of the id was under way")
                await faults.release()
            stored = [event.sequence_nr for event in await probe.replay()]
            require(answers[0] in {-1, stored[-1]}, f"highest answered {answers[0]}, the replay gives {stored}")

    @case(needs=NEEDS, limit=60.0)
    async def test_a_cancelled_slow_write_is_whole_or_absent(self, subject: JournalSubject) -> None:
        """T2, X8. A slow write that is cancelled ends within the delivery time, and the next claim decides.

        Why: a caller that gives up does not take back what is on its way.
        """
        async with faulty_probe(subject) as (faults, probe):
            await faults.hold(probe.persistence_id)
            started = trio.current_time()
            with trio.move_on_after(faults.delivery_time / 4):
                await _swallow(functools.partial(probe.submit, *probe.split([(2, 3)])))
            took = trio.current_time() - started
            limit = faults.delivery_time + GRACE * subject.options.scale
            require(took <= limit, f"the cancelled write took {took:.2f} s (limit {limit:.2f} s)")
            await faults.release()
            successor, highest = await _retried(probe.next_writer)
            await successor.shows(range(1, highest + 1))
            await successor.stored(highest + 1)
            await successor.shows(range(1, highest + 2))


async def _fails(subject: JournalSubject, call: Callable[[], Awaitable[object]], what: str) -> None:
    """Check that a call ends in time, with the library's error for "no answer"."""
    with raises((BrokerError, WriteOutcomeUnknown), what), trio.fail_after(30 * subject.options.scale):
        await call()


def _claim_once(subject: JournalSubject, faults: Faults) -> Callable[[], Awaitable[object]]:
    async def claim() -> None:
        async with faults.open_journal() as journal:
            await _ask(subject, journal)

    return claim


async def _ask(subject: JournalSubject, journal: Journal) -> None:
    await JournalProbe(subject, journal, subject.id()).claim()


async def _retried(
    call: Callable[[], Awaitable[tuple[JournalProbe, int]]], attempts: int = 50
) -> tuple[JournalProbe, int]:
    """Call until the backend is back: each refusal must be a typed error."""
    for _ in range(attempts):
        try:
            return await call()
        except (BrokerError, WriteError):
            await trio.sleep(0.1)
    return await call()


async def _swallow(call: Callable[[], Awaitable[object]]) -> None:
    with contextlib.suppress(PersistenceError):
        await call()


async def _tried(
    call: Callable[[], Awaitable[object]], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    task_status.started()
    await _swallow(call)


def _reads(probe: JournalProbe) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    return [
        ("highest_sequence_nr", lambda: probe.journal.highest_sequence_nr(probe.persistence_id)),
        ("replay", probe.replay),
        ("claim", probe.successor().claim),
    ]
