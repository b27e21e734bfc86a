"""What somebody may do: the smallest set of rights of each role, and the error of each right that is missing."""

from __future__ import annotations

import json

import attrs
import pytest
import trio

from kafka_persist import open_journal, open_persistence
from kafka_persist.__main__ import main
from kafka_persist.config import EventProducerConfig
from kafka_persist.errors import AuthorizationError
from kafka_persist.publishing import DefaultEventTopicMapper, EmptyEventTopicMapper

from .conftest import PATIENCE, add, persist

pytestmark = pytest.mark.broker

WRITER = ("create", "read", "write")
"""Of a program with entities, on its topics: Read and Write imply Describe."""


async def refused(config, *events, **options):
    with trio.fail_after(PATIENCE), pytest.raises(AuthorizationError) as caught:
        await persist(config, *events, **options)
    assert not caught.value.retriable
    return str(caught.value)


async def test_nothing_works_without_rights(config):
    assert "TOPIC_AUTHORIZATION_FAILED" in await refused(config())


async def test_a_writer_needs_these_rights_and_no_others(config, allow, kafka_prefix):
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)

    assert await persist(config(), 1, 2, 3) == [1, 2, 3]
    assert await persist(config()) == [1, 2, 3]


@pytest.mark.parametrize("missing", WRITER)
async def test_each_right_that_is_missing_is_named_and_nothing_is_lost_when_it_comes(
    secured, config, allow, kafka_prefix, missing
):
    """An id that has its topics, and one that has none yet."""
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)
    await persist(config(), 1, 2)
    await trio.to_thread.run_sync(take, secured, "alice", missing, kafka_prefix)

    if missing == "create":
        assert await persist(config(), 3) == [1, 2, 3], "an id that has its topics needs no more"
        assert "creating topic" in await refused(config(), 1, persistence_id="new")
    else:
        await refused(config(), 3)

    await trio.to_thread.run_sync(give, secured, "alice", missing, kafka_prefix)
    known = [1, 2, 3] if missing == "create" else [1, 2]
    assert await persist(config(), 4) == [*known, 4]
    assert await persist(config(), 1, persistence_id="new") == [1]


async def test_a_deletion_needs_one_right_more_for_the_disk_to_be_freed(config, allow, kafka_prefix, caplog):
    """Without Delete events are hidden, which a record says; their disk space waits for somebody who may."""
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)
    await persist(config(), 1, 2)
    async with open_journal(config().journal, event_topic_mapper=EmptyEventTopicMapper()) as journal:
        await journal.delete_to("a", 1)
    assert "hidden but still on disk" in caplog.text

    caplog.clear()
    allow("alice", "delete", topic=kafka_prefix, prefix=True)
    async with open_journal(config().journal, event_topic_mapper=EmptyEventTopicMapper()) as journal:
        await journal.delete_to("a", 2)
        assert journal.deleted_to("a") == 2
    assert "hidden but still on disk" not in caplog.text


async def test_a_reader_needs_no_right_to_write(config, allow, kafka_prefix):
    """A view: Read on the topics, and IdempotentWrite on the cluster, which alone allows nothing to be written."""
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)
    await persist(config("alice"), 1, 2)
    allow("reader", "read", topic=kafka_prefix, prefix=True)
    allow("reader", "idempotent_write", cluster="kafka-cluster")

    async with (
        open_persistence(config("reader"), event_topic_mapper=EmptyEventTopicMapper()) as persistence,
        persistence.view("a", view_id="reader", initial=[], evolve=add) as view,
    ):
        assert view.state == [1, 2]
    await refused(config("reader"), 3)


async def test_a_tenant_does_not_see_another_one(config, allow, kafka_prefix):
    """Not an empty journal, and no wait: an error."""
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)
    await persist(config("alice"), 1)
    allow("bob", *WRITER, topic=f"other-{kafka_prefix}", prefix=True)

    assert kafka_prefix in await refused(config("bob"))


async def test_what_may_not_be_published_waits_in_the_journal(config, allow, kafka_prefix):
    """Events are stored all the same, and published when the rights come: Read, too, to see what is there already."""
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)
    impatient = config(journal={"delivery_timeout": 2.0})
    mapper = OneTopic(f"of-{kafka_prefix}events")
    await persist(impatient, 1, 2, mapper=mapper)

    allow("alice", *WRITER, topic=mapper.topic)
    async with open_journal(config().journal, event_topic_mapper=mapper) as journal:
        report = await journal.publish_pending(["a"])
    assert report.events == 2, report


async def test_exactly_once_needs_these_rights_besides_and_no_others(secured, config, allow, kafka_prefix):
    """Write on the transactional ids, Read on the group of marks; no Create on topics that are there."""
    mapper = OneTopic(f"of-{kafka_prefix}events")
    await trio.to_thread.run_sync(secured.create_topics, mapper.topic)
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)
    allow("alice", "read", "write", topic=mapper.topic)
    once = config(journal={"event_producer": EventProducerConfig(mode="exactly-once"), "delivery_timeout": 5.0})

    assert "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" in await refused(once, 1, mapper=mapper)
    allow("alice", "write", transactional_id=f"kafka-persist-{kafka_prefix}", prefix=True)
    assert "GROUP_AUTHORIZATION_FAILED" in await refused(once, 1, mapper=mapper)
    allow("alice", "read", group=f"kafka-persist-{kafka_prefix}published")

    assert await persist(once, 1, 2, mapper=mapper) == [1, 2]
    async with open_journal(once.journal, event_topic_mapper=mapper) as journal:
        assert (await journal.publish_pending(["a"])).events == 0


async def test_the_command_that_checks_a_cluster_needs_to_see_settings_only(
    secured, config, allow, kafka_prefix, tmp_path, capsys
):
    allow("alice", *WRITER, topic=kafka_prefix, prefix=True)
    await persist(config("alice"), 1)
    allow("reader", "describe", "describe_configs", topic=kafka_prefix, prefix=True)
    allow("reader", "describe_configs", cluster="kafka-cluster")

    properties = secured.client_config("reader")
    servers = properties.pop("bootstrap.servers")
    lines = [
        "[kafka-journal]",
        f'bootstrap.servers = "{servers}"',
        f'prefix = "{kafka_prefix}"',
        "[kafka-snapshot-store]",
        f'prefix = "{kafka_prefix}snapshot-"',
        "[kafka-journal.client]",
        *(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in properties.items()),
    ]
    file = tmp_path / "kafka-persist.toml"
    file.write_text("\n".join(lines))

    assert await trio.to_thread.run_sync(main, ["check", "--config", str(file)]) in (0, 1)
    assert "settings looked at" in capsys.readouterr().out

    await trio.to_thread.run_sync(take, secured, "reader", "describe_configs", kafka_prefix)
    assert await trio.to_thread.run_sync(main, ["check", "--config", str(file)]) == 2
    assert "TOPIC_AUTHORIZATION_FAILED" in capsys.readouterr().out


@attrs.frozen
class OneTopic(DefaultEventTopicMapper):
    topic: str

    def topics_for(self, event):
        return (self.topic,)


def take(server, user, operation, prefix):
    server.disallow(user, operation, topic=prefix, prefix=True)


def give(server, user, operation, prefix):
    server.allow(user, operation, topic=prefix, prefix=True)
