"""In the mode "exactly-once" who reads committed records sees each event that counts once, in order, whatever happens."""

from __future__ import annotations

import functools
import logging
import math

import pytest
import trio
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from kafka_persist import BrokerError, EmptyEventTopicMapper, PublicationPending
from kafka_persist._kafka.brokers import Brokers
from kafka_persist._kafka.transactional_producer import TransactionalProducer
from kafka_persist._kafka.transactional_sink import open_transactional_sink
from kafka_persist.driver import Log, PublishedRecord
from kafka_persist.errors import ConnectError, JournalTruncated
from kafka_persist_testkit import TestServer
from tests.support.waiting import until
from tests.support.writer import Writer

from .conftest import Broker, To, published_up_to

pytestmark = pytest.mark.broker

ONCE = {"mode": "exactly-once"}


async def write(journal, writer, first, count):
    for number in range(first, first + count):
        await journal.write([writer.write(number, number)])


async def written(broker, name, count, **settings):
    """Claim an id, write so many events more, close the journal; the numbers up to the last."""
    writer = Writer(name)
    async with broker.open(**settings) as journal:
        highest = await writer.claim(journal)
        await write(journal, writer, highest + 1, count)
    return list(range(1, highest + count + 1))


async def test_events_arrive_once_and_in_order(broker):
    """What was written is in each of its topics, once, in the order of the writes; some events go nowhere."""
    other = f"{broker.prefix}other"
    mapper = To(fn=lambda event: {0: (broker.topic, other), 1: (broker.topic,), 2: ()}[event.sequence_nr % 3])
    writer = Writer("a")
    async with broker.open(mapper, **ONCE) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, *range(10))])
        await write(journal, writer, 11, 290)
    assert broker.committed("a") == [number for number in range(1, 301) if number % 3 != 2]
    assert broker.committed("a", other) == [number for number in range(1, 301) if number % 3 == 0]


async def test_more_than_is_kept_in_memory(broker):
    """Events beyond what one id keeps in memory come from the journal, in as many transactions as it takes."""
    writer = Writer("a")
    async with broker.open(**ONCE) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(number, number) for number in range(1, 5001)])
    assert broker.committed("a") == list(range(1, 5001))


async def test_modes_follow_each_other(broker):
    """After a clean close any mode goes on where the one before ended."""
    for mode in ("exactly-once", "at-least-once", "exactly-once", "exactly-once", "at-least-once"):
        numbers = await written(broker, "a", 20, mode=mode)
    assert broker.committed("a") == numbers


async def test_recovery_publishes_what_is_missing(broker):
    """Events that were stored and not published are published by whoever claims the id."""
    await written(
        broker, "a", 5, mapper=EmptyEventTopicMapper()
    )  # creates the journal's topic, and counts as published
    writer = Writer("a")
    async with broker.open(create=False, **ONCE) as journal:
        await writer.claim(journal)
        await write(journal, writer, 6, 2)
        await until(lambda: journal.publishing_statistics().failures)
        assert "does not exist" in journal.publishing_statistics().last_failure
    async with broker.open(**ONCE) as journal:
        await Writer("a").claim(journal)
        await until(lambda: journal.publishing_statistics().published >= 2)
    assert [number for number in broker.committed("a") if number > 5] == [6, 7]


async def test_a_write_may_wait_for_its_publication(broker):
    """By configuration a write returns when its transaction is committed."""
    writer = Writer("a")
    async with broker.open(await_publication=True, **ONCE) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, "x")])
        assert journal.publishing_statistics().published == 1
        assert broker.committed("a") == [1]


async def test_a_deletion_publishes_first(broker):
    """Deleting loses nothing that is not published yet; if that cannot be published, nothing is deleted."""
    await written(broker, "a", 1, mapper=EmptyEventTopicMapper())
    writer = Writer("a")
    async with broker.open(create=False, delivery_timeout=1, **ONCE) as journal:
        await writer.claim(journal)
        await write(journal, writer, 2, 2)
        with pytest.raises(PublicationPending, match="does not exist"), trio.fail_after(30):
            await journal.delete_to("a", math.inf)
    async with broker.open(**ONCE) as journal:
        await journal.delete_to("a", math.inf)
        assert broker.committed("a") == [2, 3]


async def test_a_sweep_beside_the_writer_repeats_nothing(broker):
    """Other processes that publish what is pending take the id over for a moment; nothing is lost, nothing comes twice."""
    writer = Writer("a")
    async with broker.open(**ONCE) as journal, broker.open(**ONCE) as second, broker.open(**ONCE) as third:
        await writer.claim(journal)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, journal, writer, 1, 500)
            for sweeper in (second, third, second):
                await sweeper.publish_pending(["a"])
        await until(lambda: published_up_to(journal, "a") == 500)
    assert broker.committed("a") == list(range(1, 501))


def commit_mark(broker, persistence_id, number):
    """Say in the publication's group that an id is published up to a number, as a transaction does."""
    config = broker.config(**ONCE)
    topic = f"{broker.prefix}j-{persistence_id}"
    client = Producer({"bootstrap.servers": broker.servers, "transactional.id": config.transactional_id(topic)})
    consumer = Consumer({"bootstrap.servers": broker.servers, "group.id": config.publication_group})
    client.init_transactions(30)
    client.begin_transaction()
    client.send_offsets_to_transaction(
        [TopicPartition(topic, config.partition, number)], consumer.consumer_group_metadata(), 30
    )
    client.commit_transaction(30)
    consumer.close()
    client.close()


async def test_a_mark_that_is_not_certain_is_made_so_before_the_first_write(broker):
    """A dead process left a transaction open that would publish more: the claim ends it, and then compares."""
    await written(broker, "a", 5)
    config = broker.config(**ONCE)
    topic = f"{broker.prefix}j-a"
    raw = {"bootstrap.servers": broker.servers, "logger": logging.getLogger("tests.raw")}
    dead = Producer({**raw, "transactional.id": config.transactional_id(topic)})
    with Consumer({**raw, "group.id": config.publication_group}) as consumer:
        dead.init_transactions(30)
        dead.begin_transaction()
        position = TopicPartition(topic, config.partition, 20)
        dead.send_offsets_to_transaction([position], consumer.consumer_group_metadata(), 30)
    async with broker.open(**ONCE) as journal:
        with trio.fail_after(30):
            assert await Writer("a").claim(journal) == 5
    with pytest.raises(KafkaException, match="_FENCED"):
        dead.commit_transaction(30)


async def test_a_mark_above_the_log_proves_a_lost_end(broker):
    """If more is published than the log has, it lost its end: nothing is stored any more that would never be published."""
    await written(broker, "a", 5)
    commit_mark(broker, "a", 20)
    async with broker.open(**ONCE) as journal:
        for _ in range(2):
            with pytest.raises(JournalTruncated, match=r"up to 20 were published.*ends with event 5"):
                await Writer("a").claim(journal)
        await Writer("b").claim(journal)  # other ids go on


def lost_answers(publish):
    """Every other transaction is committed, but its publisher does not learn it."""
    calls = []

    @functools.wraps(publish)
    def wrapped(self, records, up_to):
        publish(self, records, up_to)
        calls.append(up_to)
        if len(calls) % 2:
            raise ConnectError("the answer got lost")

    return wrapped


def left_open(publish):
    """Every other transaction is left open, as by a process that dies."""
    calls = []

    @functools.wraps(publish)
    def wrapped(self, records, up_to):
        calls.append(up_to)
        if len(calls) % 2 == 0:
            return publish(self, records, up_to)
        self._producer.begin_transaction()
        self._produce(records)
        raise ConnectError("died")

    return wrapped


@pytest.mark.parametrize("fault", [lost_answers, left_open])
async def test_a_transaction_of_unknown_outcome_is_resolved(broker, monkeypatch, fault):
    """Whether it counts is looked up after taking the id over anew: then the rest is published, and nothing else."""
    monkeypatch.setattr(TransactionalProducer, "publish", fault(TransactionalProducer.publish))
    writer = Writer("a")
    async with broker.open(**ONCE) as journal:
        await writer.claim(journal)
        for first in (1, 11, 21):
            await write(journal, writer, first, 10)
            await until(lambda reached=first + 9: published_up_to(journal, "a") == reached)
        assert journal.publishing_statistics().failures >= 2
    assert broker.committed("a") == list(range(1, 31))


async def test_a_broker_that_stops_answering(broker, capfd):
    """Transactions that the broker does not answer are resolved when it is back; nothing of it reaches stderr."""
    with TestServer() as server:
        frozen = Broker(server.bootstrap_servers, broker.prefix)
        writer = Writer("a")
        async with frozen.open(properties={"transaction.timeout.ms": 2000}, **ONCE) as journal:
            await writer.claim(journal)
            await write(journal, writer, 1, 1)
            await until(lambda: journal.publishing_statistics().published)
            await journal.write([writer.write(number, number) for number in range(2, 4001)])
            server.broker.pause()
            await trio.sleep(2.5)  # longer than a transaction may last
            server.broker.resume()
            await until(lambda: published_up_to(journal, "a") == 4000)
        assert frozen.committed("a") == list(range(1, 4001))
    assert capfd.readouterr().err == ""


async def test_a_cancelled_journal_ends_at_once_and_the_next_goes_on(broker):
    """Nothing outlives a cancelled block, nothing is lost or repeated, and committed events are not taken for missing."""
    writer = Writer("a")
    with trio.CancelScope() as scope:
        async with broker.open(**ONCE) as journal:
            await writer.claim(journal)
            await journal.write([writer.write(number, number) for number in range(1, 3001)])
            await until(lambda: journal.publishing_statistics().published)
            scope.cancel()
    async with broker.open(**ONCE) as journal:
        with trio.fail_after(20):
            await journal.publish_pending()
    with trio.CancelScope() as scope:
        async with broker.open(**ONCE) as journal:
            await (again := Writer("a")).claim(journal)
            await write(journal, again, 3001, 1)
            await until(lambda: published_up_to(journal, "a") == 3001)
            scope.cancel()  # the journal's own records do not say that
    async with broker.open(**ONCE) as journal:
        report = await journal.publish_pending()
    assert (report.ids_behind, report.events) == (0, 0)
    assert broker.committed("a") == list(range(1, 3002))


async def test_there_are_never_more_clients_than_configured(broker):
    """Ids that publish at the same time take turns with the clients; each id's events stay in order."""
    names = [f"id-{number}" for number in range(4)]
    writers = {name: Writer(name) for name in names}
    most = 0
    async with broker.open(transactional_producers=2, **ONCE) as journal:
        await journal.prepare(names)
        sink = journal._publication.publisher._sink
        for name in names:
            await writers[name].claim(journal)
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(write, journal, writers[name], 1, 10)

        def all_published():
            nonlocal most
            most = max(most, sink.clients)
            return journal.publishing_statistics().published == 40

        await until(all_published)
    assert most == 2
    assert [broker.committed(name) for name in names] == [list(range(1, 11))] * 4


async def test_the_published_number_waits_for_the_transaction_that_moves_it(broker):
    """While a transaction is open it is not certain how far the id is published; taking the id over ends it, and then it is."""
    config = broker.config(**ONCE)
    log, record = Log(f"{broker.prefix}j-a"), PublishedRecord(broker.topic, b"a", b"x")
    async with broker.open() as journal, open_transactional_sink(Brokers(config)) as sink:
        await journal._driver.ensure_topics([journal._layout.spec_of(log)])
        await journal._publication.publisher._context.topics.ensure({broker.topic})
        assert await sink.published_up_to(log) == 0
        async with sink.open(log) as first:
            await first.publish([record], 7)
            await until_mark(sink, log, 7)
            client = first.client._producer
            client.begin_transaction()
            await sink.in_thread(lambda: first.client._produce([record]))
            client.send_offsets_to_transaction([TopicPartition(log.topic, 0, 9)], first.client._group, 10)
            assert await sink.published_up_to(log) is None
            async with open_transactional_sink(Brokers(config)) as other, other.open(log) as second:
                assert second.published_up_to == 7
                await second.publish([record], 8)
            with pytest.raises(KafkaException, match="_FENCED"):
                client.commit_transaction(10)
            with pytest.raises(BrokerError, match="taken it over"):
                await first.publish([record], 9)
        await until_mark(sink, log, 8)
    assert len(broker.read()) == 2


async def until_mark(sink, log, number):
    with trio.fail_after(10):
        while await sink.published_up_to(log) != number:  # noqa: ASYNC110 - nothing tells when a transaction ends
            await trio.sleep(0.01)
