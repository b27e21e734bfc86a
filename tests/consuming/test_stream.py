"""`open_events`: at least once, resumable, bounded, with positions that follow what is finished."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from confluent_kafka import DeserializingConsumer

from kafka_persist import Config, EventDecoder, ReceivedEvent, open_events, open_persistence
from kafka_persist._kafka.driver import open_driver
from kafka_persist.driver import Log
from kafka_persist.errors import CorruptRecord, JournalHeadLost, StoreClosed, TopicMissing, UsageError
from tests.support.waiting import until

from .conftest import take

pytestmark = pytest.mark.broker


def by_id(events):
    found = {}
    for event in events:
        found.setdefault(event.persistence_id, []).append(event.sequence_nr)
    return found


async def test_all_events_in_order(place):
    """Each event comes once, those of one id in order, with its data and its place."""
    await place.write(20)
    async with place.events() as stream:
        events = await take(stream, 60)
    assert by_id(events) == {name: list(range(1, 21)) for name in "abc"}
    assert all(isinstance(event, ReceivedEvent) and event.data == event.sequence_nr for event in events)
    assert all(event.topic == place.topic and event.timestamp > 0 for event in events)


async def test_a_group_goes_on_where_it_left(place):
    """What was finished does not come again, what comes later does."""
    await place.write(5)
    async with place.events() as stream:
        first = await take(stream, 7)
    await place.write(5)
    async with place.events() as stream:
        second = await take(stream, 23)
    assert by_id(first + second) == {name: list(range(1, 11)) for name in "abc"}


async def test_what_was_not_finished_comes_again(place):
    """An exception in the body keeps the position before the event that it had."""
    await place.write(3, names="a")
    with pytest.raises(RuntimeError):
        async with place.events() as stream:
            await take(stream, 2)
            raise RuntimeError
    async with place.events() as stream:
        assert [event.sequence_nr for event in await take(stream, 2)] == [2, 3]


async def test_a_cancelled_body_keeps_its_event(place):
    """Cancellation is no end of the body either."""
    await place.write(2, names="a")
    with trio.CancelScope() as scope:
        async with place.events() as stream:
            await take(stream, 1)
            scope.cancel()
            await trio.sleep_forever()
    assert place.committed() == 0


async def test_members_share_the_partitions(place):
    """A second member takes over a part; every event comes, and each id's first occurrences stay in order."""
    names = [f"id-{number}" for number in range(24)]
    place.create()
    await place.write(3, names=names)
    found = []

    async def member(stream):
        async for event in stream:
            found.append(event)  # noqa: PERF401 - each is looked at before the next one comes

    async with place.events() as one, place.events() as two, trio.open_nursery() as nursery:
        nursery.start_soon(member, one)
        nursery.start_soon(member, two)
        await until(lambda: one.statistics().partitions == two.statistics().partitions == 2)
        await place.write(3, names=names)
        await until(lambda: len({(event.persistence_id, event.sequence_nr) for event in found}) == 24 * 6)
        nursery.cancel_scope.cancel()
    firsts = {name: list(dict.fromkeys(numbers)) for name, numbers in by_id(found).items()}
    assert firsts == {name: [1, 2, 3, 4, 5, 6] for name in names}


async def test_a_slow_program_is_not_flooded(place):
    """What waits for the program is bounded, and the rest still comes."""
    await place.write(2500, names="a")
    async with place.events() as stream:
        await take(stream, 1)
        for _ in range(10):
            assert stream.statistics().buffered <= 2_000
            await trio.sleep(0.05)
        events = await take(stream, 2499)
    assert events[-1].sequence_nr == 2500


async def test_start_latest(place):
    """A new group may begin with what comes from now on."""
    place.create()
    await place.write(3, names="a")
    async with place.events(start="latest") as stream:
        await until(lambda: stream.statistics().partitions == 4)
        await trio.sleep(1)  # positions at the end are looked up by the client, unseen
        await place.write(1, names="a")
        assert (await take(stream, 1))[0].sequence_nr == 4


async def test_stop_at_an_undecodable_value(place):
    """By default the stream stops there, again and again, with where and why."""
    await place.write(1, names="a")
    place.create(topic=f"{place.prefix}x")
    place.topic = f"{place.prefix}x"
    place.produce(b"\xff")
    async with place.events() as stream:
        for _ in range(2):
            with pytest.raises(CorruptRecord, match=r"x\[0\]@0"), trio.fail_after(30):
                await stream.receive()
    assert place.committed() == 0


async def test_skip_undecodable_values(place, caplog):
    """By policy they are left out, counted and logged."""
    place.create(1)
    place.produce(b"not an event")
    await place.write(2, names="a")
    async with place.events(on_undecodable="skip") as stream:
        events = await take(stream, 2)
        assert stream.statistics().undecodable == 1
    assert [event.sequence_nr for event in events] == [1, 2]
    assert "left out (skip)" in caplog.text
    assert place.committed(1) == 3


async def test_dead_letter_topic(place):
    """By policy they are copied to a topic of their own, with where they were and why."""
    place.create(1)
    place.produce(b"not an event", b"the key")
    await place.write(1, names="a")
    dead = f"{place.prefix}dead"
    async with place.events(on_undecodable="dead-letter", dead_letter_topic=dead) as stream:
        await take(stream, 1)
    consumer = DeserializingConsumer(
        {"bootstrap.servers": place.servers, "group.id": place.group, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([dead])
    message = consumer.poll(30)
    consumer.close()
    headers = dict(message.headers())
    assert (message.key(), message.value()) == (b"the key", b"not an event")
    assert (headers["kafka-persist-topic"], headers["kafka-persist-offset"]) == (place.topic.encode(), b"0")


async def test_a_missing_topic_is_created(place):
    """A reader may come before the first event."""
    async with place.events() as stream:
        await place.write(1, names="a")
        assert (await take(stream, 1))[0].sequence_nr == 1


async def test_a_missing_topic_without_creation(place):
    """Where topics are not to be created, the error names the missing one."""
    with pytest.raises(TopicMissing, match=place.topic):
        async with open_events(place.without_creation(), place.topic, group="g"):
            pass


async def test_removed_events_are_an_error(place):
    """Events that retention removed before they were read are never passed over silently."""
    place.create(1)
    await place.write(3, names="a")
    async with place.events() as stream:
        await take(stream, 1)
    async with open_driver(place.config) as driver:
        await driver.delete_before(Log(place.topic), 2)
    async with place.events() as stream:
        with pytest.raises(JournalHeadLost, match="no longer in the log"), trio.fail_after(30):
            await stream.receive()


@pytest.mark.parametrize(
    "settings",
    [
        {"group": ""},
        {"on_undecodable": "ignore"},
        {"on_undecodable": "dead-letter"},
        {"dead_letter_topic": "x"},
        {"on_undecodable": "dead-letter", "dead_letter_topic": "a/b"},
    ],
)
async def test_wrong_arguments(place, settings):
    """Nothing is connected for arguments that cannot work."""
    with pytest.raises(UsageError):
        async with place.events(**settings):
            pass


async def test_one_receiver_at_a_time(place):
    """Two tasks in one stream would make "finished" meaningless."""
    async with place.events() as stream, trio.open_nursery() as nursery:
        nursery.start_soon(stream.receive)
        await trio.testing.wait_all_tasks_blocked(0.05)
        with pytest.raises(trio.BusyResourceError):
            await stream.receive()
        nursery.cancel_scope.cancel()


async def test_a_closed_stream(place):
    """Behind its block a stream says that it is closed."""
    async with place.events() as stream:
        pass
    with pytest.raises(StoreClosed):
        await stream.receive()


async def test_a_plain_confluent_consumer(place):
    """Without Trio: the decoder is a value deserializer of confluent_kafka."""
    await place.write(2, names="a")
    consumer = DeserializingConsumer(
        {
            "bootstrap.servers": place.servers,
            "group.id": place.group,
            "auto.offset.reset": "earliest",
            "value.deserializer": EventDecoder(),
        }
    )
    consumer.subscribe([place.topic])
    events = [consumer.poll(30).value() for _ in range(2)]
    consumer.close()
    assert [(event.persistence_id, event.sequence_nr, event.data) for event in events] == [("a", 1, 1), ("a", 2, 2)]


async def test_events_of_a_persistence(place):
    """`persistence.events` reads with the persistence's own brokers and types."""
    await place.write(2, names="a")
    async with (
        open_persistence(Config(journal=place.config)) as persistence,
        persistence.events(place.topic, group=place.group) as stream,
    ):
        assert [event.data for event in await take(stream, 2)] == [1, 2]
