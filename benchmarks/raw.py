"""What somebody would write with confluent-kafka alone: no Trio, no threads but the client's own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import cbor2
from confluent_kafka import Consumer, Producer, TopicPartition

from .payload import VALUE


def producer(servers: str) -> Producer:
    """The plain producer: fastest where one record per partition is in flight (many requests per connection)."""
    return Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "linger.ms": 0,
            "max.in.flight.requests.per.connection": 1000,
            "topic.metadata.refresh.fast.interval.ms": 20,
        }  # topics that were created just now
    )


def consumer(servers: str, **settings: object) -> Consumer:
    """A consumer for assigned partitions."""
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "raw",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            **settings,
        }
    )


def lone_writes(client: Producer, topic: str, count: int) -> float:
    """The median seconds from `produce` to the delivery report, one record at a time."""
    times = []
    reported: list[object] = []
    for _ in range(count):
        start = time.perf_counter()
        client.produce(topic, VALUE, partition=0, on_delivery=lambda *report: reported.append(report))
        while not reported:
            client.poll(0.1)
        times.append(time.perf_counter() - start)
        reported.clear()
    return median(times)


def median(times: Sequence[float]) -> float:
    """Of several seconds."""
    return statistics.median(times)


def one_in_flight_each(client: Producer, topics: Sequence[str], writes: int, value: bytes = VALUE) -> float:
    """Records per second: each topic has one record in flight, its report sends the next."""
    left = dict.fromkeys(topics, writes)
    pending = len(topics)

    def again(topic: str) -> Callable[..., None]:
        def report(*_: object) -> None:
            nonlocal pending
            left[topic] -= 1
            if left[topic]:
                client.produce(topic, value, partition=0, on_delivery=report)
            else:
                pending -= 1

        return report

    start = time.perf_counter()
    for topic in topics:
        client.produce(topic, value, partition=0, on_delivery=again(topic))
    while pending:
        client.poll(0.1)
    return len(topics) * writes / (time.perf_counter() - start)


def blast(client: Producer, topic: str, count: int) -> float:
    """Records per second into one topic, as many in flight as the client takes."""
    start = time.perf_counter()
    for number in range(count):
        client.produce(topic, VALUE, partition=0)
        if number % 1000 == 0:
            client.poll(0)
    client.flush()
    return count / (time.perf_counter() - start)


def read_all(client: Consumer, topic: str, count: int) -> float:
    """Events per second: consume and decode."""
    start = time.perf_counter()
    client.assign([TopicPartition(topic, 0, 0)])
    seen = 0
    while seen < count:
        for message in client.consume(10_000, 0.1):
            cbor2.loads(message.value())
            seen += 1
    client.unassign()
    return count / (time.perf_counter() - start)


def recover_one(reader: Consumer, writer: Producer, topic: str) -> float:
    """Seconds for: where does the log end, read it, append one record."""
    start = time.perf_counter()
    partition = TopicPartition(topic, 0)
    low, high = reader.get_watermark_offsets(partition)
    reader.assign([TopicPartition(topic, 0, low)])
    seen = low
    while seen < high:
        first = reader.poll(0.1)
        messages = [] if first is None else [first, *reader.consume(high - seen, 0)]
        for message in messages:
            cbor2.loads(message.value())
        seen += len(messages)
    reader.unassign()
    reported: list[object] = []
    writer.produce(topic, VALUE, partition=0, on_delivery=lambda *report: reported.append(report))
    while not reported:
        writer.poll(0.1)
    return time.perf_counter() - start


def recover_many(reader: Consumer, topics: Sequence[str], records: int) -> float:
    """Ids per second, all assigned to one consumer at once."""
    start = time.perf_counter()
    reader.assign([TopicPartition(topic, 0, 0) for topic in topics])
    left = len(topics) * records
    while left > 0:
        first = reader.poll(0.1)
        messages = [] if first is None else [first, *reader.consume(10_000, 0)]
        for message in messages:
            cbor2.loads(message.value())
        left -= len(messages)
    reader.unassign()
    return len(topics) / (time.perf_counter() - start)
