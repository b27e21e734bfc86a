"""What only a real broker shows: processes that die, logs that are cut or replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import trio
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

import kafka_persist
from kafka_persist import AtomicWrite, JournalTruncated, KafkaPersistence, PersistentRepr, open_persistence
from kafka_persist.journal import KafkaJournal

pytestmark = pytest.mark.broker

WORKER = Path(__file__).with_name("worker.py")
WRITES = 30


@pytest.fixture
def world(kafka_world):
    """Only Kafka."""
    return kafka_world


def work_and_die(world):
    """Let a process persist, kill it in the middle, and return the last number that it reported as durable."""
    paths = os.pathsep.join([str(Path(kafka_persist.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    arguments = [world.config.journal.bootstrap_servers, world.config.journal.prefix, "account"]
    command = [sys.executable, str(WORKER), *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths}
    ) as process:
        try:
            reported = [process.stdout.readline() for _ in range(WRITES)]
        finally:
            process.kill()
        reported += process.stdout.readlines()
    return max(int(line) for line in reported if line.endswith("\n"))


async def test_no_acknowledged_event_is_lost_when_a_process_is_killed(world, stored):
    for _ in range(3):
        acknowledged = await trio.to_thread.run_sync(work_and_die, world)
        async with world.open() as persistence:
            events = await stored(persistence)
            assert events == [(number, number) for number in range(1, len(events) + 1)]
            assert len(events) >= acknowledged
            assert len(events) % 2 == 0, "half of an atomic write"
            async with persistence.entity("account", initial=0, evolve=lambda total, number: total + number) as account:
                assert (account.sequence_nr, account.state) == (len(events), sum(range(len(events) + 1)))


def recreate(world):
    """Lose the whole journal topic. With ZooKeeper the name stays taken for a moment."""
    admin = AdminClient({"bootstrap.servers": world.config.journal.bootstrap_servers})
    topic = world.config.journal.topic_name("account")
    settings = {"retention.ms": "-1", "cleanup.policy": "delete"}
    admin.delete_topics([topic], operation_timeout=30)[topic].result()
    deadline = time.monotonic() + 30
    while True:
        try:
            return admin.create_topics([NewTopic(topic, 1, 1, config=settings)], operation_timeout=30)[topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS or time.monotonic() > deadline:
                raise


async def lose_the_journal(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b", "c")
        await account.save_snapshot()
    await trio.to_thread.run_sync(recreate, world)


async def test_a_snapshot_that_a_shorter_log_contradicts_is_an_orphan(world, entity, caplog):
    await lose_the_journal(world, entity)
    async with world.open() as persistence, entity(persistence) as account:
        assert (account.state, account.sequence_nr) == ([], 0)
    assert "skipped (ignore-orphan)" in caplog.text


async def test_an_orphan_is_accepted_on_request(world, entity):
    await lose_the_journal(world, entity)
    async with world.open(ignore_orphan=False) as persistence, entity(persistence) as account:
        await account.persist("d")
        assert (account.state, account.sequence_nr) == (["a", "b", "c", "d"], 4)


async def test_a_snapshot_that_another_log_contradicts_is_an_error(world, entity):
    await lose_the_journal(world, entity)
    async with world.open() as persistence:
        writer = uuid.uuid4()
        await persistence.journal.claim("account", writer)
        events = [
            PersistentRepr(persistence_id="account", sequence_nr=number, payload="other", writer=writer)
            for number in range(1, 6)
        ]
        await persistence.journal.write([AtomicWrite(events)])
    async with world.open() as persistence:
        with pytest.raises(JournalTruncated):
            async with entity(persistence):
                pass


async def test_what_only_kafkas_journal_can_is_in_the_type_of_the_journal(world, kafka_prefix):
    """`prepare` is documented on ``persistence.journal``, so a type checker has to know it there."""
    (given,) = get_args(get_type_hints(open_persistence)["return"])
    assert given is KafkaPersistence
    assert get_type_hints(KafkaPersistence.journal.fget)["return"] is KafkaJournal
    async with world.open() as persistence:
        assert type(persistence) is KafkaPersistence
        await persistence.journal.prepare(["prepared"])
        assert persistence.journal.publishing_statistics() is not None
