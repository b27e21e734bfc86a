"""The shared layout on a real broker: entities, two processes, restarts with an index. (The contract suite: `tests/compat`.)"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

import kafka_persist
from kafka_persist import (
    Config,
    EventTopicMapper,
    JournalConfig,
    Serializer,
    WriterFenced,
    open_events,
    open_journal,
    open_persistence,
)
from kafka_persist._kafka.driver import open_driver
from kafka_persist.config import EventProducerConfig, SharedConfig
from kafka_persist.driver import Log
from kafka_persist.publishing import EmptyEventTopicMapper

from . import rival

pytestmark = pytest.mark.broker

LIMIT = 256 * 1024
NOTHING = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")


def journal_config(server, prefix, directory="", partitions=4, **changes):
    shared = SharedConfig(partitions=partitions, directory=str(directory), **changes)
    return JournalConfig(
        bootstrap_servers=server.bootstrap_servers,
        layout="shared",
        shared=shared,
        prefix=prefix,
        max_event_bytes=LIMIT,
        event_producer=NOTHING,
    )


def add(total, event):
    return total + event


async def test_a_hundred_new_entities_at_once_and_again_after_a_restart(kafka_server, kafka_prefix, tmp_path):
    """Each is opened, persists one event and is closed; the next process has their states from its index."""
    config = Config(journal=journal_config(kafka_server, kafka_prefix, tmp_path))
    found = {}

    async def deposit(persistence, number):
        async with persistence.entity(f"account-{number}", initial=0, evolve=add) as account:
            await account.persist(number)
            found[number] = account.state

    for rounds in (1, 2):
        async with open_persistence(config) as persistence, trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(deposit, persistence, number)
        assert found == {number: rounds * number for number in range(100)}


async def test_two_processes_on_one_log_take_turns_and_lose_nothing(kafka_server, kafka_prefix):
    config = Config(journal=journal_config(kafka_server, kafka_prefix, partitions=1))
    async with open_persistence(config) as one, open_persistence(config) as other:
        for _ in range(3):
            for persistence in (one, other):
                async with persistence.entity("account", initial=0, evolve=add) as account:
                    await account.persist(1)
        async with one.entity("account", initial=0, evolve=add) as account:
            assert account.state == 6


async def test_two_processes_are_told_of_each_other(kafka_server, kafka_prefix, caplog):
    """The one that lost the log is told which process has it, since when and what to do; taking it back is not silent."""
    caplog.set_level(logging.WARNING, "kafka_persist.journal")
    command = [sys.executable, str(Path(rival.__file__)), kafka_server.bootstrap_servers, kafka_prefix]
    paths = os.pathsep.join([str(Path(kafka_persist.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    config = rival.config_of(kafka_server.bootstrap_servers, kafka_prefix, "host-a")
    writer = uuid.uuid4()
    with trio.fail_after(60):
        async with (
            open_journal(config, serializer=Serializer(), event_topic_mapper=EmptyEventTopicMapper()) as journal,
            trio.open_nursery() as nursery,
        ):
            await journal.claim("mine", writer)
            await journal.write([rival.write_of("mine", writer, 1)])
            process = await nursery.start(
                partial(
                    trio.run_process,
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=os.environ | {"PYTHONPATH": paths},
                )
            )
            other = int(await line_of(process))

            async def rival_writes():
                await process.stdin.send_all(b"write\n")
                return await line_of(process)

            assert await rival_writes() == "stored\n"
            since = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
            with pytest.raises(
                WriterFenced, match=rf"'mine'.* by process {other} on host-b at {since}.* by one process"
            ):
                await journal.write([rival.write_of("mine", writer, 2)])
            assert not caplog.records
            assert await journal.claim("mine", writer) == 1
            await journal.write([rival.write_of("mine", writer, 2)])
            assert f"is taken back from process {other} on host-b at" in caplog.text
            assert re.search(rf"WriterFenced .* by process {os.getpid()} on host-a at {since}", await rival_writes())
            assert [await journal.highest_sequence_nr(pid) for pid in ("mine", rival.ID)] == [2, 1]
            await process.stdin.aclose()


async def line_of(process):
    """The next line that a process prints, however it comes through the pipe."""
    line = b""
    while not line.endswith(b"\n"):
        more = await process.stdout.receive_some()
        assert more, f"the process ended after {line!r}"
        line += more
    return line.decode()


async def test_space_comes_back(kafka_server, kafka_prefix):
    """The log is cut while its owner writes; a new process, which begins at the cut, knows every id."""
    config = journal_config(kafka_server, kafka_prefix, partitions=1, cleaning_ratio=1.5, cleaning_least_bytes=20_000)
    log = Log(config.shared_topic, 0)

    async def visit(persistence, number):
        async with persistence.entity(f"cart-{number}", initial=0, evolve=add) as cart:
            await cart.persist(*range(50))
            if number % 5:
                await persistence.journal.delete_to(f"cart-{number}", 50)

    async def cut():
        while (await driver.scan(log, None, 0)).range.start == 0:  # noqa: ASYNC110 - the broker tells nobody that it cut a log
            await trio.sleep(0.1)

    async with open_persistence(Config(journal=config)) as persistence:
        for begin in range(0, 300, 50):
            async with trio.open_nursery() as nursery:
                for number in range(begin, begin + 50):
                    nursery.start_soon(visit, persistence, number)
        with trio.fail_after(60):
            async with open_driver(config) as driver:
                await cut()
    async with open_journal(config, serializer=Serializer(), event_topic_mapper=EmptyEventTopicMapper()) as journal:
        for number in range(0, 300, 7):
            assert await journal.highest_sequence_nr(f"cart-{number}") == 50
            async with journal.replay(f"cart-{number}") as events:
                assert [event.payload async for event in events] == ([] if number % 5 else list(range(50)))


async def test_events_reach_a_consumer_and_a_restart_publishes_the_rest(kafka_server, kafka_prefix):
    """The second process publishes what it stores, and what the first one left, in the order of each id."""
    topic = f"events-{kafka_prefix}x"

    class ToOne(EventTopicMapper):
        def topics_for(self, event):
            return (topic,)

    config = Config(
        journal=attrs.evolve(journal_config(kafka_server, kafka_prefix), event_producer=EventProducerConfig())
    )
    for begin in (0, 10):
        async with open_persistence(config, event_topic_mapper=ToOne()) as persistence, trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(deposit, persistence, f"account-{number}", range(begin, begin + 10))
    found = {}
    with trio.fail_after(60):
        async with open_events(config.journal, [topic], group=kafka_prefix) as events:
            async for event in events:
                found.setdefault(event.persistence_id, []).append(event.data)
                if sum(map(len, found.values())) == 400:
                    break
    assert found == {f"account-{number}": list(range(20)) for number in range(20)}


async def deposit(persistence, name, payloads):
    async with persistence.entity(name, initial=0, evolve=add) as account:
        for payload in payloads:
            await account.persist(payload)
