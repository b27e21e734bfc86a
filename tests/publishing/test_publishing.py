"""Every event that counts is published, in order per id, and nothing else."""

from __future__ import annotations

import math

import pytest
import trio
from confluent_kafka import Producer

from kafka_persist import (
    EmptyEventTopicMapper,
    EventDecoder,
    EventMappingFailed,
    EventProducerConfig,
    JournalConfig,
    PublicationPending,
    Serializer,
    WriterFenced,
    open_journal,
)
from kafka_persist._kafka.driver import open_driver
from kafka_persist.driver import Log
from kafka_persist.errors import ConfigError, CorruptRecord, SweepIncomplete
from tests.support.waiting import until
from tests.support.writer import Writer

from .conftest import To

pytestmark = pytest.mark.broker


async def published(journal, count):
    """Wait until the brokers confirmed so many records."""
    await until(lambda: journal.publishing_statistics().published >= count)


async def test_events_arrive_in_order(broker):
    """What was written is in the topic, once, in the order of the writes."""
    writer = Writer("a")
    async with broker.open() as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, "x", "y", "z")])
        for number in range(4, 20):
            await journal.write([writer.write(number, number)])
    assert broker.numbers("a") == list(range(1, 20))


async def test_the_value_is_the_event(broker):
    """Id, number and data come back, the data as its registered type; the key is the id."""

    serializer = Serializer()
    serializer.register(complex, encode=lambda value: [value.real, value.imag], decode=lambda data: complex(*data))
    writer = Writer("käse/1")
    async with broker.open(serializer=serializer) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, 1 + 2j)])
    ((_, key, value),) = broker.read()
    event = EventDecoder(serializer)(value)
    assert (key.decode(), event.persistence_id, event.sequence_nr, event.data) == ("käse/1", "käse/1", 1, 1 + 2j)


async def test_the_default_mapper_publishes_to_events(broker):
    """Without a word about publishing, events go to the topic `events`, which is created."""
    config = JournalConfig(bootstrap_servers=broker.servers, prefix=f"{broker.prefix}d-")
    writer = Writer("default")
    async with open_journal(config) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, broker.prefix)])
    decode = EventDecoder()
    # Others publish there, too.
    own = [value for _, _, value in broker.read("events") if broker.prefix.encode() in value]
    assert [decode(value).data for value in own] == [broker.prefix]


async def test_several_topics_and_none(broker):
    """An event goes to each topic that the mapper names, and nowhere if it names none."""
    first, second = f"{broker.prefix}one", f"{broker.prefix}two"
    mapper = To(fn=lambda event: {1: (first, second), 2: (), 3: [second]}[event.sequence_nr])
    writer = Writer("a")
    async with broker.open(mapper) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, "x", "y", "z")])
    assert (broker.numbers("a", first), broker.numbers("a", second)) == ([1], [1, 3])


async def test_rejected_and_fenced_writes_are_not_published(broker):
    """What does not count is never published."""
    old, new = Writer("a"), Writer("a")
    async with broker.open() as journal, broker.open() as other:
        await old.claim(journal)
        await journal.write([old.write(1, object()), old.write(2, "first")])
        await new.claim(other)
        with pytest.raises(WriterFenced):
            await journal.write([old.write(3, "too late")])
        await other.write([new.write(3, "second")])
    decode = EventDecoder()
    found = [decode(value).data for _, _, value in broker.read()]
    assert list(dict.fromkeys(found)) == ["first", "second"]  # a takeover may repeat events


async def test_nothing_is_repeated_without_a_crash(broker):
    """A journal that was closed leaves a mark: the next one publishes only what is new."""
    for number in range(1, 5):
        writer = Writer("a")
        async with broker.open() as journal:
            assert await writer.claim(journal) == number - 1
            await journal.write([writer.write(number, number)])
    assert broker.numbers("a") == [1, 2, 3, 4]


async def test_recovery_publishes_what_is_missing(broker):
    """Events that a process stored and could not publish are published by the next one that claims the id."""
    writer = Writer("a")
    async with broker.open(To(f"{broker.prefix}missing"), create=True) as journal:
        await writer.claim(journal)  # the journal topic is there now
    writer = Writer("a")
    async with broker.open(create=False) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, "x", "y")])
        await until(lambda: journal.publishing_statistics().failures)
        assert "does not exist" in journal.publishing_statistics().last_failure
    async with broker.open() as journal:
        await Writer("a").claim(journal)
        await published(journal, 2)
    assert broker.numbers("a") == [1, 2]


async def stored_unpublished(broker, *names):
    """Store two events of each id that are not published: their topic may not be created."""
    async with broker.open(EmptyEventTopicMapper()) as journal:
        await journal.prepare(names)
    async with broker.open(create=False) as journal:
        for name in names:
            writer = Writer(name)
            await writer.claim(journal)
            await journal.write([writer.write(1, "x", "y")])


async def test_publish_pending_finds_ids_that_nobody_recovers(broker):
    """The sweep publishes what is missing of every id of the journal, once."""
    names = [f"id-{number}" for number in range(5)]
    await stored_unpublished(broker, *names)
    async with broker.open() as journal:
        report = await journal.publish_pending()
        again = await journal.publish_pending()
    assert (report.ids, report.ids_behind, report.events) == (5, 5, 10)
    assert (again.ids, again.ids_behind, again.events) == (5, 0, 0)
    assert [broker.numbers(name) for name in names] == [[1, 2]] * 5


def damage(broker, name):
    """Append a record to an id's journal that is none."""
    with Producer({"bootstrap.servers": broker.servers}) as client:
        client.produce(f"{broker.prefix}j-{name}", b"garbage", b"key", 0)
        client.flush(30)


async def test_damaged_ids_do_not_keep_others_from_being_published(broker):
    """A sweep over many ids goes on past those that cannot be read, and names each of them at the end."""
    names = [f"id-{number:02}" for number in range(40)]
    damaged = ["a-damaged", "id-20-damaged"]
    await stored_unpublished(broker, *names, *damaged)
    for name in damaged:
        damage(broker, name)
    async with broker.open() as journal:
        with pytest.raises(SweepIncomplete, match="a-damaged") as caught:
            await journal.publish_pending()
        with pytest.raises(CorruptRecord):
            await journal.publish_pending(["a-damaged"])
    error = caught.value
    assert sorted(error.failures) == damaged
    assert all(isinstance(failure, CorruptRecord) for failure in error.failures.values())
    assert (error.report.ids, error.report.ids_behind, error.report.events) == (42, 40, 80)
    decode = EventDecoder()
    events = [decode(value) for _, _, value in broker.read()]
    assert sorted((event.persistence_id, event.sequence_nr) for event in events) == [
        (name, number) for name in names for number in (1, 2)
    ]


async def test_a_topic_whose_id_is_unknown_is_named(broker):
    """A journal whose first record is damaged may have unpublished events: the sweep says so, and publishes the others."""
    await stored_unpublished(broker, "a", "b")
    async with open_driver(broker.config()) as driver:
        start = (await driver.scan(Log(f"{broker.prefix}j-a"), 0, 1)).records[0].value[:20]
    topic = f"{broker.prefix}j-broken"
    async with broker.open() as journal:
        await journal.prepare(["broken"])
    with Producer({"bootstrap.servers": broker.servers}) as client:
        client.produce(topic, start, b"key", 0)
        client.flush(30)
    async with broker.open() as journal:
        with pytest.raises(SweepIncomplete, match="its id is unknown") as caught:
            await journal.publish_pending()
    assert list(caught.value.failures) == [topic]
    assert (broker.numbers("a"), broker.numbers("b")) == ([1, 2], [1, 2])


async def test_publish_pending_at_start(broker):
    """By configuration, opening a journal sweeps."""
    await stored_unpublished(broker, "a")
    async with broker.open(publish_pending=True) as journal:
        await published(journal, 2)
    assert broker.numbers("a") == [1, 2]


async def test_a_deletion_publishes_first(broker):
    """Deleting does not lose events that were not published yet."""
    await stored_unpublished(broker, "a")
    async with broker.open() as journal:
        await journal.delete_to("a", math.inf)
        assert broker.numbers("a") == [1, 2]


async def test_a_deletion_fails_while_events_cannot_be_published(broker):
    """If they cannot be published, nothing is deleted, and the error says why."""
    await stored_unpublished(broker, "a")
    async with broker.open(create=False) as journal:
        with pytest.raises(PublicationPending, match="does not exist"):
            await journal.delete_to("a", 2)
        async with journal.replay("a") as events:
            assert [event.sequence_nr async for event in events] == [1, 2]


async def test_waiting_for_publication(broker):
    """By configuration, a write returns when its events are published."""
    writer = Writer("a")
    async with broker.open(await_publication=True) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, "x")])
        assert broker.numbers("a") == [1]


async def test_fire_and_forget(broker):
    """The original's mode publishes, too, while nothing goes wrong; and later marks say so."""
    writer = Writer("a")
    async with broker.open(mode="fire-and-forget") as journal:
        await writer.claim(journal)
        for number in range(1, 50):
            await journal.write([writer.write(number, number)])
    await until(lambda: len(broker.numbers("a")) >= 49)
    assert broker.numbers("a") == list(range(1, 50))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_of_ours:Mapper", "cannot be imported"),
        ("kafka_persist.publishing:Nothing", "cannot be imported"),
        ("kafka_persist.publishing:PendingReport", "must be a class derived"),
        ("kafka_persist.publishing:EventTopicMapper", "cannot be made without arguments"),
    ],
)
async def test_a_configured_mapper_is_checked_at_start(name, message):
    """A wrong class is found when the journal is opened, before anything is connected."""
    config = JournalConfig(bootstrap_servers="127.0.0.1:1", event_producer=EventProducerConfig(topic_mapper_class=name))
    with pytest.raises(ConfigError, match=message):
        async with open_journal(config):
            pass


def raising(_event):
    raise RuntimeError("no idea")


BAD = {
    "raises": (raising, "RuntimeError: 'no idea'"),
    "text": (lambda _event: "topic", "must return a sequence of names"),
    "none": (lambda _event: None, "TypeError"),
    "number": (lambda _event: [7], "not a legal topic name"),
    "unhashable": (lambda _event: [["x"]], "TypeError"),
    "illegal": (lambda _event: ["a/b"], "not a legal topic name"),
    "dot": (lambda _event: [".."], "not a legal topic name"),
    "internal": (lambda _event: ["__consumer_offsets"], "Kafka's own"),
    "snapshot": (lambda _event: ["snapshot-a"], "snapshot topics"),
    "twice": (lambda _event: ["x", "x"], "a topic twice"),
    "thousand": (lambda _event: [f"t{number}" for number in range(1000)], "1000 topics for one event"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_mappers_reject_the_write(broker, case):
    """What a mapper does wrong rejects that write; the entity goes on."""
    fn, message = BAD[case]
    writer = Writer("a")
    mapper = To(fn=lambda event: fn(event) if event.data == "bad" else ())
    async with broker.open(mapper) as journal:
        await writer.claim(journal)
        (rejection, fine) = await journal.write([writer.write(1, "bad"), writer.write(2, "good")])
        assert fine is None
        assert isinstance(rejection.cause, EventMappingFailed)
        assert message in rejection.reason
        async with journal.replay("a") as events:
            assert [event.payload async for event in events] == ["good"]


async def test_journal_topics_are_refused_by_prefix(broker):
    """A mapper cannot name a topic of the journal itself."""
    writer = Writer("a")
    async with broker.open(To(f"{broker.prefix}j-a")) as journal:
        await writer.claim(journal)
        (rejection,) = await journal.write([writer.write(1, "x")])
        assert "journal" in rejection.reason


async def test_another_journals_topic_is_never_written_to(broker):
    """Nothing is published into a topic that holds somebody's journal."""
    other, writer = Writer("other"), Writer("a")
    async with broker.open(EmptyEventTopicMapper()) as journal:
        await other.claim(journal)
        with journal._ids.using("other") as idlog:
            topic = idlog.log.topic
    config = JournalConfig(bootstrap_servers=broker.servers, prefix=f"{broker.prefix}k-")
    async with open_journal(config, event_topic_mapper=To(topic)) as journal:
        await writer.claim(journal)
        await journal.write([writer.write(1, "x")])
        await until(lambda: "is the journal topic of some id" in journal.publishing_statistics().last_failure)
    async with broker.open(EmptyEventTopicMapper()) as journal:
        assert await journal.highest_sequence_nr("other") == 0


async def test_many_ids_at_once(broker):
    """A hundred ids, with a topic that is new to the publisher: everything arrives in order."""
    names = [f"id-{number}" for number in range(100)]

    async def use(journal, name):
        writer = Writer(name)
        await writer.claim(journal)
        for number in range(1, 11):
            await journal.write([writer.write(number, number)])

    async with broker.open() as journal:
        await journal.prepare(names)
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(use, journal, name)
    decode = EventDecoder()
    found = {}
    for _, _, value in broker.read():
        event = decode(value)
        found.setdefault(event.persistence_id, []).append(event.sequence_nr)
    assert found == {name: list(range(1, 11)) for name in names}
