"""``topics``, ``lag`` and ``server``."""

from __future__ import annotations

import uuid

import attrs
import pytest
import trio

from kafka_persist import (
    AtomicWrite,
    EmptyEventTopicMapper,
    EventTopicMapper,
    PersistentRepr,
    TopicsConfig,
    load_config,
    open_events,
    open_journal,
)
from kafka_persist.__main__ import main
from kafka_persist._shared.place import partition_of
from kafka_persist.driver import Log
from kafka_persist.serialization import RawSerializer


@pytest.mark.broker
def test_each_topic_has_a_role_and_an_owner(stored, capsys):
    config = load_config(stored.config)
    found = {row["topic"]: row for row in stored.rows(capsys, "topics") if row["topic"].startswith(stored.prefix)}
    snapshots = {name: row["persistence_id"] for name, row in found.items() if row["role"] == "snapshots"}
    journal = {name: row["persistence_id"] for name, row in found.items() if row["role"] == "journal"}
    if config.journal.layout == "shared":
        assert journal == {config.journal.shared_topic: None}
        assert snapshots == {config.snapshot_store.shared_topic: None}
    else:
        assert journal == {config.journal.topic_name(name): name for name in ("account-1", "account-2")}
        assert snapshots == {config.snapshot_store.topic_name("account-1"): "account-1"}


@pytest.mark.broker
@pytest.mark.parametrize("filled", ["topic-per-id"], indirect=True)
def test_published_events_and_kafkas_own_topics_are_known(stored, capsys):
    """The journal's default mapper publishes to `events`."""
    assert "events" in {row["topic"] for row in stored.rows(capsys, "topics") if row["role"] == "events"}
    roles = {row["topic"]: row["role"] for row in stored.rows(capsys, "topics", "--others")}
    assert roles.get("__consumer_offsets", "kafka") == "kafka"
    assert roles["events"] == "events"


def test_the_servers_options_are_the_test_kits(capfd):
    assert main(["server", "--", "--help"]) == 0
    assert "--zookeeper-port" in capfd.readouterr().out
    assert main(["server", "--mode", "no-such-mode"]) == 2
    assert "no-such-mode" in capfd.readouterr().err


async def consume_one(config, topic, group):
    async with open_events(config, topic, group=group, serializer=RawSerializer()) as events:
        await events.receive()


@pytest.mark.broker
def test_how_far_publication_is_behind(stored, capsys):
    """What the program stored is published."""
    printed = stored.run(capsys, "lag", "account-2")
    what = "logs" if load_config(stored.config).journal.layout == "shared" else "ids"
    assert f"1 {what} looked at, 0 with" in printed.err
    assert printed.out == ""


@pytest.mark.broker
def test_what_is_not_published_is_counted(stored, kafka_prefix, tmp_path, monkeypatch, capsys):
    """A topic that is missing, and may not be created, holds publication up."""
    monkeypatch.setenv("KAFKA_PERSIST__KAFKA_JOURNAL__PREFIX", f"{kafka_prefix}j-")
    config = attrs.evolve(load_config(stored.config).journal, delivery_timeout=2)
    trio.run(store_unpublished, config, f"{kafka_prefix}missing")
    if config.layout == "shared":  # the log's items are counted: one atomic write
        log = str(Log(config.shared_topic, partition_of("a", config.shared.partitions)))
        expected = {"log": log, "published_up_to": 0, "highest": 1, "lag": 1}
    else:
        expected = {"persistence_id": "a", "published_up_to": 0, "highest_sequence_nr": 2, "lag": 2}
    assert stored.rows(capsys, "lag") == [expected]
    assert stored.rows(capsys, "lag", "a") == [expected]


async def store_unpublished(config, topic):
    class Mapper(EventTopicMapper):
        def topics_for(self, event):
            return (topic,)

    async with open_journal(config, event_topic_mapper=EmptyEventTopicMapper()) as journal:
        await journal.prepare(["a"])
    config = attrs.evolve(config, topics=TopicsConfig(create=False))
    writer = uuid.uuid4()
    async with open_journal(config, event_topic_mapper=Mapper()) as journal:
        await journal.claim("a", writer)
        events = [PersistentRepr(persistence_id="a", sequence_nr=nr, payload=nr, writer=writer) for nr in (1, 2)]
        await journal.write([AtomicWrite(events)])


@pytest.mark.broker
@pytest.mark.parametrize("filled", ["topic-per-id"], indirect=True)
def test_how_far_a_group_of_consumers_is_behind(stored, kafka_prefix, capsys):
    before = stored.groups()
    options = ("lag", "--topic", "events", "--group", f"{kafka_prefix}group")
    rows = stored.rows(capsys, *options)
    assert {row["position"] for row in rows} == {None}
    assert sum(row["lag"] for row in rows) > 0
    assert stored.groups() <= before  # asking does not make the group
    trio.run(consume_one, load_config(stored.config).journal, "events", f"{kafka_prefix}group")
    after = stored.rows(capsys, *options)
    assert any(row["position"] is not None for row in after)
    assert sum(row["lag"] for row in after) < sum(row["end"] for row in after)


@pytest.mark.parametrize("arguments", [["--group", "g"], ["--topic", "t"], ["--group", "g", "--topic", "t", "id"]])
def test_what_belongs_together_is_said(capsys, arguments):
    assert main(["lag", *arguments]) == 2
    assert "--topic" in capsys.readouterr().err
