"""`FaultyDriver`: each fault does what its name says, and nothing else."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from kafka_persist.driver import Fate, Log, TopicSpec
from kafka_persist.errors import ConnectError, RecoveryStalled
from kafka_persist_testkit.sim import open_faulty_driver, open_sim_broker, open_sim_kafka

LOG, OTHER = Log("one"), Log("other")


class Sender:
    """Appends records and remembers the answers."""

    def __init__(self, driver):
        self.driver = driver
        self.fates = {}

    def send(self, value, log=LOG):
        def note(ack):
            assert value not in self.fates
            self.fates[value] = ack.fate

        self.driver.submit(log, value, value, note)
        assert value not in self.fates  # never before it returns

    async def sent(self, value, log=LOG):
        self.send(value, log)
        with trio.fail_after(60):
            while value not in self.fates:  # noqa: ASYNC110 - on a clock that jumps
                await trio.sleep(0.01)
        return self.fates[value]

    async def stored(self, log=LOG):
        return [record.value for record in (await self.driver.inner.scan(log, None, None)).records]


@pytest.fixture
async def faulty(autojump_clock):
    async with (
        open_sim_broker() as broker,
        open_sim_kafka(broker) as inner,
        open_faulty_driver(inner, patience=1.0) as driver,
    ):
        await driver.ensure_topics([TopicSpec(LOG.topic), TopicSpec(OTHER.topic)])
        yield driver


@pytest.fixture
def sender(faulty):
    return Sender(faulty)


@asynccontextmanager
async def lasting(low, high):
    started = trio.current_time()
    yield
    assert low <= trio.current_time() - started <= high


async def test_without_a_fault_it_is_its_driver(faulty, sender):
    """Records, readers and topics are those of the driver inside."""
    assert await sender.sent(b"a") is Fate.STORED
    async with faulty.open_reader(LOG, 0) as reader:
        assert [record.value for record in await reader.read(1)] == [b"a"]
    assert LOG.topic in await faulty.topic_names()
    assert faulty.max_record_bytes == faulty.inner.max_record_bytes
    assert "up, holds nothing, 0 records late" in repr(faulty)


async def test_a_lost_acknowledgement_is_of_one_stored_record(faulty, sender):
    """The record is there, its outcome unknown, the next one is not concerned."""
    faulty.lose_acknowledgement()
    assert [await sender.sent(b"a"), await sender.sent(b"b")] == [Fate.UNKNOWN, Fate.STORED]
    assert await sender.stored() == [b"a", b"b"]


async def test_a_delayed_record_lands_when_told(faulty, sender):
    """Behind what was sent later; once."""
    faulty.delay_record()
    assert [await sender.sent(b"a"), await sender.sent(b"b")] == [Fate.UNKNOWN, Fate.STORED]
    assert await sender.stored() == [b"b"]
    await faulty.land()
    await faulty.land()
    assert await sender.stored() == [b"b", b"a"]
    assert sender.fates[b"a"] is Fate.UNKNOWN


async def test_stopped_brokers_answer_nothing(faulty, sender):
    """Reads and topic requests fail as with dead brokers, records are unknown, and all is as before after the start."""
    async with faulty.open_reader(LOG, 0) as reader:
        faulty.stop()
        requests = [
            lambda: reader.read(1),
            lambda: faulty.scan(LOG, None, None),
            lambda: faulty.delete_before(LOG, 0),
            lambda: faulty.ensure_topics([TopicSpec("new")]),
            faulty.topic_names,
        ]
        for request in requests:
            with pytest.raises(ConnectError, match="stopped"):
                await request()
    assert await sender.sent(b"a") is Fate.UNKNOWN
    faulty.start()
    assert await sender.sent(b"b") is Fate.STORED
    assert await sender.stored() == [b"b"]
    assert "new" not in await faulty.topic_names()


async def test_a_held_topic_answers_when_released(faulty, sender):
    """In time: the record is stored as if nothing had been; other topics never notice."""
    faulty.hold(LOG.topic)
    sender.send(b"a")
    assert await sender.sent(b"b", OTHER) is Fate.STORED
    assert (await faulty.scan(OTHER, None, None)).range.end == 1
    await trio.sleep(0.5)
    assert b"a" not in sender.fates
    await faulty.release()
    await trio.sleep(0.1)
    assert sender.fates[b"a"] is Fate.STORED


async def test_who_waits_for_a_held_topic_gives_up(faulty, sender):
    """After the patience a record is unknown and a read stalls; released, the record lands."""
    faulty.hold()
    async with lasting(1.0, 1.1):
        assert await sender.sent(b"a") is Fate.UNKNOWN
    async with lasting(1.0, 1.1):
        with pytest.raises(RecoveryStalled, match=LOG.topic):
            await faulty.scan(LOG, None, None)
    assert await sender.stored() == []
    await faulty.release()
    assert await sender.stored() == [b"a"]


async def test_a_record_in_waiting_is_answered_when_the_driver_closes(autojump_clock):
    """Also if its block is cancelled: a journal that waits for the answer must come to an end."""
    async with open_sim_broker() as broker, open_sim_kafka(broker) as inner:
        await inner.ensure_topics([TopicSpec(LOG.topic)])
        with trio.CancelScope() as scope:
            async with open_faulty_driver(inner) as driver:
                sender = Sender(driver)
                driver.hold()
                sender.send(b"a")
                scope.cancel()
        assert sender.fates == {b"a": Fate.UNKNOWN}
        sender.send(b"b")  # too late for anything, but answered
        await trio.sleep(0.1)
        assert sender.fates[b"b"] is Fate.UNKNOWN
