"""A read model in PostgreSQL, of events in Kafka: each event counts once, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import psycopg
import pytest
import trio

from kafka_persist import ErrorPolicy, open_projection
from kafka_persist.errors import ReadModelRefused, ReadModelUnavailable
from kafka_persist.projection_postgresql import open_postgresql_store

from .test_projection import World

pytestmark = pytest.mark.broker

CREATE = "CREATE TABLE IF NOT EXISTS balance (id text PRIMARY KEY, amount bigint NOT NULL, events bigint NOT NULL)"
CLEAR = "DELETE FROM balance"
ADD = (
    "INSERT INTO balance AS b VALUES (%s, %s, 1) "
    "ON CONFLICT (id) DO UPDATE SET amount = b.amount + excluded.amount, events = b.events + 1"
)


def add(connection, event):
    connection.execute(ADD, (event.persistence_id, event.data))


@pytest.fixture
def world(kafka_server, kafka_prefix, tmp_path):
    return World(kafka_server.bootstrap_servers, kafka_prefix, tmp_path)


@pytest.fixture
def conninfo(postgresql):
    return postgresql.empty_database()


def opened(conninfo, apply=add):
    return open_postgresql_store(conninfo, apply, create=CREATE, clear=CLEAR)


def balances(conninfo):
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("SELECT id, amount, events FROM balance").fetchall()
    return {name: (amount, events) for name, amount, events in rows}


async def test_catching_up_going_on_and_beginning_anew(world, conninfo):
    """Across openings of the store, with the ends of transactions behind the last event."""
    await world.write(5, "a", "b", mode="exactly-once")
    world.produce_in_vain(3)
    for _ in range(2):
        async with opened(conninfo) as store, world.open(store) as projection:
            await projection.catch_up()
            assert (await projection.lag()).records == 0
            await projection.wait_for("a", 5)
    await world.write(2, "a")
    async with opened(conninfo) as store, world.open(store) as projection:
        await projection.catch_up()
        assert projection.applied == 2
        await projection.rebuild()
    assert balances(conninfo) == {"a": (28, 7), "b": (15, 5)}


async def test_the_database_goes_away_while_it_runs(world, conninfo, postgresql):
    """A policy that tries again sees the projection through; by default it stops, retriable, and goes on when called again."""
    await world.write(300, "a")
    stopped = []

    def stop_at_100(connection, event):
        add(connection, event)
        if event.data == 100 and not stopped:
            stopped.append(postgresql.stop())

    policy = ErrorPolicy(attempts=None, first_pause=0.05, longest_pause=0.2)
    async with (
        opened(conninfo, stop_at_100) as store,
        open_projection(world.config, world.topic, store) as projection,
    ):
        with pytest.raises(ReadModelUnavailable):
            await projection.catch_up()
        postgresql.start()
        await projection.catch_up()
    assert balances(conninfo) == {"a": (45150, 300)}
    stopped.clear()
    await world.write(100, "b")
    async with (
        opened(conninfo, stop_at_100) as store,
        open_projection(world.config, world.topic, store, on_error=policy) as projection,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(projection.run)
        while not stopped:  # noqa: ASYNC110 - set in a worker thread
            await trio.sleep(0.01)
        await trio.to_thread.run_sync(postgresql.start)
        await projection.wait_for("b", 100)
        nursery.cancel_scope.cancel()
    assert balances(conninfo) == {"a": (45150, 300), "b": (5050, 100)}


async def test_a_cancellation_waits_for_the_transaction(world, conninfo):
    """It is in the database as a whole then, and nobody applies it again."""
    await world.write(5, "a")
    inside, go_on = threading.Event(), threading.Event()

    def slow(connection, event):
        add(connection, event)
        inside.set()
        assert go_on.wait(30)

    async with opened(conninfo, slow) as store, world.open(store) as projection, trio.open_nursery() as nursery:
        nursery.start_soon(projection.run)
        await trio.to_thread.run_sync(inside.wait)
        nursery.cancel_scope.cancel()
        go_on.set()
    assert balances(conninfo) == {"a": (15, 5)}
    async with opened(conninfo) as store, world.open(store) as projection:
        await projection.catch_up()
        assert projection.applied == 0


async def test_a_missing_table_skips_nothing(world, conninfo, postgresql):
    """Otherwise the policy would throw all events away, one by one, while somebody's migration is late."""
    await world.write(3, "a")
    async with opened(conninfo) as store:
        postgresql.execute("DROP TABLE balance", "test_1")
        policy = ErrorPolicy(then="skip")
        async with open_projection(world.config, world.topic, store, on_error=policy) as projection:
            with pytest.raises(ReadModelRefused, match="create the table"):
                await projection.catch_up()
            assert projection.skipped == 0
            postgresql.execute(CREATE, "test_1")
            await projection.catch_up()
    assert balances(conninfo) == {"a": (6, 3)}


VICTIM = """
    import sys, trio
    from kafka_persist import JournalConfig, open_projection
    from kafka_persist.projection_postgresql import open_postgresql_store

    servers, topic, conninfo, create, clear, add = sys.argv[1:]

    def apply(connection, event):
        connection.execute(add, (event.persistence_id, event.data))
        print("x", flush=True)

    async def main():
        async with open_postgresql_store(conninfo, apply, create=create, clear=clear) as store:
            async with open_projection(JournalConfig(bootstrap_servers=servers), topic, store) as projection:
                await projection.run()

    trio.run(main)
"""


async def test_killed_in_the_middle(world, conninfo, tmp_path):
    """The next process takes the partitions over, whatever PostgreSQL still has of the dead one's transaction."""
    script = tmp_path / "victim.py"
    script.write_text(textwrap.dedent(VICTIM))
    await world.write(400, "a", "b")
    command = [sys.executable, str(script), world.servers, world.topic, conninfo, CREATE, CLEAR, ADD]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # also from a bare source tree
    for lines in (1, 250):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as victim:  # noqa: ASYNC220 - nothing else runs
            assert [victim.stdout.readline() for _ in range(lines)] == ["x\n"] * lines
            victim.send_signal(signal.SIGKILL)
    async with opened(conninfo) as store, world.open(store) as projection:
        await projection.catch_up()
    assert balances(conninfo) == {"a": (80200, 400), "b": (80200, 400)}
