"""What somebody would write with confluent-kafka alone where topics are many: creating them, and reading them at random."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

import cbor2
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from . import raw

SLICE = 500
FAST = {"topic.metadata.refresh.fast.interval.ms": 20, "topic.metadata.refresh.sparse": True}


def create(admin: AdminClient, names: Sequence[str], settings: Mapping[str, str] | None = None) -> None:
    """Create topics in one request."""
    new = [NewTopic(name, 1, 1, config=dict(settings or {})) for name in names]
    for future in admin.create_topics(new, operation_timeout=60).values():
        future.result()


def open_new(admin: AdminClient, producer: Producer, topics: Sequence[str]) -> float:
    """Seconds for: create all in one request, produce once to each."""
    start = time.perf_counter()
    create(admin, topics)
    raw.one_in_flight_each(producer, topics, 1)
    return time.perf_counter() - start


def open_again(servers: str, topics: Sequence[str]) -> float:
    """Seconds for: read all to their ends with a fresh consumer, produce once to every other one with a fresh producer."""
    with_records = topics[::2]
    consumer, producer = many_reader(servers), raw.producer(servers)
    producer.list_topics(timeout=10)
    start = time.perf_counter()
    read_streams(consumer, topics, readers=500, reads=len(topics), chances=None)
    raw.one_in_flight_each(producer, with_records, 1)
    seconds = time.perf_counter() - start
    consumer.close()
    producer.close()
    return seconds


def write_streams(admin: AdminClient, producer: Producer, names: Sequence[str], writers: int, value: bytes) -> float:
    """Seconds for: `writers` streams at a time are created in one request, then ten records go into each, one by one."""
    start = time.perf_counter()
    for first in range(0, len(names), writers):
        wave = names[first : first + writers]
        create(admin, wave)
        raw.one_in_flight_each(producer, wave, 10, value)
    return time.perf_counter() - start


def many_reader(servers: str) -> Consumer:
    """A consumer for many short reads, which knows every topic's leader."""
    settings = {"fetch.wait.max.ms": 0, "fetch.error.backoff.ms": 10, "enable.partition.eof": True, **FAST}
    client = raw.consumer(servers, **settings)
    client.list_topics(timeout=10)  # a topic whose leader is not known would wait for a timer
    client.assign([])
    return client


def read_streams(
    client: Consumer, topics: Sequence[str], *, readers: int, reads: int, chances: random.Random | None
) -> list[float]:
    """Read whole topics, `readers` at a time: random ones, or each in turn; the seconds of each reading."""
    pending: dict[str, float] = {}
    times: list[float] = []
    begun = 0
    while len(times) < reads:
        while begun < reads and len(pending) < readers:
            topic = topics[begun] if chances is None else chances.choice(topics)
            if topic in pending:
                continue
            pending[topic] = time.perf_counter()
            client.incremental_assign([TopicPartition(topic, 0, 0)])
            begun += 1
        first = client.poll(0.05)
        for message in [] if first is None else [first, *client.consume(SLICE, 0)]:
            error, topic = message.error(), message.topic()
            if error is None:
                cbor2.loads(message.value())
            elif error.code() == KafkaError._PARTITION_EOF and topic in pending:  # noqa: SLF001 - its only name
                client.incremental_unassign([TopicPartition(topic, 0)])
                times.append(time.perf_counter() - pending.pop(topic))
    return times
