"""What happens to a real broker, its disk and its clock: killed, stopped, full of connections, with retention and damage."""

from __future__ import annotations

import resource

import pytest
import trio
import trio.testing
from confluent_kafka import Consumer, TopicPartition

from kafka_persist import ConnectError, JournalHeadLost, RecoveryStalled, TopicSettingsRefused
from kafka_persist_testkit import TestServer
from lab.soak.victims import Victims
from tests.support.writer import Writer

from .conftest import Place

pytestmark = pytest.mark.broker


def bounds(place, topic: str) -> tuple[int, int]:
    """Where a log begins and ends."""
    with Consumer({"bootstrap.servers": place.server.bootstrap_servers, "group.id": "raw"}) as client:
        return client.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)


async def until_empty(place, topic: str) -> None:
    """Wait for the broker's retention, which tells nobody."""
    with trio.fail_after(20):
        while len(set(bounds(place, topic))) == 2:  # noqa: ASYNC110 - the condition is the broker's
            await trio.sleep(0.1)


async def test_retention_takes_nothing_from_a_journal_that_the_library_created(rough, kafka_prefix):
    """Rows 17 and 41: what is old by the broker's clock is removed from other topics, and is reported where it is a journal's."""
    kept, taken = f"{kafka_prefix}kept", f"{kafka_prefix}taken"
    await rough.written(kept, 5)
    await trio.to_thread.run_sync(rough.stranger.create, taken, {})
    with pytest.raises(TopicSettingsRefused, match=r"retention\.ms is 1 ms"):
        await rough.written(taken, 1)
    await rough.written(taken, 5, settings_policy="warn")
    await until_empty(rough, taken)
    with pytest.raises(JournalHeadLost, match="is empty but starts at offset 6") as caught:
        await rough.events(taken)
    assert (caught.value.persistence_id, caught.value.topic) == (taken, taken)
    assert [event.sequence_nr for event in await rough.events(kept)] == [1, 2, 3, 4, 5]
    assert bounds(rough, kept) == (0, 6)


YEARS = 10 * 365 * 24 * 3600


async def test_the_clients_clock_decides_nothing(rough, kafka_prefix, monkeypatch):
    """Row 40: it jumps by years in both directions; order, outcomes and deadlines stay, timestamps never go back."""
    import time

    pid, real = f"{kafka_prefix}id", time.time_ns
    writer, moved = Writer(pid), 0
    monkeypatch.setattr(time, "time_ns", lambda: real() + moved * 1_000_000_000)
    monkeypatch.setattr(time, "time", lambda: real() / 1_000_000_000 + moved)
    async with rough.open() as journal:
        await journal.claim(pid, writer.uuid)
        for number, moved in enumerate((0, YEARS, -YEARS, 3600, -3600, 0), 1):  # noqa: B007 - the clock looks at it
            with trio.fail_after(10):
                await journal.write([writer.write(number, number)])
    events = await rough.events(pid)
    assert [event.payload for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.timestamp for event in events] == sorted(event.timestamp for event in events)


async def test_a_replay_whose_broker_stops_in_the_middle_says_so_in_time(rough, kafka_prefix):
    """Row 50: SIGSTOP behind the first events: an error, not an end, and not a wait without end."""
    pid = f"{kafka_prefix}id"
    writer, seen = Writer(pid), []
    async with rough.open() as journal:
        await journal.claim(pid, writer.uuid)
        for first in range(1, 4001, 100):
            await journal.write([writer.write(first, *[b"x" * 1000] * 100)])
    async with rough.open(replay_batch_bytes=1024, recovery_stall_timeout=1.0) as journal:
        try:
            with trio.fail_after(8), pytest.raises(RecoveryStalled, match="no progress"):
                async with journal.replay(pid) as events:
                    seen.append((await events.receive()).sequence_nr)
                    rough.server.broker.pause()
                    seen += [event.sequence_nr async for event in events]
        finally:
            rough.server.broker.resume()
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) < 4000
        async with journal.replay(pid, from_sequence_nr=3999) as events:
            assert [event.sequence_nr async for event in events] == [3999, 4000]


BEYOND_STANDARD_STREAMS = 3
"""As a limit: the numbers below it are in use, so no descriptor can be had, whichever ones the broker gives back."""


async def test_a_broker_without_file_descriptors_takes_no_new_connections_and_loses_none(kafka_prefix):
    """Row 29: who is connected goes on, who is not gets an error in time; afterwards all is well.

    A broker that has to open a file just then ends itself: this one is kept from doing so.
    """
    pid = f"{kafka_prefix}id"
    with TestServer(properties={"replica.high.watermark.checkpoint.interval.ms": "600000"}) as server:
        place, writer, broker = Place(server), Writer(pid), server.broker
        limits = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)
        async with place.open() as journal:
            await journal.claim(pid, writer.uuid)
            await journal.write([writer.write(1, 1)])
            resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (BEYOND_STANDARD_STREAMS, limits[1]))
            with trio.fail_after(5), pytest.raises(ConnectError, match="no Kafka broker answered"):
                async with place.open(connect_timeout=1.0):
                    pytest.fail("there was a file descriptor left")
            await journal.write([writer.write(2, 2)])
            resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, limits)
            await journal.write([writer.write(3, 3)])
        assert [event.payload for event in await place.events(pid)] == [1, 2, 3]


async def test_a_journal_may_be_opened_before_its_broker_is_up(rough, kafka_prefix):
    """Row 8: it waits within connect-timeout."""
    pid = f"{kafka_prefix}id"
    await rough.written(pid, 3)
    broker, found = rough.server.broker, []
    await trio.to_thread.run_sync(broker.kill)

    async def read() -> None:
        async with rough.open(connect_timeout=30.0) as journal, journal.replay(pid) as events:
            found.extend([event.payload async for event in events])

    with trio.fail_after(40):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.to_thread.run_sync(broker.start)
    assert found == [1, 2, 3]


@pytest.fixture(scope="module")
def victims(rough) -> Victims:
    return Victims(rough.server, seed=1, layout="topic-per-id")


@pytest.mark.parametrize(
    ("damage", "reported"),
    [("byte_flipped", "CorruptRecord"), ("tail_damaged", "JournalTruncated"), ("transaction", "CorruptRecord")],
)
def test_damage_is_reported_and_never_read_as_if_it_were_whole(victims, damage, reported):
    """Rows 14, 15, 54: as in the soak, once each."""
    assert getattr(victims, damage)() == reported


async def test_a_program_that_uses_up_all_threads_does_not_stop_the_journal(calm, kafka_prefix):
    """Row 35: the library has limiters of its own."""
    import threading

    pid, writer = f"{kafka_prefix}id", Writer(f"{kafka_prefix}id")
    limiter, release = trio.to_thread.current_default_thread_limiter(), threading.Event()
    limiter.total_tokens = 1
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trio.to_thread.run_sync, release.wait)
        await trio.testing.wait_all_tasks_blocked()
        try:
            with trio.fail_after(10):
                async with calm.open() as journal:
                    await journal.claim(pid, writer.uuid)
                    await journal.write([writer.write(1, "a")])
                    await journal.delete_to(pid, 0)
                assert [event.payload for event in await calm.events(pid)] == ["a"]
        finally:
            release.set()
