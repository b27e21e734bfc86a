"""Cancellation at every await of every operation: afterwards it happened or it did not, and the store works.

A Trio instrument counts the steps of the calling task and cancels its scope at step k; the case repeats the operation
with k = 1, 2, 3 … until it runs to its end. That hits every await that the operation has, whatever it is made of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from kafka_persist.abc import Capability

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_numbers, require
from ..engine.subject import JournalSubject
from .probe import JournalProbe, new_probe

MAX_STEPS = 400
"""More awaits than this are not tried one by one."""
WHOLE_LIFE = 25
"""The same for opening and closing, which may connect to something."""


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when a task has yielded for the k-th time since it became active."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, step: int, *, active: bool = True) -> None:
        self._task = task
        self._scope = scope
        self._step = step
        self.seen = 0
        self.active = active

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and cancel at the step."""
        if self.active and task is self._task:
            self.seen += 1
            if self.seen == self._step:
                self._scope.cancel(reason=f"the case cancels at await {self._step}")


async def cancel_at(step: int, operation: Callable[[], Awaitable[object]]) -> tuple[bool, bool]:
    """Run an operation and cancel it at its k-th await.

    Returns:
        Whether the operation ran to its end, and whether it had a k-th await at all.
    """
    finished = False
    scope = trio.CancelScope()
    instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step)
    with scope:
        trio.lowlevel.add_instrument(instrument)
        try:
            await operation()
            finished = True
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return finished, instrument.seen >= step


async def at_every_await(attempt: Callable[[int], Awaitable[bool]], dense: int = MAX_STEPS) -> int:
    """Call `attempt` with 1, 2, 3 … until it says that the operation has no such await; return how many it had.

    Behind the first `dense` awaits it takes larger and larger steps: an operation that polls has any number of awaits.
    """
    step = 1
    while await attempt(step):
        step += 1 if step < dense else max(7, step // 3)
        require(step < 100 * MAX_STEPS, f"the operation still awaits after {step} steps")
    return step - 1


class CancellationCases(Promises):
    """Cancellation at every await."""

    group = "Cancellation at every await"

    @case(limit=30.0)
    async def test_a_write_that_is_cancelled_is_whole_or_absent(self, subject: JournalSubject) -> None:
        """T2, T1. A write cancelled at any of its awaits is stored whole or not at all; the next claim decides.

        Why: cancelled half of a command is a state that never was; a number that is used twice is worse.
        """
        async with subject.open() as journal:

            async def attempt(step: int) -> bool:
                probe = await new_probe(subject, journal, f"step-{step}")
                await probe.stored(1)
                finished, hit = await cancel_at(step, lambda: probe.submit(*probe.split([(2, 3, 4)])))
                await _is_whole_or_absent(probe, finished=finished, step=step)
                return hit

            await at_every_await(attempt)

    @case(limit=30.0)
    async def test_a_cancelled_write_leaves_the_order_alone(self, subject: JournalSubject) -> None:
        """T2, C2. A write that waits behind another and is cancelled neither overtakes nor stops it.

        Why: the queue of an id must survive that one caller gives up.
        """
        async with subject.open() as journal:

            async def attempt(step: int) -> bool:
                probe = await new_probe(subject, journal, f"queue-{step}")
                async with trio.open_nursery() as nursery:
                    await nursery.start(_write_first, probe)
                    finished, hit = await cancel_at(step, lambda: probe.submit(probe.batch(2)))
                numbers = [event.sequence_nr for event in await probe.replay()]
                ended = "returned" if finished else "raised Cancelled"
                where = f"await {step}: the write of #2 {ended}; the replay after it"
                expect_numbers(numbers, [1, 2] if finished else [1], where)
                return hit

            await at_every_await(attempt)

    @case(limit=30.0)
    async def test_a_replay_that_is_cancelled_leaves_nothing(self, subject: JournalSubject) -> None:
        """T3, T1. A replay cancelled at any of its awaits gives a prefix and leaves the store usable.

        Why: recoveries are cancelled all the time; a reader that stays behind is one that the next lacks.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(*range(1, 8))

            async def attempt(step: int) -> bool:
                received: list[int] = []
                _, hit = await cancel_at(step, lambda: _receive_all(probe, received))
                expect_numbers(received, range(1, len(received) + 1), f"await {step}: the cancelled replay")
                await probe.shows(range(1, 8))
                return hit

            await at_every_await(attempt)
            await probe.stored(8)

    @case(limit=30.0)
    async def test_a_claim_that_is_cancelled_leaves_the_id_claimable(self, subject: JournalSubject) -> None:
        """T1. After a claim that was cancelled at any of its awaits, the next claim works and nothing is lost.

        Why: an entity that is stopped while it starts must be able to start again.
        """
        async with subject.open() as journal:

            async def attempt(step: int) -> bool:
                probe = await new_probe(subject, journal, f"claim-{step}")
                await probe.stored(1, 2)
                _, hit = await cancel_at(step, probe.successor().claim)
                await _goes_on(probe, [1, 2])
                return hit

            await at_every_await(attempt)

    @case(limit=30.0)
    async def test_asking_for_the_highest_number_may_be_cancelled(self, subject: JournalSubject) -> None:
        """T1. Asking for the highest number can be cancelled at any of its awaits and leaves the store usable.

        Why: it takes the place of a whole recovery for those who need no events.
        """
        async with subject.open() as journal:
            probe = await new_probe(subject, journal)
            await probe.stored(1, 2)

            async def attempt(step: int) -> bool:
                _, hit = await cancel_at(step, lambda: journal.highest_sequence_nr(probe.persistence_id))
                await probe.highest_is(2)
                return hit

            await at_every_await(attempt)
            await _goes_on(probe, [1, 2])

    @case(requires=[Capability.DELETES], limit=30.0)
    async def test_a_delete_that_is_cancelled_is_whole_or_absent(self, subject: JournalSubject) -> None:
        """T1. A delete cancelled at any of its awaits happened or did not, and doing it again is safe.

        Why: half of a delete is a gap in the history.
        """
        async with subject.open() as journal:

            async def attempt(step: int) -> bool:
                probe = await new_probe(subject, journal, f"delete-{step}")
                await probe.stored(1, 2, 3, 4)
                finished, hit = await cancel_at(step, lambda: probe.delete_to(3))
                numbers = [event.sequence_nr for event in await probe.replay()]
                require(numbers in ([4], [1, 2, 3, 4]), f"await {step}: the replay gives {numbers}")
                require(not finished or numbers == [4], f"await {step}: the delete returned, but it is not done")
                await probe.delete_to(3)
                await _goes_on(probe, [4], highest=4)
                return hit

            await at_every_await(attempt)

    @case(limit=30.0)
    async def test_closing_may_be_cancelled(self, subject: JournalSubject) -> None:
        """T4, T1. Leaving the block, cancelled at any of its awaits, still ends everything and swallows nothing.

        Why: shutdowns are cancelled by impatient supervisors; what stays behind then stays forever.
        """

        async def attempt(step: int) -> bool:
            tasks = trio.lowlevel.current_statistics().tasks_living
            scope = trio.CancelScope()
            instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step, active=False)
            with scope:
                try:
                    trio.lowlevel.add_instrument(instrument)
                    async with subject.factory() as journal:
                        await (await new_probe(subject, journal, f"close-{step}")).stored(1)
                        instrument.active = True
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            await _no_task_left(tasks, subject, f"await {step}: tasks that closing left behind")
            return instrument.seen >= step

        await at_every_await(attempt, WHOLE_LIFE)

    @case(limit=30.0)
    async def test_opening_may_be_cancelled(self, subject: JournalSubject) -> None:
        """T4, T1. Opening, cancelled at any of its awaits, leaves no task behind, and opening again works.

        Why: start-up deadlines cancel exactly here.
        """

        async def attempt(step: int) -> bool:
            tasks = trio.lowlevel.current_statistics().tasks_living

            async def open_and_close() -> None:
                async with subject.factory():
                    pass

            _, hit = await cancel_at(step, open_and_close)
            await _no_task_left(tasks, subject, f"await {step}: tasks that opening left behind")
            return hit

        await at_every_await(attempt, WHOLE_LIFE)
        async with subject.open() as journal:
            await (await new_probe(subject, journal)).stored(1)


async def _no_task_left(before: int, subject: JournalSubject, what: str) -> None:
    with trio.move_on_after(1.0 * subject.options.scale):
        while trio.lowlevel.current_statistics().tasks_living > before:  # noqa: ASYNC110 - nothing to wait for
            await trio.sleep(0.001)
    expect(trio.lowlevel.current_statistics().tasks_living - before, 0, what)


async def _write_first(probe: JournalProbe, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    task_status.started()
    await probe.stored(1)


async def _receive_all(probe: JournalProbe, received: list[int]) -> None:
    async with probe.journal.replay(probe.persistence_id) as channel:
        async for event in channel:
            received.append(event.sequence_nr)  # noqa: PERF401 - the caller wants what came before the cancellation


async def _is_whole_or_absent(probe: JournalProbe, *, finished: bool, step: int) -> None:
    """Check #2 to #4 behind #1, then that a new writer goes on."""
    whole = probe.subject.has(Capability.MULTI_EVENT_ATOMIC_WRITES)
    successor, highest = await probe.next_writer()
    numbers = [event.sequence_nr for event in await successor.replay()]
    legal = [[1], [1, 2, 3, 4]] if whole else [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    require(numbers in legal, f"await {step}: after the cancelled write of 2…4 the replay gives {numbers}")
    require(
        not finished or numbers == [1, 2, 3, 4], f"await {step}: the write returned, but the replay gives {numbers}"
    )
    expect(highest, numbers[-1], f"await {step}: the claim after the cancelled write")
    await successor.stored(highest + 1)
    await successor.shows([*numbers, highest + 1])


async def _goes_on(probe: JournalProbe, numbers: list[int], highest: int | None = None) -> None:
    """Check that a new writer finds these events and writes the next."""
    successor, found = await probe.next_writer()
    expect(found, highest or numbers[-1], "the next claim")
    await successor.stored(found + 1)
    await successor.shows([*numbers, found + 1])
