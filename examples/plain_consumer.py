"""What any Kafka consumer sees in a journal topic: no kafka_persist in this file, only a client and a CBOR decoder.

python plain_consumer.py BOOTSTRAP_SERVERS TOPIC
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import cbor2
from confluent_kafka import Consumer, KafkaError, TopicPartition

KINDS = {0: "claim", 1: "events", 2: "delete"}


def read_topic(bootstrap_servers: str, topic: str) -> Iterator[tuple[int, bytes]]:
    """Offset and value of every record of partition 0."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "plain-consumer",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while message := consumer.poll(10.0):
            if message.error() and message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
                return
            if message.error():
                raise RuntimeError(message.error().str())
            yield message.offset(), message.value()
        raise RuntimeError(f"{bootstrap_servers} did not answer")
    finally:
        consumer.close()


def describe(offset: int, value: bytes) -> str:
    """One line for one record. The format is in docs/record-format.md: an array, entries as CBOR within it."""
    _, _, kind, _, writer, epoch, _, _, _, packed = cbor2.loads(value)
    entries = cbor2.loads(packed) if packed else []
    events = ", ".join(f"#{nr} {name} {fields(data)}" for _, nr, _, name, _, data, *_ in entries)
    return f"offset {offset:>3}  {KINDS[kind]:<6}  writer {writer.hex()[:8]}  {events or f'the writer takes over, epoch {epoch}'}"


def fields(data: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in data.items())


if __name__ == "__main__":
    for record in read_topic(*sys.argv[1:]):
        print(describe(*record))
