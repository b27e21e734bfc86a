"""Promises of structured concurrency, which only an asynchronous suite can check."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

import trio
import trio.testing

from kafka_persist.abc import Capability, Journal
from kafka_persist.errors import StoreClosed, UsageError
from kafka_persist.model import MAX_SEQUENCE_NR

from ..engine.case import Promises, case
from ..engine.expect import expect, raises, require
from ..engine.resources import held, listed, settled
from ..engine.subject import JournalSubject
from ..errors import BrokenPromise, NotApplicable, single
from .probe import JournalProbe, new_probe, open_five, open_probe


class StructuredCases(Promises):
    """Checkpoints, scopes and leaks."""

    group = "Structured concurrency"

    @case()
    async def test_every_call_is_a_checkpoint(self, subject: JournalSubject) -> None:
        """T1. Every public coroutine executes a checkpoint, also when the answer is in memory.

        Why: a loop around a call that never yields starves every other task, and cannot be cancelled.
        """
        async with open_five(subject) as probe:
            for name, call in _calls(probe):
                try:
                    with trio.testing.assert_checkpoints():
                        await call()
                except AssertionError as error:
                    if isinstance(error, BrokenPromise):
                        raise
                    raise BrokenPromise(f"{name} returned without a checkpoint") from None

    @case()
    async def test_a_cancelled_scope_stops_every_call(self, subject: JournalSubject) -> None:
        """T1. In a scope that is cancelled already, every call raises Cancelled and changes nothing.

        Why: cancelled means that it did not happen.
        """
        async with open_five(subject) as probe:
            for name, call in _calls(probe, first=6):
                finished = False
                with trio.CancelScope() as scope:
                    scope.cancel(reason="the case cancels before the call")
                    await call()
                    finished = True
                require(not finished, f"{name} ran to its end in a cancelled scope")
            await probe.shows([1, 2, 3, 4, 5])

    @case()
    async def test_use_after_close_raises_store_closed(self, subject: JournalSubject) -> None:
        """T5. After the block ended, every call raises StoreClosed.

        Why: anything else looks like an outage, and is retried forever.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1)
        for name, call in _calls(probe, first=2):
            with raises(StoreClosed, f"{name} after close"):
                await call()

    @case()
    async def test_a_replay_that_was_left_is_closed(self, subject: JournalSubject) -> None:
        """T5. Receiving from a replay after its block raises ClosedResourceError.

        Why: a channel that leaks out of its block must not keep a reader alive.
        """
        async with open_five(subject) as probe:
            async with probe.journal.replay(probe.persistence_id) as channel:
                await channel.receive()
            with raises(trio.ClosedResourceError, "receiving after the block of the replay"):
                await channel.receive()

    @case(limit=20.0)
    async def test_leaving_the_block_ends_threads_and_descriptors(self, subject: JournalSubject) -> None:
        """T4. Opening, using and closing ten times leaves no thread and no descriptor (socket, file) behind.

        Why: a process that opens stores for years runs out of both.
        """
        async with open_probe(subject) as probe:
            await probe.stored(1)
        before = held()
        for _ in range(10):
            async with open_probe(subject) as probe:
                await probe.stored(1)
                await probe.shows([1])
                await probe.replay(max_events=0)
        left = await settled(held, before, 2.0 * subject.options.scale)
        require(not left, f"ten openings and closings left {listed(left)}")

    @case()
    async def test_leaving_the_block_with_work_in_flight_ends_it(self, subject: JournalSubject) -> None:
        """T4. Leaving the block while writes and a replay run ends them; every one of them returns or raises.

        Why: a task that waits for a store that is gone waits forever.
        """
        ended: list[str] = []
        async with trio.open_nursery() as nursery, open_probe(subject) as probe:
            await probe.stored(*range(1, 11))
            for number in range(11, 16):
                await nursery.start(_until_closed, functools.partial(probe.stored, number), ended)  # noqa: ASYNC111 - the nursery is inside on purpose
            await nursery.start(_until_closed, probe.replay, ended)  # noqa: ASYNC111 - the nursery is inside on purpose
        expect(len(ended), 6, "the calls that ended when the block was left")

    @case()
    async def test_the_store_may_be_used_from_child_tasks(self, subject: JournalSubject) -> None:
        """T6. A store that is opened in one task is used from the tasks of a nursery inside and outside of its block.

        Why: entities live in tasks of their own.
        """
        async with trio.open_nursery() as outside, open_probe(subject) as probe, trio.open_nursery() as inside:
            other = await new_probe(subject, probe.journal, "other")
            inside.start_soon(probe.stored, 1)
            done = trio.Event()

            async def write_outside() -> None:
                await other.stored(1)
                done.set()

            outside.start_soon(write_outside)
            await done.wait()
            await other.shows([1])

    @case()
    async def test_errors_of_the_body_come_out_bare(self, subject: JournalSubject) -> None:
        """T7. An error that is raised inside the block, or inside a replay's block, comes out as it is.

        Why: an exception group that the user did not make breaks every `except` around the block.
        """

        class OwnError(Exception):
            pass

        for place in ("the journal's block", "a replay's block"):
            error = OwnError()
            caught = await _caught_from(subject, place, error)
            wrapped = " inside an exception group" if caught is not None and single(caught) is error else ""
            require(
                caught is error, f"expected the user's own error out of {place}, got {type(caught).__name__}{wrapped}"
            )

    @case()
    async def test_errors_of_the_store_come_out_bare(self, subject: JournalSubject) -> None:
        """T7. A refused call raises its error alone, not inside an exception group.

        Why: `except SequenceNrConflict` must work.
        """
        async with open_five(subject) as probe:
            if subject.has(Capability.REFUSES_STALE_SEQUENCE_NRS):
                with raises(UsageError, "a stale write"):
                    await probe.journal.write([probe.batch(1)])
            with raises(UsageError, "an illegal id"):
                await probe.journal.highest_sequence_nr("")
            with raises(UsageError, "a replay of an illegal id"):
                async with probe.journal.replay("") as channel:
                    await channel.receive()

    @case()
    async def test_a_cancelled_block_ends_at_once(self, subject: JournalSubject) -> None:
        """T4, T9. Cancelling a block with a store in it ends it within a second, and swallows nothing.

        Why: a shutdown that hangs is killed, and then nothing is clean.
        """
        grace = 1.0 * subject.options.scale
        started = trio.current_time()
        with trio.move_on_after(30) as outer, trio.CancelScope() as scope:
            async with open_probe(subject) as probe:
                await probe.stored(1)
                scope.cancel(reason="the case shuts down")
                started = trio.current_time()
                await trio.sleep_forever()
        took = trio.current_time() - started
        require(scope.cancelled_caught and not outer.cancelled_caught, "the cancellation did not come out of the block")
        require(took <= grace, f"leaving a cancelled block took {took:.2f} s (limit {grace:g} s)")

    @case()
    async def test_replay_deadlines_are_respected(self, subject: JournalSubject) -> None:
        """T9. A deadline around a replay that waits for its reader ends it on time.

        Why: a caller's deadline is a promise to somebody else.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 101))
            started = trio.current_time()
            with trio.move_on_after(0.05) as scope:
                async with probe.journal.replay(probe.persistence_id) as channel:
                    await channel.receive()
                    await trio.sleep_forever()
            took = trio.current_time() - started
            require(scope.cancelled_caught, "the deadline had no effect")
            require(
                took <= 0.05 + 1.0 * subject.options.scale, f"the replay outlived its deadline by {took - 0.05:.2f} s"
            )

    @case(threads=True)
    async def test_a_store_without_threads_works_under_a_mock_clock(self, subject: JournalSubject) -> None:
        """T8. A store that uses no threads works under Trio's mock clock, without waiting for real time.

        Why: users test their entities with it. A store that does use threads says `uses_threads = True` in its spec.
        """
        if subject.options.uses_threads:
            raise NotApplicable("the store works in threads (its spec says so), which a mock clock does not see")

        def run() -> None:
            clock = trio.testing.MockClock(autojump_threshold=0)
            trio.run(_write_and_read, subject, clock=clock)

        await trio.to_thread.run_sync(run)

    @case()
    async def test_closing_twice_and_reopening(self, subject: JournalSubject) -> None:
        """T4. A store opens again after each close, five times in a row, and two are open at once.

        Why: supervisors restart what fails.
        """
        for _ in range(5):
            async with open_probe(subject) as probe, subject.open() as second:
                await probe.stored(1)
                await probe.shows([1])
                other = await new_probe(subject, second, "other")
                await other.stored(1)
                await other.shows([1])


async def _caught_from(subject: JournalSubject, place: str, error: Exception) -> BaseException | None:
    manager = subject.factory()
    try:
        async with manager as journal:
            if place == "the journal's block":
                raise error
            async with journal.replay(subject.id()):
                raise error
    except BaseException as caught:  # noqa: ASYNC103 - raised again behind the nursery, or turned into a finding
        if isinstance(caught, trio.Cancelled):
            raise
        return caught  # noqa: ASYNC104 - the error is kept and judged later
    return None


async def _until_closed(
    call: Callable[[], Awaitable[object]],
    ended: list[str],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    task_status.started()
    try:
        await call()
    except (StoreClosed, trio.ClosedResourceError, trio.BrokenResourceError) as error:
        ended.append(type(error).__name__)
    else:
        ended.append("returned")


async def _write_and_read(subject: JournalSubject) -> None:
    async with open_probe(subject) as probe:
        await probe.stored(1, 2)
        await probe.shows([1, 2])


def _calls(probe: JournalProbe, first: int = 6) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
    """Return one call of each public coroutine, with its name."""
    name, journal = probe.persistence_id, probe.journal
    calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("write", lambda: journal.write([probe.batch(first)])),
        ("write of nothing", lambda: journal.write([])),
        ("highest_sequence_nr", lambda: journal.highest_sequence_nr(name)),
        ("replay", lambda: _replay_one(journal, name)),
        ("claim", lambda: journal.claim(name, probe.writer)),
    ]
    if probe.subject.has(Capability.DELETES):
        calls.append(("delete_to", lambda: journal.delete_to(name, 0)))
    return calls


async def _replay_one(journal: Journal, name: str) -> None:
    async with journal.replay(name, to_sequence_nr=MAX_SEQUENCE_NR) as channel:
        async for _ in channel:
            pass
