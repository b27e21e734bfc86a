"""A task that was woken where it does not wait any more would end Trio's run with an internal error."""

from __future__ import annotations

import signal
import uuid

import pytest
import trio
import trio.testing

from kafka_persist import AtomicWrite, PersistentRepr
from kafka_persist._lifecycle import background
from kafka_persist._snapshots.jobs import Jobs
from kafka_persist._waiter import Waiter
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka

WRITER = uuid.UUID(int=1)


async def test_it_is_woken_whether_it_waits_already_or_not():
    early, late = Waiter(), Waiter()
    early.wake()
    await early.wait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(late.wait)
        await trio.testing.wait_all_tasks_blocked()
        late.wake()
        late.wake()


async def test_a_task_that_has_left_is_not_woken(autojump_clock):
    waiter = Waiter()
    with trio.move_on_after(1) as scope:
        await waiter.wait(lambda _: trio.lowlevel.Abort.SUCCEEDED)
    assert scope.cancelled_caught
    with trio.fail_after(10):
        waiter.wake()
        await trio.sleep(1)


async def test_a_wake_that_comes_before_the_cancelled_task_runs():
    """It is scheduled already."""
    waiter = Waiter()
    scope = trio.CancelScope()

    async def wait():
        with scope:
            await waiter.wait(lambda _: trio.lowlevel.Abort.SUCCEEDED)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        waiter.wake()
    assert scope.cancelled_caught


async def test_by_default_it_is_not_cancelled(autojump_clock):
    waiter = Waiter()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1) as scope:
            nursery.start_soon(wake_after, 5, waiter)
            await waiter.wait()
    assert trio.current_time() > 4
    assert not scope.cancelled_caught


async def wake_after(seconds, waiter):
    await trio.sleep(seconds)
    waiter.wake()


async def interrupted_writes(kind):
    """Ctrl-C right after a record was handed over, in front of the wait for its report; then the program tidies up."""
    async with open_sim_broker() as broker, open_sim_kafka(broker) as driver, open_journal_on(driver) as journal:
        if kind == "write":
            await journal.claim("id", WRITER)
        submit = driver.submit

        def interrupted(*args):
            submit(*args)
            signal.raise_signal(signal.SIGINT)

        driver.submit = interrupted
        try:
            if kind == "claim":
                await journal.claim("id", WRITER)
            else:
                one = PersistentRepr(persistence_id="id", sequence_nr=1, payload=1, writer=WRITER)
                await journal.write([AtomicWrite([one])])
        finally:
            driver.submit = submit
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - the task waits for a child when the report comes
                    nursery.start_soon(trio.sleep, 0.2)


@pytest.mark.parametrize("kind", ["claim", "write"])
def test_an_interrupt_between_the_hand_over_of_a_record_and_the_wait(kind):
    with pytest.raises(KeyboardInterrupt):
        trio.run(interrupted_writes, kind)


async def interrupted_job():
    async with background("a store") as tasks:

        async def work(job):
            await trio.sleep(0.1)

        spawn = tasks.spawn

        def interrupted(*args):
            spawn(*args)
            signal.raise_signal(signal.SIGINT)

        tasks.spawn = interrupted
        try:
            await Jobs(tasks).run(work)
        finally:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - as above
                    nursery.start_soon(trio.sleep, 0.2)


def test_an_interrupt_between_the_start_of_a_job_and_the_wait():
    with pytest.raises(KeyboardInterrupt):
        trio.run(interrupted_job)
