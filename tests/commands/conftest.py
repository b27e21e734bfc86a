"""A journal for the commands to look at, in each layout, on the session's broker; and its configuration file."""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from pathlib import Path

import attrs
import pytest
import trio
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from kafka_persist import Tagged, load_config, open_persistence
from kafka_persist.__main__ import main

PROGRAM = '''
"""The program whose data the commands look at."""

import attrs
from kafka_persist import EntityType, Serializer

serializer = Serializer()

@serializer.register_type()
@attrs.frozen
class Deposited:
    cents: int

@serializer.register_type()
@attrs.frozen
class Balance:
    cents: int = 0

def evolve(state: Balance, event: Deposited) -> Balance:
    return Balance(state.cents + event.cents)

account = EntityType("account", initial=Balance(), evolve=evolve, snapshot_every=3, serializer=serializer)
'''

LAYOUTS = {
    "topic-per-id": "",
    "shared": 'kafka-journal.layout = "shared"\nkafka-journal.shared.partitions = 2\n'
    'kafka-snapshot-store.layout = "shared"\nkafka-snapshot-store.shared.partitions = 2\n'
    'kafka-journal.event.producer.topic.mapper.class = "kafka_persist.publishing:EmptyEventTopicMapper"\n',
}


@attrs.frozen
class Stored:
    """A journal with `account-1` (4 events, the first deleted, a snapshot at 3) and `account-2` (1 event)."""

    folder: Path
    prefix: str
    servers: str

    @property
    def config(self):
        return str(self.folder / "config.toml")

    def program(self, name):
        return f"{self.folder.name}:{name}"

    def run(self, capsys, command, *arguments, code=0):
        """Run a command; what it printed."""
        found = main([command, "--config", self.config, *arguments])
        printed = capsys.readouterr()
        assert found == code, printed.err
        return printed

    def rows(self, capsys, command, *arguments, code=0):
        """Run a command with ``--json``; the objects that it printed."""
        out = self.run(capsys, command, *arguments, "--json", code=code).out
        return [json.loads(line) for line in out.splitlines()]

    def logs(self):
        """All topics of the journal and of its snapshots, with the bounds of their logs."""
        with AdminClient({"bootstrap.servers": self.servers}) as admin:
            topics = admin.list_topics(timeout=10).topics.values()
        parts = [TopicPartition(each.topic, number) for each in topics for number in each.partitions]
        own = [part for part in parts if part.topic.startswith(self.prefix)]
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "test-looks-only"})
        try:
            bounds = {(part.topic, part.partition): consumer.get_watermark_offsets(part, timeout=10) for part in own}
        finally:
            consumer.close()
        return bounds

    def groups(self):
        """The consumer groups; those of other tests may go at any time."""
        with AdminClient({"bootstrap.servers": self.servers}) as admin:
            return {each.group_id for each in admin.list_consumer_groups().result().valid}


async def fill(config, program):
    async with open_persistence(config, serializer=program.serializer) as persistence:
        options = {"initial": program.Balance(), "evolve": program.evolve}
        async with persistence.entity("account-1", snapshot_every=3, **options) as account:
            await account.persist(program.Deposited(5))
            tagged = Tagged(program.Deposited(7), tags={"large"}, metadata={"by": "me\x1b[31m"})
            await account.persist(tagged, program.Deposited(1))
            await account.wait_snapshot_saved()
            await account.persist(program.Deposited(100))
        async with persistence.entity("account-2", **options) as account:
            await account.persist(program.Deposited(2))
        await persistence.journal.delete_to("account-1", 1)


def make(server, folder, layout):
    prefix = f"c{uuid.uuid4().hex[:8]}-"
    (folder / "config.toml").write_text(
        f'kafka-journal.bootstrap.servers = "{server.bootstrap_servers}"\nkafka-journal.prefix = "{prefix}j-"\n'
        f'kafka-snapshot-store.prefix = "{prefix}s-"\n{LAYOUTS[layout]}'
    )
    (folder / f"{folder.name}.py").write_text(PROGRAM)
    sys.path.insert(0, str(folder))
    try:
        program = importlib.import_module(folder.name)
    finally:
        sys.path.remove(str(folder))
    trio.run(fill, load_config(folder / "config.toml"), program)
    return Stored(folder, prefix, server.bootstrap_servers)


@pytest.fixture(scope="session", params=LAYOUTS)
def filled(request, kafka_server, tmp_path_factory):
    """A journal that no test changes."""
    return make(kafka_server, tmp_path_factory.mktemp("bank_", numbered=True), request.param)


@pytest.fixture
def stored(filled, monkeypatch):
    """The same, from within the program's folder."""
    monkeypatch.chdir(filled.folder)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    return filled


@pytest.fixture
def other(stored, tmp_path):
    """The configuration of an empty journal in the other layout."""
    config = (stored.folder / "config.toml").read_text()
    was = "shared" if "shared" in config else "topic-per-id"
    (to,) = LAYOUTS.keys() - {was}
    config = config.replace(LAYOUTS[was], "").replace(stored.prefix, f"i{uuid.uuid4().hex[:8]}-") + LAYOUTS[to]
    path = tmp_path / "other.toml"
    path.write_text(config)
    return str(path)
