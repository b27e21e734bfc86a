"""A broker that is there and answers nobody: calls end with their caller, blocks are left, and nothing is lost."""

from __future__ import annotations

import attrs
import pytest
import trio

from kafka_persist import open_events, open_projection
from kafka_persist._kafka.dead_letters import open_dead_letter_producer
from kafka_persist._kafka.group import RawEvent
from kafka_persist.driver import Log
from kafka_persist.errors import RecoveryStalled
from kafka_persist.projection_sqlite import SqliteProjectionStore
from kafka_persist_testkit import TestServer

from .conftest import Place, take, wait_for_closing

pytestmark = pytest.mark.broker

SOON = 5
"""Seconds, several times what the calls need; each of them used to take 9 s at least, or forever."""


@pytest.fixture(scope="module")
def server():
    with TestServer() as server:
        yield server


@pytest.fixture
def frozen(server, kafka_prefix):
    """A place on a broker that tests pause."""
    place = Place(server.bootstrap_servers, kafka_prefix)
    place.config = attrs.evolve(place.config, recovery_stall_timeout=1.0)
    place.broker = server.broker
    yield place
    server.broker.resume()
    wait_for_closing()


async def cancelled(async_fn, *args):
    """Call and cancel; it ends soon."""
    with trio.fail_after(SOON):
        with trio.move_on_after(0.5) as scope:
            await async_fn(*args)
        assert scope.cancelled_caught


@pytest.fixture
def store(tmp_path):
    with SqliteProjectionStore(str(tmp_path / "model"), lambda _connection, _event: None, create="", clear="") as store:
        yield store


async def test_projections(frozen, store):
    """Catching up says that it stalled, `lag` and `rebuild` end with their caller, the block is left; then all goes on."""
    await frozen.write(3, names="a")
    async with open_projection(frozen.config, frozen.topic, store) as projection:
        await projection.catch_up()
        await frozen.write(3, names="a")
        lag = (await projection.lag()).records
        ends = {log: end + 1 for log, end in projection._reader.ends(projection._reader.partitions).items()}
        frozen.broker.pause()
        await cancelled(projection.lag)
        await cancelled(projection.catch_up)
        await cancelled(projection.run)
        await cancelled(projection.rebuild)
        frozen.broker.resume()
        await projection.catch_up()
        frozen.broker.pause()
        projection._reader.ends = lambda _logs: ends  # the answer came just before the broker fell silent
        with pytest.raises(RecoveryStalled, match=frozen.topic), trio.fail_after(30):
            await projection.catch_up()
    assert lag == 3
    frozen.broker.resume()
    async with open_projection(frozen.config, frozen.topic, store) as projection:
        await projection.catch_up()
        assert (await projection.lag()).records == 0


async def test_streams(frozen):
    """Receiving and opening end with their caller; leaving ends; the next member loses nothing."""
    await frozen.write(6, names="a")

    async def leave_while_paused():
        async with frozen.events() as stream:
            events.extend(await take(stream, 2))
            frozen.broker.pause()
            await cancelled(forever, stream)

    async def open_while_paused():
        async with frozen.events():
            pass

    async def forever(stream):
        while True:
            events.append(await stream.receive())

    events = []
    with trio.fail_after(60):
        await leave_while_paused()
    await cancelled(open_while_paused)
    frozen.broker.resume()
    finished = len(events) - 1
    async with frozen.events() as stream:
        while not events or events[-1].sequence_nr < 6 or len({e.sequence_nr for e in events}) < 6:
            events.extend(await take(stream, 1))
    assert finished >= 0
    assert list(dict.fromkeys(event.sequence_nr for event in events)) == [1, 2, 3, 4, 5, 6]


async def test_a_stream_goes_on_when_the_broker_is_back(frozen):
    """A pause in the middle of reading costs nothing but time."""
    await frozen.write(2000, names="a")
    async with frozen.events() as stream:
        events = await take(stream, 300)
        frozen.broker.pause()
        await trio.sleep(2)
        frozen.broker.resume()
        events += await take(stream, 1700)
    assert [event.sequence_nr for event in events] == list(range(1, 2001))
    assert frozen.committed() == 2000


async def test_dead_letters(frozen):
    """A copy that gets no report ends with its caller, and its client is left in time."""
    event = RawEvent(Log(frozen.topic), 7, b"key", b"value", 1)
    with trio.fail_after(60):
        async with open_dead_letter_producer(frozen.config, f"{frozen.prefix}dead") as send:
            await send(event, "why")
            frozen.broker.pause()
            await cancelled(send, event, "why")


async def test_blocks_are_cancelled(frozen):
    """A whole block that is cancelled ends soon."""
    await frozen.write(6, names="a")

    async def body():
        async with open_events(frozen.config, frozen.topic, group=frozen.group) as stream:
            await take(stream, 2)
            frozen.broker.pause()
            paused.set()
            await trio.sleep_forever()

    paused = trio.Event()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(body)
            await paused.wait()
            nursery.cancel_scope.cancel()
            begun = trio.current_time()
    assert trio.current_time() - begun < 2 * SOON
