"""The bound on waiting writes: first come, first served, whatever order tasks wake in."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kafka_persist import SequenceNrConflict
from kafka_persist._journal.gate import Gate


async def test_calls_happen_in_the_order_of_entering():
    gate, called = Gate(2), []

    async def visit(number: int) -> None:
        await gate.enter(lambda: called.append(number))
        await trio.testing.wait_all_tasks_blocked()
        gate.leave()

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(visit, number)
            await trio.testing.wait_all_tasks_blocked(0)
    assert called == list(range(50))


async def test_no_more_than_the_limit_are_inside():
    gate, inside, most = Gate(3), 0, 0

    async def visit() -> None:
        nonlocal inside, most
        await gate.enter(lambda: None)
        inside += 1
        most = max(most, inside)
        await trio.lowlevel.checkpoint()
        inside -= 1
        gate.leave()

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(visit)
    assert most == 3


async def test_who_is_cancelled_while_waiting_was_not_called_and_takes_no_place():
    gate, called = Gate(1), []
    await gate.enter(lambda: None)
    with trio.move_on_after(0):
        await gate.enter(lambda: called.append("cancelled"))
    gate.leave()
    await gate.enter(lambda: called.append("next"))
    assert called == ["next"]


async def test_a_refusal_goes_to_its_caller_and_takes_no_place():
    gate, outcomes = Gate(1), []

    def refuse() -> None:
        raise SequenceNrConflict("used")

    async def refused() -> None:
        with pytest.raises(SequenceNrConflict):
            await gate.enter(refuse)
        outcomes.append("refused")

    await gate.enter(lambda: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused)
        await trio.testing.wait_all_tasks_blocked()
        gate.leave()
    with trio.fail_after(1):
        await gate.enter(lambda: outcomes.append("next"))
    assert outcomes == ["refused", "next"]
