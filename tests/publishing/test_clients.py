"""The clients of publishing: cancelled while nobody answers, replaced while somebody uses them."""

from __future__ import annotations

import pytest
import trio
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_persist._kafka.brokers import Brokers
from kafka_persist._kafka.event_sink import open_event_sink
from kafka_persist._kafka.transactional_sink import LOOK_SECONDS, open_transactional_sink
from kafka_persist.driver import Fate, Log, PublishedRecord
from kafka_persist_testkit import TestServer
from tests.support.waiting import until
from tests.support.writer import Writer

from .conftest import Broker, published_up_to

pytestmark = pytest.mark.broker

ONCE = {"mode": "exactly-once"}
SOON = 5
"""Seconds; several times what is needed, and less than the clients' own time limits."""


async def prepared(broker):
    """A topic to publish to, and the log of an id."""
    async with broker.open() as journal:
        await journal.prepare(["a"])
        await journal._publication.publisher._context.topics.ensure({broker.topic})
    return Log(f"{broker.prefix}j-a"), PublishedRecord(broker.topic, b"a", b"x")


def create(servers, topic):
    """Create a topic; blocks until it is there."""
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)


async def cancelled(async_fn, *args):
    """Call and cancel; it ends soon."""
    with trio.fail_after(SOON):
        with trio.move_on_after(0.3) as scope:
            await async_fn(*args)
        assert scope.cancelled_caught


async def test_transactions_end_with_their_caller(kafka_prefix):
    """Taking over, publishing and looking how far a log is published are left soon while the broker answers nothing; so is the sink."""
    with TestServer() as server:
        broker = Broker(server.bootstrap_servers, kafka_prefix)
        log, record = await prepared(broker)

        async def take_over():
            async with sink.open(Log(f"{kafka_prefix}j-b")):
                pass

        with trio.fail_after(60):
            async with open_transactional_sink(Brokers(broker.config(**ONCE))) as sink:
                async with sink.open(log) as transactor:
                    await transactor.publish([record], 1)
                    server.broker.pause()
                    await cancelled(transactor.publish, [record], 2)
                await cancelled(take_over)
                await cancelled(sink.published_up_to, log)
            server.broker.resume()
            async with open_transactional_sink(Brokers(broker.config(**ONCE))) as sink, sink.open(log) as transactor:
                assert transactor.published_up_to in {1, 2}  # the second one was cancelled: it happened, or it did not


async def test_a_client_in_use_is_not_closed_when_the_brokers_move(broker):
    """Whoever has borrowed the client for look-ups goes on with it; it is closed when the last of them is done."""
    log, record = await prepared(broker)
    async with open_transactional_sink(Brokers(broker.config(**ONCE))) as sink, sink.open(log) as transactor:
        await transactor.publish([record], 7)
        async with sink._offsets() as first:
            await sink.move([broker.servers])
            async with sink._offsets() as second:
                assert second is not first
                for offsets in (first, second):
                    with trio.fail_after(60):
                        while await sink.in_thread(lambda offsets=offsets: offsets.look_up(log, LOOK_SECONDS)) != 7:
                            pass
        with pytest.raises(RuntimeError, match="closed"):
            await sink.in_thread(lambda: first.look_up(log, LOOK_SECONDS))


async def test_events_in_flight_when_the_brokers_move(broker):
    """None is lost, and none overtakes another of its id; those without an answer may come twice."""
    writer = Writer("a")
    async with broker.open() as journal:
        await writer.claim(journal)
        sink = journal._publication.publisher._sink
        async with trio.open_nursery() as nursery:
            for number in range(1, 301):
                nursery.start_soon(journal.write, [writer.write(number, number)])
                await trio.lowlevel.checkpoint()
                if number % 60 == 30:
                    await sink.move([broker.servers])
        await until(lambda: published_up_to(journal, "a") == 300)
    assert list(dict.fromkeys(broker.numbers("a"))) == list(range(1, 301))


async def test_a_client_that_failed_for_good_is_replaced(broker):
    """Its records are answered, what is submitted meanwhile is refused, and what comes later is stored."""
    _, record = await prepared(broker)
    answers = {}

    async def answer(sink, value):
        sink.submit(record.topic, b"a", value, lambda ack: answers.setdefault(value, ack))
        with trio.fail_after(60):
            while value not in answers:  # noqa: ASYNC110 - nothing tells but the answer
                await trio.sleep(0.01)
        return answers[value].fate

    async with open_event_sink(Brokers(broker.config())) as sink:
        assert await answer(sink, b"first") is Fate.STORED
        sink._client.fatal = "the brokers have forgotten this producer"
        assert await answer(sink, b"meanwhile") is Fate.REFUSED
        number = 0
        while await answer(sink, b"later %d" % number) is Fate.REFUSED:
            number += 1
    assert [value for _, _, value in broker.read()] == [b"first", b"later %d" % number]


UNKNOWN_SOON = {"topic.metadata.propagation.max.ms": 1}
"""The client takes a topic for missing as soon as it has no answer about it."""


class Submitter:
    """Submits numbered events of one id to a topic, and notes what becomes of them."""

    def __init__(self, sink, topic):
        self.sink, self.topic = sink, topic
        self.in_flight, self.stored, self.failed = set(), set(), []

    def submit(self, number):
        self.in_flight.add(number)
        self.sink.submit(self.topic, b"a", b"%d" % number, lambda ack: self.answered(number, ack))

    def answered(self, number, ack):
        self.in_flight.remove(number)
        if ack.fate is Fate.STORED:
            self.stored.add(number)
        else:
            self.failed.append(number)

    async def settled(self):
        await until(lambda: not self.in_flight)


async def test_no_event_overtakes_one_that_the_client_refused(broker):
    """While the client does not know a topic it refuses records of it; none that comes later is stored before them.

    A starting broker denies topics that it will lead, so this comes with each restart.
    """
    await prepared(broker)
    topic = f"{broker.prefix}late"
    async with open_event_sink(Brokers(broker.config(properties=UNKNOWN_SOON))) as sink:
        events = Submitter(sink, topic)
        events.submit(1)
        await until(lambda: events.failed == [1])
        await trio.to_thread.run_sync(create, broker.servers, topic)
        with trio.fail_after(60):
            while len(events.stored) < 40:
                await events.settled()
                events.failed.clear()
                number = len(events.stored) + 1
                while not events.failed and len(events.stored) < 40:  # as an outbox: all behind a failure goes again
                    events.submit(number)
                    number += 1
                    await trio.sleep(0.003)
            await events.settled()
    arrived = list(dict.fromkeys(int(value) for _, _, value in broker.read(topic)))
    assert arrived == list(range(1, len(arrived) + 1))


async def test_without_an_owner_who_repeats_them_refused_events_are_sent_again(broker):
    """With "fire-and-forget" nobody sends an event again, so the client's passing refusals are waited out."""
    await prepared(broker)
    topic = f"{broker.prefix}late"
    config = broker.config(mode="fire-and-forget", properties=UNKNOWN_SOON)
    async with open_event_sink(Brokers(config)) as sink:
        events = Submitter(sink, topic)
        events.submit(1)
        await until(lambda: events.failed == [1])
        await trio.to_thread.run_sync(create, broker.servers, topic)
        for number in range(2, 12):
            events.submit(number)
        await events.settled()
    assert events.failed == [1]
    assert {int(value) for _, _, value in broker.read(topic)} == set(range(2, 12))
