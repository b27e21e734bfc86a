"""Records and their answers: attempts that are remembered, deadlines, and clients that are replaced."""

from __future__ import annotations

import pytest
import trio

from kafka_persist._kafka import producers
from kafka_persist.driver import Ack, Fate, Log

from .conftest import Kafka, append, numbers

pytestmark = pytest.mark.broker


async def test_a_record_is_answered_at_its_deadline_whatever_the_client_still_does(kafka_server_factory):
    server = kafka_server_factory()
    kafka = Kafka(server.bootstrap_servers)
    kafka.create("t")
    async with kafka.driver(delivery_timeout=2.0) as driver:
        assert (await append(driver, "t", b"0")).fate is Fate.STORED
        server.broker.pause()
        with trio.fail_after(10):
            ack = await append(driver, "t", b"1")
        assert ack.fate is Fate.UNKNOWN
        assert "delivery-timeout" in ack.reason
        server.broker.resume()
        with trio.fail_after(30):
            while (await append(driver, "t", b"2")).fate is not Fate.STORED:
                pass
            found = numbers(await driver.scan(Log("t"), None, None))
        assert found[0] == 0
        assert found[-1] == 2


async def test_a_broker_that_restarts_is_waited_for(kafka_server_factory):
    """The bridge hands records over again; each is in the log, and is answered once."""
    server = kafka_server_factory()
    kafka = Kafka(server.bootstrap_servers)
    topics = [f"t{number}" for number in range(20)]
    kafka.create(*topics)
    acks: list[Ack] = []
    async with kafka.driver(delivery_timeout=60.0) as driver:
        for topic in topics:
            await append(driver, topic, b"0")
        server.broker.kill()
        for topic in topics:
            driver.submit(Log(topic), b"key", b"1", acks.append)
        await trio.to_thread.run_sync(server.broker.start)
        with trio.fail_after(60):
            while len(acks) < len(topics):  # noqa: ASYNC110 - callbacks, not tasks
                await trio.sleep(0.01)
        assert {ack.fate for ack in acks} == {Fate.STORED}
        for topic in topics:
            assert set(numbers(await driver.scan(Log(topic), None, None))) == {0, 1}


async def test_a_producer_that_has_seen_many_topics_is_replaced_without_a_pause(kafka, kafka_prefix, monkeypatch):
    """New ids all the time: what the client keeps for each topic does not add up for ever."""
    monkeypatch.setattr(producers, "MAX_TOPICS", 10)
    topics = [f"{kafka_prefix}{number}" for number in range(60)]
    kafka.create(*topics)
    async with kafka.driver() as driver:
        first = driver._producers.all
        for value in range(3):
            for topic in topics:
                assert (await append(driver, topic, b"%d" % value)).fate is Fate.STORED
        assert driver._producers.all[0] is not first[0]
        with trio.fail_after(30):
            while len(driver._producers.all) > 1:  # noqa: ASYNC110 - replaced clients close in the background
                await trio.sleep(0.01)
        assert len(driver._producers.all[0].topics) <= 60
        for topic in topics:
            assert numbers(await driver.scan(Log(topic), None, None)) == [0, 1, 2]


async def test_records_of_a_topic_keep_their_order_while_clients_are_replaced(kafka, kafka_prefix, monkeypatch):
    monkeypatch.setattr(producers, "MAX_TOPICS", 2)
    topics = [f"{kafka_prefix}{number}" for number in range(12)]
    kafka.create(*topics)
    acks: list[Ack] = []
    async with kafka.driver() as driver:
        for value in range(50):
            for topic in topics:
                driver.submit(Log(topic), b"key", b"%d" % value, acks.append)
            await trio.lowlevel.checkpoint()
        with trio.fail_after(60):
            while len(acks) < 50 * len(topics):  # noqa: ASYNC110 - callbacks, not tasks
                await trio.sleep(0.01)
        for topic in topics:
            assert numbers(await driver.scan(Log(topic), None, None)) == list(range(50))


async def test_who_leaves_at_once_knows_of_each_record(kafka, kafka_prefix):
    """Closing waits for the reports; cancelled, it answers what has none as unknown."""
    topic = kafka_prefix + "t"
    kafka.create(topic)
    acks: list[Ack] = []
    async with kafka.driver() as driver:
        for _ in range(500):
            driver.submit(Log(topic), b"key", b"1", acks.append)
    assert len(acks) == 500
    assert {ack.fate for ack in acks} == {Fate.STORED}
    with trio.CancelScope() as scope:
        async with kafka.driver() as driver:
            for _ in range(500):
                driver.submit(Log(topic), b"key", b"2", acks.append)
            scope.cancel(reason="the test leaves")
    assert len(acks) == 1000
    assert {ack.fate for ack in acks[500:]} <= {Fate.STORED, Fate.UNKNOWN}


async def test_a_successor_never_repeats_what_must_not_land_twice(kafka, kafka_prefix):
    """A copy of a snapshot behind its deletion would bring it back; a journal's copies do not count."""
    topic = kafka_prefix + "t"
    kafka.create(topic)
    for repeatable, fates in ((True, {Fate.STORED}), (False, {Fate.UNKNOWN})):
        acks: list[Ack] = []
        async with kafka.driver() as driver:
            (old,) = driver._producers.all
            old._repeatable = repeatable
            fresh = await driver._make_bridges()
            driver.submit(Log(topic), b"key", b"1", acks.append)
            driver._producers.use(fresh)
            with trio.fail_after(30):
                while not acks:  # noqa: ASYNC110 - callbacks, not tasks
                    await trio.sleep(0.01)
        assert {ack.fate for ack in acks} == fates
