"""The partition of an event is the one that Java's producers choose for the id."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from kafka_persist import EventDecoder
from tests.support.writer import Writer

pytestmark = pytest.mark.broker

PARTITIONS = 12
WORD = 0xFFFFFFFF


def murmur2(data):
    """MurmurHash2 with Kafka's seed, written from the algorithm's description, 32 bits."""
    multiplier = 0x5BD1E995
    value = (0x9747B28C ^ len(data)) & WORD
    whole = len(data) - len(data) % 4
    for place in range(0, whole, 4):
        block = int.from_bytes(data[place : place + 4], "little") * multiplier & WORD
        block = (block ^ block >> 24) * multiplier & WORD
        value = (value * multiplier & WORD) ^ block
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * multiplier & WORD
    value = (value ^ value >> 13) * multiplier & WORD
    return value ^ value >> 15


def partition_of(persistence_id):
    return (murmur2(persistence_id.encode()) & 0x7FFFFFFF) % PARTITIONS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536)],
)
def test_our_murmur2_is_javas(text, expected):
    """The check itself is right: these hashes are in the tests of the Java client."""
    assert murmur2(text.encode()) == expected & WORD


async def test_partitions_are_javas_and_all_are_used(broker):
    """Each id's events are in the partition computed here, in order, and no partition stays empty."""
    admin = AdminClient({"bootstrap.servers": broker.servers, "logger": logging.getLogger("tests.raw")})
    admin.create_topics([NewTopic(broker.topic, PARTITIONS, 1)])[broker.topic].result()
    names = [f"account-{number}" for number in range(70)] + ["käse", "日本語", "a/b", "x" * 999]
    async with broker.open() as journal:
        await journal.prepare(names)
        for name in names:
            writer = Writer(name)
            await writer.claim(journal)
            await journal.write([writer.write(1, "x", "y"), writer.write(3, "z")])
    found, decode = {}, EventDecoder()
    for partition, key, value in broker.read():
        event = decode(value)
        assert key.decode() == event.persistence_id
        found.setdefault((partition, event.persistence_id), []).append(event.sequence_nr)
    assert found == {(partition_of(name), name): [1, 2, 3] for name in names}
    assert {partition for partition, _ in found} == set(range(PARTITIONS))
