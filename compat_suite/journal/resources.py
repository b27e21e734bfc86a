"""Promises about what a journal holds while it works, and about the event loop that it shares with the program."""

from __future__ import annotations

import contextlib
import time

import trio
import trio.testing

from kafka_persist.abc import Capability
from kafka_persist.errors import PersistenceError, StoreClosed
from kafka_persist.model import PersistentRepr

from ..engine.case import Promises, case
from ..engine.expect import expect, expect_numbers, require
from ..engine.history import failure
from ..engine.resources import at_rest, held, listed, settled
from ..engine.subject import JournalSubject
from ..errors import BrokenPromise, single
from .probe import JournalProbe, new_probe, open_probe

READERS = 100
EVENTS = 20_000
CPU_LIMIT = 0.25
"""Seconds of computing in one step of a task: nobody else runs meanwhile. A busy machine does not make it longer."""
WALL_LIMIT = 2.0
"""Seconds that such a step may take if it waits for something, times the scale factor; the machine may be busy."""


class LongestStep(trio.abc.Instrument):
    """Notes the longest step of any task: what a step computes, and how long it takes."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0
        self.cpu_task = self.wall_task = ""
        self._started = (time.thread_time(), time.perf_counter())  # it is added in the middle of a step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note the time."""
        self._started = (time.thread_time(), time.perf_counter())

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Compare."""
        cpu, wall = time.thread_time() - self._started[0], time.perf_counter() - self._started[1]
        if cpu > self.cpu:
            self.cpu, self.cpu_task = cpu, task.name
        if wall > self.wall:
            self.wall, self.wall_task = wall, task.name


class ResourceCases(Promises):
    """Resources and the event loop."""

    group = "Resources and the event loop"

    @case(limit=30.0)
    async def test_a_hundred_open_replays_are_independent(self, subject: JournalSubject) -> None:
        """R6, C6. A hundred replays are open before the first one reads on; writes, claims and all replays go on.

        Why: a restart recovers everything at once; a pool that is empty then must not stop the writers.
        """
        async with subject.open() as journal:
            probes = [await new_probe(subject, journal, f"open-{number}") for number in range(10)]
            for probe in probes:
                await probe.stored(*range(1, 11))
            opened: list[JournalProbe] = []
            everybody = trio.Event()

            async def read(probe: JournalProbe) -> None:
                async with journal.replay(probe.persistence_id) as channel:
                    first = await channel.receive()
                    opened.append(probe)
                    if len(opened) == READERS:
                        everybody.set()
                    await everybody.wait()
                    rest = [event.sequence_nr async for event in channel]
                expect_numbers([first.sequence_nr, *rest], range(1, 11), "one of a hundred open replays")

            async with trio.open_nursery() as nursery:
                for number in range(READERS):
                    nursery.start_soon(read, probes[number % 10])
                await everybody.wait()
            await probes[0].stored(11)
            await probes[0].shows(range(1, 12))

    @case(limit=30.0)
    async def test_replays_that_break_off_hold_nothing(self, subject: JournalSubject) -> None:
        """R6, T3. Fifty replays that are left by an error, by cancellation or unread hold no thread and no descriptor.

        Why: a pool that loses a connection at each failed recovery is empty one night.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 101))
            await _break_off(probe, 3)
            before = await at_rest(held, 5.0 * subject.options.scale)
            await _break_off(probe, 50)
            left = await settled(held, before, 2.0 * subject.options.scale)
            require(not left, f"after fifty replays that broke off the open store holds {listed(left)} more")
            await probe.stored(101)
            await probe.shows(range(1, 102))

    @case(limit=30.0)
    async def test_closing_during_a_replay_is_an_error(self, subject: JournalSubject) -> None:
        """T5, R6. A replay whose store is closed meanwhile raises an error; it never ends as if that had been all.

        Why: a clean end before the last event is a recovery into a wrong state.
        """
        total = 1_500
        ended: list[str] = []
        received: list[int] = []
        reading, closed = trio.Event(), trio.Event()

        async def read(probe: JournalProbe) -> None:
            try:
                async with probe.journal.replay(probe.persistence_id) as channel:
                    received.append((await channel.receive()).sequence_nr)
                    reading.set()
                    await closed.wait()
                    await _receive_all(channel, received, ended)
            except (StoreClosed, trio.ClosedResourceError, trio.BrokenResourceError) as error:
                ended.append(type(error).__name__)
            except Exception as error:
                raise BrokenPromise(f"expected StoreClosed, got {failure(single(error))}") from error

        async with trio.open_nursery() as nursery:
            async with open_probe(subject) as probe:
                for first in range(1, total + 1, 500):
                    await probe.stored(*range(first, first + 500))
                nursery.start_soon(read, probe)  # noqa: ASYNC111 - a replay that outlives its store is what the case is about
                await reading.wait()
            closed.set()
        if received[-1] != total:  # what it has read ahead it may give, and if that is all, it may end
            require("EndOfChannel" not in ended, f"the replay ended as if #{received[-1]} of {total} had been the last")
        expect_numbers(received, range(1, len(received) + 1), "the replay whose store was closed")

    @case(limit=30.0)
    async def test_every_receive_is_a_checkpoint(self, subject: JournalSubject) -> None:
        """T1. Each `receive` executes a checkpoint, the one at the end too; in a cancelled scope it takes no event.

        Why: a replay from a full buffer that never yields stops every other task; one that drops what it was giving
        when it was cancelled loses an event.
        """
        async with open_probe(subject) as probe:
            await probe.stored(*range(1, 301))
            async with probe.journal.replay(probe.persistence_id) as channel:
                for number in range(1, 301):
                    if number % 50 == 0:
                        with trio.CancelScope() as scope:
                            scope.cancel(reason="the case cancels before the call")
                            await channel.receive()
                        require(scope.cancelled_caught, f"in a cancelled scope, receive gave #{number}")
                    event = await _checked(channel, f"receive no. {number}")
                    expect(event and event.sequence_nr, number, f"receive no. {number}")
                require(await _checked(channel, "receive at the end") is None, "there is an event after the last one")

    @case(needs=["backdoor"], requires=[Capability.DURABLE], limit=20.0)
    async def test_nothing_is_delivered_after_an_error(self, subject: JournalSubject) -> None:
        """R9, C11. After an error a replay gives nothing more: each further `receive` raises an error, no end, no event.

        Why: a reader that goes on after an error must not get a history with a hole in it.
        """
        name = subject.id()
        async with subject.open() as journal:
            probe = await new_probe(subject, journal, name, exact=True)
            await probe.stored(*range(1, 9))
        await subject.adapter.corrupt_event(name, 4)
        async with subject.open() as journal:
            got: list[str] = []
            try:
                async with journal.replay(name) as channel:
                    for _ in range(12):
                        got.append(await _outcome(channel))  # noqa: PERF401 - what came before an error counts
            except PersistenceError as error:
                got.append(type(error).__name__)
        events = [outcome for outcome in got if outcome.startswith("#")]
        require(events == [f"#{number}" for number in range(1, len(events) + 1)] and len(events) < 4, f"got {got}")
        require("EndOfChannel" not in got, f"event #4 is damaged, and the replay ends as if nothing were wrong: {got}")
        require(got[: len(events)] == events, f"events came after an error: {got}")

    @case(limit=60.0)
    async def test_large_writes_and_replays_leave_the_loop_free(self, subject: JournalSubject) -> None:
        """T9, C1. While thousands of events are written and replayed, no step of a task takes long.

        Why: a web server beside the journal answers nobody meanwhile.
        """
        async with open_probe(subject) as probe:
            calls = [probe.split(list(range(first, first + 400))) for first in range(1, EVENTS + 1, 400)]
            await trio.lowlevel.checkpoint()  # what was computed up to here is the case's own
            longest = LongestStep()
            trio.lowlevel.add_instrument(longest)
            try:
                for writes in calls:
                    await probe.journal.write(writes)
                count = 0
                async with probe.journal.replay(probe.persistence_id) as channel:
                    async for _ in channel:
                        count += 1
                        if count % 10 == 0:
                            # A step of its own: what the reader does is not the store's.
                            await trio.lowlevel.checkpoint()
            finally:
                trio.lowlevel.remove_instrument(longest)
            expect(count, EVENTS, "the number of replayed events")
        require(
            longest.cpu <= CPU_LIMIT,
            f"a step of the task {longest.cpu_task} computed for {longest.cpu * 1_000:.0f} ms while no other task could run",
        )
        require(
            longest.wall <= WALL_LIMIT * subject.options.scale,
            f"a step of the task {longest.wall_task} blocked the loop for {longest.wall * 1_000:.0f} ms",
        )


async def _receive_all(channel: trio.abc.ReceiveChannel[PersistentRepr], received: list[int], ended: list[str]) -> None:
    while True:
        try:
            received.append((await channel.receive()).sequence_nr)
        except trio.EndOfChannel:
            ended.append("EndOfChannel")
            return


async def _checked(channel: trio.abc.ReceiveChannel[PersistentRepr], what: str) -> PersistentRepr | None:
    """Receive, and check that it was a checkpoint; None at the end."""
    event = None
    try:
        with trio.testing.assert_checkpoints(), contextlib.suppress(trio.EndOfChannel):
            event = await channel.receive()
    except AssertionError as error:
        if isinstance(error, BrokenPromise):
            raise
        raise BrokenPromise(f"{what} returned without a checkpoint") from None
    return event


async def _outcome(channel: trio.abc.ReceiveChannel[PersistentRepr]) -> str:
    try:
        return f"#{(await channel.receive()).sequence_nr}"
    except (PersistenceError, trio.EndOfChannel, trio.ClosedResourceError, trio.BrokenResourceError) as error:
        return type(error).__name__


async def _break_off(probe: JournalProbe, times: int) -> None:
    for turn in range(times):
        with trio.CancelScope() as scope:
            try:
                async with probe.journal.replay(probe.persistence_id) as channel:
                    for _ in range(turn % 4):
                        await channel.receive()
                    if turn % 3 == 0:
                        raise LookupError("the case's own")
                    if turn % 3 == 1:
                        scope.cancel(reason="the case leaves")
                        await channel.receive()
            except LookupError:
                pass
