"""librdkafka's descriptor events, the guard around ctypes, and the thread that stands in for them."""

from __future__ import annotations

import gc
import logging
import threading

import confluent_kafka
import pytest
import trio

from kafka_persist._kafka import handle, wakeup
from kafka_persist._kafka.wakeup import DescriptorWaiting, ThreadWaiting, wait_on
from kafka_persist.driver import Fate, Log

from .conftest import append, numbers


@pytest.fixture
def producer(kafka_server):
    with confluent_kafka.Producer({**kafka_server.client_config(), "linger.ms": 0}) as client:
        yield client


async def test_both_kinds_of_clients_are_woken_by_descriptors(producer, kafka_server):  # noqa: ASYNC124 - it needs a Trio run
    """On the tested versions of the client nothing falls back to threads."""
    consumer = confluent_kafka.Consumer({**kafka_server.client_config(), "group.id": "woken"})
    try:
        for client, queue in ((producer, "main"), (consumer, "consumer")):
            waiting = wait_on(client, queue)
            assert isinstance(waiting, DescriptorWaiting)
            waiting.close()
            waiting.close()
    finally:
        consumer.close()


async def test_a_report_wakes_the_task_that_waits(producer, kafka, kafka_prefix):
    """The task sleeps until the report is there: `poll` is called a few times, not again and again."""
    topic = kafka_prefix + "t"
    kafka.create(topic)
    waiting, calls, reports = wait_on(producer, "main"), [], []

    def take(seconds: float) -> int:
        calls.append(seconds)
        return producer.poll(seconds)

    with trio.fail_after(30):
        for number in range(20):
            producer.produce(topic, b"value", partition=0, on_delivery=lambda *report: reports.append(report))
            while len(reports) <= number:
                await waiting.poll(take)
    assert set(calls) == {0}, "on Trio's thread nothing may wait inside the client"
    assert len(calls) < 20 * 10
    waiting.close()


async def test_a_wait_that_is_cancelled_loses_nothing(producer, kafka, kafka_prefix):
    topic = kafka_prefix + "t"
    kafka.create(topic)
    waiting, reports = wait_on(producer, "main"), []
    for _ in range(50):
        producer.produce(topic, b"value", partition=0, on_delivery=lambda *report: reports.append(report))
        with trio.CancelScope() as scope:
            scope.cancel(reason="the test leaves at once")
            await waiting.poll(producer.poll)
    with trio.fail_after(30):
        while len(reports) < 50:
            await waiting.poll(producer.poll)
    waiting.close()


class NotAClient:
    """An object whose first field is no handle."""


@pytest.mark.parametrize("stranger", [NotAClient(), object(), 12345678901234567890], ids=["python", "object", "number"])
def test_what_is_no_client_is_not_looked_into(stranger):
    """A wrong pointer would end the process: it is refused before anything is read through it."""
    with pytest.raises(handle.HandleUnavailable):
        handle.handle_of(stranger)


@pytest.fixture
def without_descriptors(monkeypatch):
    """A build of the client that does not look as expected."""

    def refuse(_client):
        raise handle.HandleUnavailable("as was asked for")

    wakeup._warn_once.cache_clear()
    monkeypatch.setattr(wakeup, "handle_of", refuse)
    monkeypatch.setattr(handle, "handle_of", refuse)
    yield
    wakeup._warn_once.cache_clear()


async def test_without_descriptors_a_thread_waits_and_everything_works(
    without_descriptors, kafka, kafka_prefix, caplog
):
    topic = kafka_prefix + "t"
    kafka.create(topic)
    with caplog.at_level(logging.WARNING, "kafka_persist.client"), trio.fail_after(60):
        async with kafka.driver() as driver:
            assert all(isinstance(bridge._waiting, ThreadWaiting) for bridge in driver._producers.all)
            for number in range(10):
                assert (await append(driver, topic, b"%d" % number)).fate is Fate.STORED
            assert numbers(await driver.scan(Log(topic), None, None)) == list(range(10))
            async with driver.open_reader(Log(topic), 3) as reader:
                found = []
                while records := await reader.read(10):
                    found += [int(record.value) for record in records]
            assert found == list(range(3, 10))
    assert sum("descriptor events cannot be used" in record.getMessage() for record in caplog.records) == 1


async def test_no_thread_of_ours_waits(kafka, kafka_prefix):
    """With descriptors the library has no thread while nothing is asked: Trio's finished workers aside."""
    before = set(threading.enumerate())
    topic = kafka_prefix + "t"
    kafka.create(topic)
    async with kafka.driver() as driver:
        await append(driver, topic)
        await driver.scan(Log(topic), None, None)
        extra = [each.name for each in set(threading.enumerate()) - before if not each.name.startswith("Trio thread")]
        assert extra == []


async def test_asking_for_leaders_leaks_nothing(kafka, kafka_prefix):  # noqa: ASYNC124 - it needs a Trio run
    """The client's own call leaks the exception that it raises; a service asks for each id that it opens."""
    topic = kafka_prefix + "t"
    kafka.create(topic)
    consumer = confluent_kafka.Consumer({"bootstrap.servers": kafka.servers, "group.id": "asks"})
    try:
        handle.ask_for_topic(consumer, topic)
        before = errors_alive()
        for _ in range(100):
            handle.ask_for_topic(consumer, topic)
        assert errors_alive() <= before
    finally:
        consumer.close()


def errors_alive() -> int:
    gc.collect()
    return sum(isinstance(each, confluent_kafka.KafkaError) for each in gc.get_objects())
