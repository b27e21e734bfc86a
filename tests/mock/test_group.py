"""A member of a group whose broker cannot say yet where a log begins: it asks again, and nobody hears of a loss."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio
from confluent_kafka import KafkaError

from kafka_persist import JournalConfig
from kafka_persist._kafka.client import Reasons, client_config
from kafka_persist._kafka.group import EventReader
from kafka_persist.driver import Log
from kafka_persist.errors import AuthorizationError, ClusterNotReady
from lab.mock import Api

from .conftest import append, open_mock_driver


async def read(reader, count):
    """Take the next `count` records of a joined reader."""
    found = []
    with trio.fail_after(60):
        while len(found) < count:
            found += await reader.read(wanted=True)
    return found


@asynccontextmanager
async def member(mock, code):
    """Join a group without a position, at a broker that answers `code` when asked where the log of three records begins."""
    mock.create_topic("t")
    async with open_mock_driver(mock) as driver:
        driver._topics.ensured.add("t")
        for number in range(3):
            await append(driver, "t", b"%d" % number)
    config = JournalConfig(bootstrap_servers=mock.bootstrap_servers)
    reader = EventReader(client_config(config.event_consumer_properties("group"), Reasons()), start="earliest")
    mock.push_errors(Api.LIST_OFFSETS, [code] * 3)
    try:
        async with trio.open_nursery() as nursery:
            reader.subscribe(["t"])
            nursery.start_soon(reader.place)
            yield reader
            nursery.cancel_scope.cancel()
    finally:
        await reader.leave()  # noqa: ASYNC102 - shields itself, with a deadline


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN, KafkaError.NOT_LEADER_FOR_PARTITION])
async def test_a_broker_that_cannot_say_yet_where_the_log_begins(mock, code):
    """It is asked again: "I cannot say" is not "it is no longer in the log"."""
    async with member(mock, code) as reader:
        events = await read(reader, 3)
        assert [event.value for event in events] == [b"0", b"1", b"2"]
        assert reader.partitions == [Log("t", 0)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AuthorizationError),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, ClusterNotReady),
    ],
)
async def test_a_refusal_is_told_as_what_it_is(mock, code, expected):
    with pytest.RaisesGroup(pytest.RaisesExc(expected, match="begin|BEGINNING")):
        async with member(mock, code) as reader:
            await read(reader, 3)
