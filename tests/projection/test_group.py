"""Several processes share one read model: each has a part of the partitions, and each event counts once, whoever comes or goes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from kafka_persist import MemoryProjectionStore, open_projection
from kafka_persist.errors import ProjectionFailed, UnsupportedOperation, UsageError
from kafka_persist.projection import ProjectionStore
from kafka_persist.projection_postgresql import open_postgresql_store
from tests.support.waiting import until

from .test_postgresql_on_kafka import ADD, CLEAR, CREATE, add, balances
from .test_projection import World

pytestmark = pytest.mark.broker

NAMES = [f"id-{number}" for number in range(12)]


def add_to_dict(model, event):
    amount, events = model.get(event.persistence_id, (0, 0))
    return {**model, event.persistence_id: (amount + event.data, events + 1)}


class Group:
    """Members of a projection's group in this process, all on one read model."""

    def __init__(self, world, request, kind):
        self.world, self.kind, self.request = world, kind, request
        self.memory = MemoryProjectionStore({}, add_to_dict)
        self.conninfo = request.getfixturevalue("postgresql").empty_database() if kind == "postgresql" else ""

    @asynccontextmanager
    async def store(self):
        if self.kind == "memory":
            yield self.memory.another()
        elif self.kind == "sqlite":
            with self.world.store() as store:
                yield store
        else:
            async with open_postgresql_store(self.conninfo, add, create=CREATE, clear=CLEAR) as store:
                yield store

    @asynccontextmanager
    async def member(self):
        """A member that runs until the block is left."""
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(self.store())
            projection = await stack.enter_async_context(
                open_projection(self.world.config, self.world.topic, store, group=f"{self.world.prefix}model")
            )
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(projection.run)  # noqa: ASYNC113 - tests wait for what it does
            yield projection
            nursery.cancel_scope.cancel()

    def balances(self):
        if self.kind == "memory":
            return self.memory.model
        return self.world.balances() if self.kind == "sqlite" else balances(self.conninfo)


@pytest.fixture
def world(kafka_server, kafka_prefix, tmp_path):
    return World(kafka_server.bootstrap_servers, kafka_prefix, tmp_path)


def expected(count):
    return dict.fromkeys(NAMES, (count * (count + 1) // 2, count))


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgresql"])
async def test_two_members_share_the_partitions(world, request, kind):
    """Each has some; when one leaves in the middle of the work, the other one takes over, and each event counts once."""
    await world.write(20, *NAMES)
    group = Group(world, request, kind)
    with trio.fail_after(120):
        async with group.member() as first, trio.open_nursery() as nursery:
            await until(lambda: len(first.partitions) == 3)
            async with group.member() as second:
                await until(lambda: second.partitions and len(first.partitions) + len(second.partitions) == 3)
                assert not set(first.partitions) & set(second.partitions)
                nursery.start_soon(world.write, 20, *NAMES)
                await until(lambda: second.applied)  # it is cancelled while there is more to come
            for name in NAMES:
                await first.wait_for(name, 40)
            assert len(first.partitions) == 3
            await until(lambda: first.applied + second.applied == 40 * len(NAMES))
    assert group.balances() == expected(40)


VICTIM = """
    import logging, sys, trio
    from kafka_persist import ErrorPolicy, JournalConfig, open_projection
    from kafka_persist.projection_postgresql import open_postgresql_store

    servers, topic, conninfo, create, clear, add, group = sys.argv[1:]
    quick = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}

    says = logging.StreamHandler(sys.stdout)
    says.setFormatter(logging.Formatter("%(event)s"))
    logging.getLogger("kafka_persist.projection").addHandler(says)
    logging.getLogger("kafka_persist.projection").setLevel(logging.INFO)
    tries_again = ErrorPolicy(attempts=None, first_pause=0.05, longest_pause=0.2)

    def apply(connection, event):
        connection.execute(add, (event.persistence_id, event.data))
        print("x", flush=True)

    async def main():
        config = JournalConfig(bootstrap_servers=servers, consumer=quick)
        async with open_postgresql_store(conninfo, apply, create=create, clear=clear) as store:
            async with open_projection(config, topic, store, group=group, on_error=tries_again) as projection:
                await projection.run()

    trio.run(main)
"""


async def said(process, wanted):
    """Return when the process has written this line."""
    while (line := await trio.to_thread.run_sync(process.stdout.readline)) != wanted:
        assert line, "it ended"


@asynccontextmanager
async def victim(world, conninfo, tmp_path):
    """A member in a process of its own, which has just begun to apply events."""
    script = tmp_path / "victim.py"
    script.write_text(textwrap.dedent(VICTIM))
    command = [sys.executable, script, world.servers, world.topic, conninfo, CREATE, CLEAR, ADD, f"{world.prefix}model"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # also from a bare source tree
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as process:  # noqa: ASYNC220 - it only prints
        try:
            for _ in range(5):
                await said(process, b"x\n")
            yield process
        finally:
            process.kill()


async def test_a_member_is_killed_in_the_middle(world, request, tmp_path):
    """Others have its partitions as soon as the group has noticed; what its transaction had done is undone."""
    await world.write(50, *NAMES)
    group = Group(world, request, "postgresql")
    with trio.fail_after(120):
        async with victim(world, group.conninfo, tmp_path) as process:
            process.kill()
            async with group.member() as other:
                for name in NAMES:
                    await other.wait_for(name, 50)
                assert len(other.partitions) == 3
    assert group.balances() == expected(50)


async def test_a_member_that_stood_still_cannot_write_any_more(world, request, tmp_path):
    """Stopped inside its transaction, it comes back when others have its partitions; what it had in hand is refused."""
    await world.write(50, *NAMES)
    group = Group(world, request, "postgresql")
    impatient = f"{group.conninfo}?options=-cidle_in_transaction_session_timeout%3D1s"
    with trio.fail_after(120):
        async with victim(world, impatient, tmp_path) as process:
            process.send_signal(signal.SIGSTOP)
            async with group.member() as other:
                for name in NAMES:
                    await other.wait_for(name, 50)
                process.send_signal(signal.SIGCONT)
                await said(process, b"projection.fenced\n")
                await world.write(20, *NAMES)
                for name in NAMES:
                    await other.wait_for(name, 70)
    assert group.balances() == expected(70)


async def test_an_error_ends_the_member_and_the_next_run_goes_on(world, caplog):
    """The event is named; nothing of its batch is applied; the member tries again when it is told to."""
    await world.write(5, *NAMES)
    failing = [True]

    def apply(model, event):
        if failing and event.data == 3:
            raise LookupError("no threes")
        return add_to_dict(model, event)

    store = MemoryProjectionStore({}, apply)
    with trio.fail_after(60), caplog.at_level(logging.INFO, "kafka_persist.projection"):
        async with open_projection(world.config, world.topic, store, group=f"{world.prefix}model") as projection:
            with pytest.raises(ProjectionFailed, match="no threes") as caught:
                await projection.run()
            assert caught.value.sequence_nr == 3
            assert store.model == {} or all(events < 3 for _, events in store.model.values())
            failing.clear()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(projection.run)
                for name in NAMES:
                    await projection.wait_for(name, 5)
                nursery.cancel_scope.cancel()
    assert store.model == expected(5)
    assert "projection.claimed" in {getattr(record, "event", "") for record in caplog.records}


async def test_a_partition_that_somebody_else_has_claimed(world, caplog):
    """The member is refused, says so, and claims what the group still gives to it: it goes on from the stored position."""
    await world.write(3, *NAMES)
    store = MemoryProjectionStore({}, add_to_dict)
    with trio.fail_after(60), caplog.at_level(logging.INFO, "kafka_persist.projection"):
        async with (
            open_projection(world.config, world.topic, store, group=f"{world.prefix}model") as projection,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(projection.run)
            await projection.wait_for(NAMES[0], 3)
            store.another().claim(projection.partitions)
            await world.write(3, *NAMES)
            for name in NAMES:
                await projection.wait_for(name, 6)
            nursery.cancel_scope.cancel()
    assert store.model == expected(6)
    events = [getattr(record, "event", "") for record in caplog.records]
    assert "projection.fenced" in events


async def test_what_a_group_cannot_do(world):
    """It is refused at once, with what to do instead."""
    store = MemoryProjectionStore({}, add_to_dict)
    async with open_projection(world.config, world.topic, store, group="g") as projection:
        for call in (projection.catch_up, projection.rebuild):
            with pytest.raises(UsageError, match="without group="):
                await call()
    with pytest.raises(UsageError, match="group must be"):
        async with open_projection(world.config, world.topic, store, group=""):
            pass

    class Bare(ProjectionStore):
        positions = apply = clear = None

    with pytest.raises(UnsupportedOperation, match=r"claim\(\)"):
        async with open_projection(world.config, world.topic, Bare(), group="g"):
            pass
