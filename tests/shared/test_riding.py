"""Under load records go out all the time: those who write together share one, and a claim learns from it what a look would say."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from kafka_persist import WriterFenced
from kafka_persist._shared.riding import Riders

from .worlds import Writer, open_world, replayed


def counted_scans(journal):
    looks, scan = [], journal._driver.scan

    async def look(*args):
        looks.append(args)
        return await scan(*args)

    journal._driver.scan = look
    return looks


async def write_on(writer, count):
    for number in range(count):
        assert await writer.write(number) == [None]


async def test_those_who_were_answered_together_write_their_next_events_together(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        writers = [await Writer(journal, f"order-{number}").claim() for number in range(16)]
        before = world.log().end
        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(write_on, writer, 10)
        # the first one of all goes out alone, and its writer stays a record behind the others
        assert world.log().end - before <= 13


async def test_most_claims_under_load_ask_the_broker_for_nothing(autojump_clock):
    async with open_world() as world:
        journal = await world.journal()
        await Writer(journal, "order-0").claim()
        looks = counted_scans(journal)

        async def short_lives(task):
            for life in range(10):
                await write_on(await Writer(journal, f"order-{task}-{life}").claim(), 10)

        async with trio.open_nursery() as nursery:
            for task in range(16):
                nursery.start_soon(short_lives, task)
        # Of 160 claims: the first ones meet an idle log, and some a record that is on its way with nothing behind it. A look for
        # all that do not share one was 100.
        assert len(looks) < 40
        assert await replayed(journal, "order-15-9") == list(range(10))


async def test_a_record_that_does_not_count_tells_a_claim_nothing(autojump_clock):
    """Another process took the log over: the record on which the claim waits is refused, and the claim takes the log back."""
    async with open_world() as world:
        journal, other = await world.journal(), await world.journal()
        writers = [await Writer(journal, f"order-{number}").claim() for number in range(4)]
        await (await Writer(other, "order-x").claim()).write("foreign")
        results = []

        async def write(writer):
            try:
                results.append(await writer.write("late"))
            except WriterFenced:
                results.append("fenced")

        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(write, writer)
            await wait_all_tasks_blocked()
            claimed = await Writer(journal, "order-x").claim()
        assert results == ["fenced"] * 4
        assert claimed.highest == 1


async def test_who_comes_while_a_record_is_on_its_way_waits_for_the_next_one():
    riders, found = Riders(), []

    async def ride(name):
        found.append((name, await riders.ride()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ride, "first")
        await wait_all_tasks_blocked()
        riders.depart()
        nursery.start_soon(ride, "second")
        await wait_all_tasks_blocked()
        riders.depart()  # the same record once more
        riders.arrive(True)
        await wait_all_tasks_blocked()
        assert found == [("first", True)]
        riders.depart()
        riders.arrive(False)
        await wait_all_tasks_blocked()
        nursery.start_soon(ride, "third")
        await wait_all_tasks_blocked()
        riders.cancel()
    assert found == [("first", True), ("second", False), ("third", False)]
