"""Calls of an id that are made while a claim of it is under way take effect after it, in their order."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kafka_persist import AtomicWrite, PersistentRepr, SequenceNrConflict, WriterFenced
from kafka_persist._shared.order import CallOrder

from .worlds import Writer, open_world, replayed


async def test_a_write_that_is_called_during_its_own_claim_is_stored(autojump_clock):
    """It waits for the claim, and so do those after it; the claim's answer is of before them."""
    async with open_world() as world:
        journal = await world.journal()
        old = await Writer(journal, "one").claim()
        await old.write("a")
        new, answers = Writer(journal, "one", highest=1), []

        async def call(async_fn, *args, task_status):
            task_status.started()
            answers.append(await async_fn(*args))

        async with trio.open_nursery() as nursery:
            await nursery.start(call, new.journal.claim, "one", new.uuid)
            for number, payload in enumerate("bcd", 2):
                await nursery.start(call, journal.write, [_write(new, number, payload)])
            await nursery.start(call, journal.highest_sequence_nr, "one")
            await nursery.start(call, journal.delete_to, "one", 1 << 60)
            await nursery.start(call, journal.write, [_write(new, 5, "e")])
        assert answers.count([None]) == 4
        assert {answer for answer in answers if isinstance(answer, int)} == {1, 4}
        assert await replayed(journal, "one") == ["e"]


async def test_an_old_writers_call_during_a_claim_is_fenced(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        old = await Writer(journal, "one").claim()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Writer(journal, "one").claim)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(WriterFenced):
                await old.write("late")


async def test_a_used_number_refuses_the_whole_call_also_behind_a_claim(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        one, two = await Writer(journal, "one").claim(), await Writer(journal, "two").claim()
        await two.write("a")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.claim, "one", one.uuid)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(SequenceNrConflict):
                await journal.write([_write(one, 1, "b"), _write(two, 1, "c")])
        assert [await replayed(journal, pid) for pid in ("one", "two")] == [[], ["a"]]


async def test_people_who_leave_in_the_middle_keep_nobody_waiting(autojump_clock):
    """Of a thousand ids that are claimed and written to at once, every third one's tasks are cancelled at some step."""
    async with open_world() as world:
        journal = await world.journal()
        stored = []

        async def visit(number):
            pid = f"id-{number % 100}"
            with trio.CancelScope() as scope:
                if number % 3 == 0:
                    scope.deadline = trio.current_time() + number % 7 / 1000
                writer = await Writer(journal, pid).claim()
                try:
                    assert await writer.write(number) == [None]
                except (WriterFenced, SequenceNrConflict):
                    return  # another visitor of the id came
                stored.append((pid, number))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number in range(1000):
                    nursery.start_soon(visit, number)
        assert repr(journal._order) == "<CallOrder 0 ids are being claimed>"
        there = {(pid, payload) for pid in {pid for pid, _ in stored} for payload in await replayed(journal, pid)}
        assert set(stored) <= there


def _write(writer, number, payload):
    return AtomicWrite(
        [
            PersistentRepr(
                persistence_id=writer.pid, sequence_nr=number, payload=payload, writer=writer.uuid, timestamp=1
            )
        ]
    )


async def test_turns_come_in_the_order_of_the_calls():
    """Also for a call of several ids, which keeps its place in each queue; and for very many at once."""
    order, turns = CallOrder(), []
    async with order.claiming("a"):
        calls = [
            order.begin(ids, lambda step=step: turns.append(step)) for step, ids in enumerate(["ab", "b", "c", "a"])
        ]
        many = [order.begin("b", lambda step=step: turns.append(step)) for step in range(4, 5_000)]
        assert turns == [2]
        assert not calls[1].reached.is_set()
    assert turns[:2] == [2, 0]
    assert [step for step in turns if step not in {2, 3}] == [0, 1, *range(4, 5_000)]
    assert turns.count(3) == 1
    for call in (*calls, *many):
        await order.end(call)
