"""Ordinary load: members of a group that come and go while events flow, and programs whose threads are busy."""

from __future__ import annotations

import random
import threading

import attrs
import pytest
import trio

from kafka_persist import EventTopicMapper, SnapshotStoreConfig, open_events, open_journal, open_snapshot_store
from kafka_persist._kafka import group, topic_lookups
from kafka_persist._kafka.brokers import Brokers
from kafka_persist._kafka.consumers import open_event_reader
from kafka_persist._kafka.event_sink import open_event_sink
from kafka_persist.errors import ConnectError, JournalBroken
from tests.support.waiting import until

from .conftest import take, write_some

pytestmark = pytest.mark.broker

TOPICS, PARTITIONS, IDS, ROUNDS, EACH = 3, 12, 36, 6, 5


class Spread(EventTopicMapper):
    """Each id's events go to one of a few topics."""

    def __init__(self, topics):
        self.topics = topics

    def topics_for(self, event):
        return (self.topics[int(event.persistence_id) % len(self.topics)],)


class Seen:
    """What all members received, in the order in which they did."""

    def __init__(self):
        self.numbers = {}

    def note(self, event):
        self.numbers.setdefault(event.persistence_id, []).append(event.sequence_nr)

    @property
    def count(self):
        return sum(len(set(numbers)) for numbers in self.numbers.values())

    @property
    def firsts(self):
        return {name: list(dict.fromkeys(numbers)) for name, numbers in self.numbers.items()}


class MemberError(Exception):
    """How a member's program fails."""


@pytest.mark.parametrize("buffered", [group.BATCH * 10, 1])
async def test_members_that_come_and_go(place, monkeypatch, buffered):
    """Three topics of twelve partitions; members join, and leave in each way there is: no event is missing, none overtakes."""
    monkeypatch.setattr("kafka_persist._consuming.stream.BUFFERED", buffered)
    topics = [f"{place.topic}-{number}" for number in range(TOPICS)]
    for topic in topics:
        place.create(PARTITIONS, topic)
    names, seen, done = [str(number) for number in range(IDS)], Seen(), trio.Event()
    rng = random.Random(4711)

    async def write():
        async with open_journal(place.config, event_topic_mapper=Spread(topics)) as journal:
            for _ in range(ROUNDS):
                await write_some(journal, names, EACH)

    async def read(count):
        async with open_events(place.config, topics, group=place.group) as stream:
            async for event in stream:
                seen.note(event)
                count -= 1
                if not count:
                    return
                if count == 1 and rng.random() < 0.5:
                    raise MemberError

    async def member(patience):
        while not done.is_set():
            with trio.move_on_after(patience):  # cancelled in the middle of anything, too
                try:
                    await read(rng.randrange(1, 200))
                except MemberError:
                    continue

    async def stays():
        async with open_events(place.config, topics, group=place.group) as stream:
            async for event in stream:
                seen.note(event)

    with trio.fail_after(240):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            nursery.start_soon(stays)
            for patience in (2, 3, 5):
                nursery.start_soon(member, patience)
            await until(lambda: seen.count >= IDS * ROUNDS * EACH // 2, seconds=200)
            done.set()
            await until(lambda: seen.count == IDS * ROUNDS * EACH, seconds=200)
            nursery.cancel_scope.cancel()
    assert seen.firsts == {name: list(range(1, ROUNDS * EACH + 1)) for name in names}


async def test_a_member_without_partitions_says_goodbye(place):
    """It leaves at once, and the others do not wait for the end of its session, which lasts 45 s."""
    place.create(1)
    await place.write(1, names="a")
    async with place.events() as stream:
        await take(stream, 1)
        async with place.events() as idle:
            await until(lambda: idle._reader._joined)
        with trio.fail_after(20):
            while await trio.to_thread.run_sync(place.members) > 1:  # noqa: ASYNC110 - nothing tells but the coordinator
                await trio.sleep(0.1)


async def test_positions_that_cannot_be_looked_up_now(place, monkeypatch, caplog):
    """While the group's coordinator gives no answer in time, the stream waits; then it goes on where the group was."""
    await place.write(4, names="a")
    async with place.events() as stream:
        await take(stream, 2)
    assert place.committed() == 2
    monkeypatch.setattr(topic_lookups, "LOOKUP_SECONDS", 0.000001)
    async with place.events() as stream:
        await until(lambda: "asked again" in caplog.text)
        assert stream.statistics().partitions == 0
        monkeypatch.undo()
        assert [event.sequence_nr for event in await take(stream, 2)] == [3, 4]


async def test_an_undecided_position_is_not_none(place):
    """A position that an open transaction is about to move is waited for; the group does not begin anew."""
    place.create(1)
    await place.write(4, names="a")
    with place.open_commit(3) as commit:
        async with place.events() as stream, trio.open_nursery() as nursery:
            found = []

            async def receive():
                found.append(await stream.receive())

            nursery.start_soon(receive)
            await trio.sleep(1)  # what must not happen takes a moment
            assert not found
            commit()
            with trio.fail_after(60):
                while not found:  # noqa: ASYNC110 - the end of the nursery would wait for more
                    await trio.sleep(0.02)
    assert found[0].sequence_nr == 4


async def test_an_exception_in_a_rebalance_ends_the_block(place, monkeypatch):
    """Nothing hangs, and no thread dies: the block ends with the exception as the cause."""

    def broken(_self, _logs):
        raise RuntimeError("a bug in a callback")

    monkeypatch.setattr(group.EventReader, "_take", broken)
    await place.write(1, names="a")
    with pytest.raises(JournalBroken) as caught, trio.fail_after(60):
        async with place.events() as stream:
            await stream.receive()
    assert "a bug in a callback" in repr(caught.value.__cause__)


async def test_a_program_whose_threads_are_busy(place):
    """A stream is opened, read and left while all of Trio's default threads are in use."""
    await place.write(3, names="a")
    limiter = trio.to_thread.current_default_thread_limiter()
    threads, limiter.total_tokens = limiter.total_tokens, 1
    release = threading.Event()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, release.wait)
            with trio.fail_after(60):
                async with place.events(
                    on_undecodable="dead-letter", dead_letter_topic=f"{place.prefix}dead"
                ) as stream:
                    assert len(await take(stream, 3)) == 3
            release.set()
    finally:
        release.set()
        limiter.total_tokens = threads


async def test_an_oauth_callback_may_take_its_time(place):
    """Clients are made in threads: a callback that waits for the program does not stop the event loop."""
    answered, asked, alone = threading.Event(), threading.Event(), []

    def token(_config):
        asked.set()
        alone.append(not answered.wait(20))
        return "token", 4_000_000_000

    security = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": token}
    config = attrs.evolve(place.config, bootstrap_servers="127.0.0.1:1", connect_timeout=0.2, client=security)

    snapshots = SnapshotStoreConfig(bootstrap_servers="127.0.0.1:1", connect_timeout=0.2, client=security)

    async def answer():
        while not asked.is_set():  # noqa: ASYNC110 - it is set in a thread
            await trio.sleep(0.01)
        answered.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            async with open_event_sink(Brokers(config)):
                pass
            async with open_event_reader(config, [], start="earliest"):
                pass
            for opened in (open_journal(config), open_snapshot_store(snapshots)):
                with pytest.raises(ConnectError):
                    async with opened:
                        raise AssertionError("nobody answers at this address")
            once = attrs.evolve(config, event_producer=attrs.evolve(config.event_producer, mode="exactly-once"))
            async with open_event_sink(Brokers(once)):
                pass
    assert alone
    assert not any(alone)
