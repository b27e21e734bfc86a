"""Following an id: server-sent events."""

from __future__ import annotations

import json

import pytest
import trio

from kafka_persist._browser.live import MAX_TAILS
from tests.support.browsing import Deposited


async def rows(pieces, count):
    found = []
    while len(found) < count:
        piece = await pieces.receive()
        if piece.startswith("event: stored\n"):
            found.append(json.loads(piece.partition("data: ")[2]))
    return found


async def test_events_come_as_they_are_stored(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(1))
    world.browse()
    async with world.follow("/live?id=account-1&after=1") as pieces:
        assert await pieces.receive() == "status 200"
        await world.deposit(persistence, "account-1", Deposited(2, "<b>"), Deposited(3))
        found = await rows(pieces, 2)
    assert [row["number"] for row in found] == [2, 3]
    assert "&lt;b&gt;" in found[0]["html"]
    assert "<b>" not in found[0]["html"]
    assert 'id="e2"' in found[0]["html"]


async def test_an_id_that_is_not_written_yet_can_be_followed(autojump_clock, world):
    persistence = world.persistence()
    world.browse()
    async with world.follow("/live?id=account-9") as pieces:
        await world.deposit(persistence, "account-9", Deposited(1))
        assert [row["number"] for row in await rows(pieces, 1)] == [1]


async def test_a_page_that_is_left_leaves_nothing(autojump_clock, world):
    world.browse()
    with trio.fail_after(5):
        async with world.follow("/live?id=account-1") as pieces:
            await pieces.receive()


async def test_all_end_with_the_server(autojump_clock, world):
    world.browse()
    with trio.fail_after(5):
        async with world.follow("/live?id=account-1") as pieces:
            await pieces.receive()
            world.stop.set()
            assert [piece async for piece in pieces if "event:" in piece] == []


async def test_silence_is_broken_now_and_then(autojump_clock, world):
    """A proxy closes a connection on which nothing comes."""
    world.browse()
    async with world.follow("/live?id=account-1") as pieces:
        begun = trio.current_time()
        while await pieces.receive() != ": still here\n\n":
            pass
        assert trio.current_time() - begun < 20


async def test_an_error_is_one_message_and_the_end(autojump_clock, world):
    persistence = world.persistence()
    await world.deposit(persistence, "account-1", Deposited(1))
    world.browse()
    async with world.follow("/live?id=account-1&after=1") as pieces:
        await pieces.receive()
        for topic in world.broker.topics.values():
            for partition in topic.partitions:
                partition.append(b"key", b"no record")
        found = [piece async for piece in pieces]
    assert found[-1].startswith("event: problem\ndata: ")


@pytest.mark.parametrize("world", ["topic-per-id"], indirect=True)
async def test_only_so_many_follow(autojump_clock, world):
    world.browse()
    async with trio.open_nursery() as nursery:

        async def follow(*, task_status):
            async with world.follow("/live?id=account-1") as pieces:
                task_status.started(await pieces.receive())
                await trio.sleep_forever()

        for _ in range(MAX_TAILS):
            assert await nursery.start(follow) == "status 200"
        assert await nursery.start(follow) == "status 503"
        nursery.cancel_scope.cancel()
    async with world.follow("/live?id=account-1") as pieces:
        assert await pieces.receive() == "status 200"
