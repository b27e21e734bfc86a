"""The bound on waiting writes: first come, first served, whatever order tasks wake in."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from kafka_persist import SequenceNrConflict
from kafka_persist._journal.gate import Gate


async def test_calls_happen_in_the_order_of_entering():
    gate, called = Gate(2, 1000), []

    async def visit(number: int) -> None:
        await gate.enter(1, math.inf, lambda: called.append(number))
        await trio.testing.wait_all_tasks_blocked()
        gate.leave(1)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(visit, number)
            await trio.testing.wait_all_tasks_blocked(0)
    assert called == list(range(50))


async def test_no_more_than_the_limit_are_inside():
    gate, inside, most = Gate(3, 1000), 0, 0

    async def visit() -> None:
        nonlocal inside, most
        await gate.enter(1, math.inf, lambda: None)
        inside += 1
        most = max(most, inside)
        await trio.lowlevel.checkpoint()
        inside -= 1
        gate.leave(1)

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(visit)
    assert most == 3


async def test_who_is_cancelled_while_waiting_was_not_called_and_takes_no_place():
    gate, called = Gate(1, 1000), []
    await gate.enter(1, math.inf, lambda: None)
    with trio.move_on_after(0):
        await gate.enter(1, math.inf, lambda: called.append("cancelled"))
    gate.leave(1)
    await gate.enter(1, math.inf, lambda: called.append("next"))
    assert called == ["next"]


async def test_a_refusal_goes_to_its_caller_and_takes_no_place():
    gate, outcomes = Gate(1, 1000), []

    def refuse() -> None:
        raise SequenceNrConflict("used")

    async def refused() -> None:
        with pytest.raises(SequenceNrConflict):
            await gate.enter(1, math.inf, refuse)
        outcomes.append("refused")

    await gate.enter(1, math.inf, lambda: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused)
        await trio.testing.wait_all_tasks_blocked()
        gate.leave(1)
    with trio.fail_after(1):
        await gate.enter(1, math.inf, lambda: outcomes.append("next"))
    assert outcomes == ["refused", "next"]


async def test_no_more_bytes_than_the_limit_are_inside():
    gate, sizes, inside = Gate(100, 10), [4, 4, 4, 1, 9, 2, 8, 3], []

    async def visit(size: int) -> None:
        await gate.enter(size, math.inf, lambda: inside.append(size))
        assert sum(inside) <= 10
        await trio.lowlevel.checkpoint()
        inside.remove(size)
        gate.leave(size)

    async with trio.open_nursery() as nursery:
        for size in sizes:
            nursery.start_soon(visit, size)
    assert not inside


async def test_a_call_larger_than_the_limit_goes_in_alone_and_is_not_overtaken():
    gate, called = Gate(100, 10), []
    await gate.enter(1, math.inf, lambda: called.append("first"))

    async def visit(name: str, size: int) -> None:
        await gate.enter(size, math.inf, lambda: called.append(name))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit, "large", 11)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(visit, "small", 1)
        await trio.testing.wait_all_tasks_blocked()
        assert called == ["first"]
        gate.leave(1)
        await trio.testing.wait_all_tasks_blocked()
        assert called == ["first", "large"]
        gate.leave(11)
    assert called == ["first", "large", "small"]


async def test_whoever_waits_in_vain_was_not_called_and_lets_the_next_one_in(autojump_clock):
    gate, called = Gate(100, 10), []
    await gate.enter(9, math.inf, lambda: called.append("first"))

    async def small() -> None:
        assert await gate.enter(1, math.inf, lambda: called.append("small"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(small)
        assert not await gate.enter(2, trio.current_time() + 5, lambda: called.append("late"))
    assert called == ["first", "small"]
