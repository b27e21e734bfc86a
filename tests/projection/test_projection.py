"""A read model has the effect of each event exactly once, whatever happens in between."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import uuid

import attrs
import pytest
import trio

from kafka_persist import (
    AtomicWrite,
    EventProducerConfig,
    EventTopicMapper,
    JournalConfig,
    PersistentRepr,
    TopicsConfig,
    open_journal,
    open_projection,
)
from kafka_persist._kafka.driver import open_driver
from kafka_persist.driver import Log
from kafka_persist.errors import JournalHeadLost, ProjectionFailed, ProjectionFenced, TopicMissing
from kafka_persist.projection_sqlite import SqliteProjectionStore
from tests.publishing.committed import settle
from tests.support.transactions import produce_in_vain

pytestmark = pytest.mark.broker

CREATE = "CREATE TABLE IF NOT EXISTS balance (id TEXT PRIMARY KEY, amount INTEGER NOT NULL, events INTEGER NOT NULL)"
CLEAR = "DELETE FROM balance"


def add(connection, event):
    connection.execute(
        "INSERT INTO balance VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, "
        "events = events + 1",
        (event.persistence_id, event.data),
    )


class To(EventTopicMapper):
    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


class World:
    def __init__(self, servers, prefix, folder):
        self.servers, self.prefix, self.path = servers, prefix, str(folder / "model.sqlite")
        self.topic = f"{prefix}published"
        self.config = JournalConfig(
            bootstrap_servers=servers, prefix=f"{prefix}j-", event_producer=EventProducerConfig(partitions=3)
        )

    def settle(self):
        """Return when no transaction is open in the topic."""
        settle(self.servers, self.topic)

    def produce_in_vain(self, partitions):
        """Abort a transaction with an event in each partition."""
        produce_in_vain(self.servers, self.topic, partitions)

    async def remove_everything(self):
        """What retention does to a topic that nobody writes to."""
        self.settle()
        async with open_driver(self.config) as driver:
            for log in (Log(self.topic, partition) for partition in range(3)):
                await driver.delete_before(log, (await driver.scan(log, None, 0)).range.end)

    async def write(self, count, *names, mode="at-least-once"):
        config = attrs.evolve(self.config, event_producer=attrs.evolve(self.config.event_producer, mode=mode))
        async with open_journal(config, event_topic_mapper=To(self.topic)) as journal:
            for name in names:
                writer = uuid.uuid4()
                first = await journal.claim(name, writer) + 1
                await journal.write(
                    [
                        AtomicWrite(
                            [PersistentRepr(persistence_id=name, sequence_nr=number, payload=number, writer=writer)]
                        )
                        for number in range(first, first + count)
                    ]
                )

    def store(self, apply=add):
        return SqliteProjectionStore(self.path, apply, create=CREATE, clear=CLEAR)

    def open(self, store):
        return open_projection(self.config, self.topic, store)

    def balances(self):
        with sqlite3.connect(self.path) as connection:
            found = {name: (amount, events) for name, amount, events in connection.execute("SELECT * FROM balance")}
        connection.close()
        return found


@pytest.fixture
def world(kafka_server, kafka_prefix, tmp_path):
    return World(kafka_server.bootstrap_servers, kafka_prefix, tmp_path)


async def test_catching_up_and_going_on(world):
    """Everything is applied, later events in a later process, too; the lag falls to nothing."""
    await world.write(10, "a", "b")
    with world.store() as store:
        async with world.open(store) as projection:
            assert (await projection.lag()).records == 20
            await projection.catch_up()
            assert (await projection.lag()).records == 0
    await world.write(5, "a")
    with world.store() as store:
        async with world.open(store) as projection:
            assert (await projection.lag()).records == 5
            await projection.catch_up()
            assert projection.applied == 5
    assert world.balances() == {"a": (120, 15), "b": (55, 10)}


async def test_repeated_events_are_applied_once(world):
    """A topic that holds events twice (a crash of the publisher) makes the same read model."""
    await world.write(4, "a")
    async with open_driver(world.config) as driver:
        found = None
        for partition in range(3):
            scan = await driver.scan(Log(world.topic, partition), None, None)
            found = (partition, scan.records) if scan.records else found
        partition, records = found
        with trio.fail_after(30):
            for record in records[1:]:
                stored = trio.Event()
                driver.submit(
                    Log(world.topic, partition), record.key, record.value, lambda _ack, done=stored: done.set()
                )
                await stored.wait()
    with world.store() as store:
        async with world.open(store) as projection:
            await projection.catch_up()
    assert world.balances() == {"a": (10, 4)}


async def test_running_follows(world):
    """`run` applies what comes."""
    with world.store() as store:
        async with world.open(store) as projection, trio.open_nursery() as nursery:
            nursery.start_soon(projection.run)
            await world.write(3, "a")
            with trio.fail_after(30):
                while projection.applied < 3:  # noqa: ASYNC110 - the store has no event to wait for
                    await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
    assert world.balances() == {"a": (6, 3)}


async def test_a_failing_function_stores_nothing(world):
    """The batch is rolled back, its position with it; the error names the event; the next attempt applies it whole."""
    await world.write(5, "a")

    def fail(connection, event):
        add(connection, event)
        if event.data == 4:
            raise RuntimeError("no fours")

    with world.store(fail) as store:
        async with world.open(store) as projection:
            with pytest.raises(ProjectionFailed, match=r"event 4 of 'a'.*no fours") as caught:
                await projection.catch_up()
    error = caught.value
    assert (error.persistence_id, error.sequence_nr, error.topic, error.offset) == ("a", 4, world.topic, 3)
    assert error.partition in range(3)
    assert isinstance(error.__cause__, RuntimeError)
    assert world.balances() == {}
    with world.store() as store:
        async with world.open(store) as projection:
            await projection.catch_up()
    assert world.balances() == {"a": (15, 5)}


async def test_rebuilding(world):
    """A read model can be made anew from the beginning of the topic."""
    await world.write(5, "a", "b")
    with world.store() as store:
        async with world.open(store) as projection:
            await projection.catch_up()
            store.connection.execute("UPDATE balance SET amount = 0")
            await projection.rebuild()
    assert world.balances() == {"a": (15, 5), "b": (15, 5)}


async def test_two_processes_on_one_read_model(world):
    """The newer one takes it over, the older one stops with an error; nothing is applied twice."""
    await world.write(5, "a")
    with world.store() as one, world.store() as two:
        async with world.open(one) as first, world.open(two) as second:
            await first.catch_up()
            await second.catch_up()
            await first.lag()  # looking takes nothing away
            await world.write(5, "a")
            with pytest.raises(ProjectionFenced, match="another process"):
                await first.catch_up()
            await second.catch_up()
            assert (first.applied, second.applied) == (5, 5)
            await first.catch_up()  # who calls again means it
    assert world.balances() == {"a": (55, 10)}


async def test_removed_events_are_an_error(world):
    """If retention took events before they were applied, the read model does not go on as if nothing had happened."""
    await world.write(3, "a")
    with world.store() as store:
        async with world.open(store) as projection:
            await projection.catch_up()
    await world.write(3, "a")
    async with open_driver(world.config) as driver:
        for partition in range(3):
            end = (await driver.scan(Log(world.topic, partition), None, 0)).range.end
            if end:
                await driver.delete_before(Log(world.topic, partition), end - 1)
    with world.store() as store:
        async with world.open(store) as projection:
            with pytest.raises(JournalHeadLost, match="before they were applied"):
                await projection.catch_up()
            await projection.rebuild()
    assert world.balances() == {"a": (6, 1)}


async def test_a_missing_topic(world):
    """Without creation the error names it."""
    config = JournalConfig(bootstrap_servers=world.servers, topics=TopicsConfig(create=False))
    with world.store() as store, pytest.raises(TopicMissing, match=world.topic):
        async with open_projection(config, world.topic, store):
            pass


VICTIM = """
    import sys, time, trio
    from kafka_persist import JournalConfig, open_projection
    from kafka_persist.projection_sqlite import SqliteProjectionStore

    servers, topic, path, create, clear = sys.argv[1:]

    def add(connection, event):
        connection.execute(
            "INSERT INTO balance VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, "
            "events = events + 1", (event.persistence_id, event.data),
        )
        print("x", flush=True)

    async def main():
        with SqliteProjectionStore(path, add, create=create, clear=clear) as store:
            async with open_projection(JournalConfig(bootstrap_servers=servers), topic, store) as projection:
                await projection.run()

    trio.run(main)
"""


async def test_transactions_at_the_end_of_the_topic(world):
    """Behind the last event may be ends of transactions, and events of an aborted one: catching up ends all the same.

    When retention removes those, too, no event is taken for lost.
    """
    await world.write(10, "a", mode="exactly-once")
    world.produce_in_vain(3)
    for count in (0, 10):
        with world.store() as store:
            async with world.open(store) as projection:
                with trio.fail_after(30):
                    await projection.catch_up()
                assert (await projection.lag()).records == 0
        await world.remove_everything()
        await world.write(count, "a", mode="exactly-once")
    with world.store() as store:
        async with world.open(store) as projection:
            await projection.catch_up()
    assert world.balances() == {"a": (210, 20)}


async def test_killed_in_the_middle(world, tmp_path):
    """Killed while it applies events, the next process goes on; each event has its effect once."""
    script = tmp_path / "victim.py"
    script.write_text(textwrap.dedent(VICTIM))
    await world.write(400, "a", "b")
    command = [sys.executable, str(script), world.servers, world.topic, world.path, CREATE, CLEAR]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # also from a bare source tree
    for lines in (1, 37, 250):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as victim:  # noqa: ASYNC220 - nothing else runs
            assert [victim.stdout.readline() for _ in range(lines)] == ["x\n"] * lines
            victim.send_signal(signal.SIGKILL)
        await world.write(100, "a")
    with world.store() as store:
        async with world.open(store) as projection:
            await projection.catch_up()
    assert world.balances() == {"a": (sum(range(701)), 700), "b": (sum(range(401)), 400)}
