"""The nursery of a store: whatever happens, one bare exception comes out, the one that says most."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kafka_persist import ConnectError, JournalBroken
from kafka_persist._lifecycle import background


async def fails(error: Exception) -> None:
    await trio.lowlevel.checkpoint()
    raise error


async def test_the_bodys_exception_comes_out_bare():
    with pytest.raises(KeyError, match="mine"):
        async with background("the store") as tasks:
            tasks.spawn(trio.sleep_forever)
            raise KeyError("mine")


async def test_a_clean_end_cancels_what_still_runs():
    with trio.fail_after(5):
        async with background("the store") as tasks:
            assert tasks.spawn(trio.sleep_forever)
    assert not tasks.spawn(trio.sleep_forever)


async def test_a_failed_task_ends_the_body_and_is_chained():
    with pytest.raises(JournalBroken, match="the store") as caught:
        async with background("the store") as tasks:
            tasks.spawn(fails, ZeroDivisionError("cause"))
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_own_error_of_a_task_comes_out_as_it_is():
    with pytest.raises(ConnectError, match="gone"):
        async with background("the store") as tasks:
            tasks.spawn(fails, ConnectError("gone"))
            await trio.sleep_forever()


async def test_with_both_the_users_exception_goes_first():
    with pytest.raises(KeyError, match="mine"):
        async with background("the store") as tasks:
            tasks.spawn(fails, ZeroDivisionError("cause"))
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("mine")


async def test_a_nursery_in_the_body_does_not_hide_the_failure():
    with pytest.raises(JournalBroken):
        async with background("the store") as tasks, trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            tasks.spawn(fails, ZeroDivisionError("cause"))


async def test_a_cancellation_from_outside_passes_through():
    with trio.CancelScope() as scope:
        async with background("the store") as tasks:
            tasks.spawn(trio.sleep_forever)
            scope.cancel(reason="the test wants it")
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_the_users_exception_survives_a_cancellation_from_outside():
    with trio.CancelScope() as scope, pytest.raises(KeyError, match="mine"):
        async with background("the store") as tasks:
            tasks.spawn(trio.sleep_forever)
            scope.cancel(reason="the test wants it")
            raise KeyError("mine")


async def test_the_users_own_exception_group_is_left_as_it_is():
    with pytest.RaisesGroup(KeyError, ValueError):
        async with background("the store"):
            raise ExceptionGroup("mine", [KeyError("a"), ValueError("b")])


async def test_a_task_that_was_waited_for_at_its_start_fails_like_the_others():
    async def start_then_fail(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await fails(ZeroDivisionError("cause"))

    with pytest.raises(JournalBroken, match="the store"):
        async with background("the store") as tasks:
            await tasks.start(start_then_fail)
            await trio.sleep_forever()
