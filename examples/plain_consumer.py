"""What any Kafka consumer sees in a journal topic: no kafka_persist in this file, only a client and a CBOR decoder.

python plain_consumer.py BOOTSTRAP_SERVERS TOPIC
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import cbor2
from confluent_kafka import Consumer, KafkaError, TopicPartition

# kind, author, writer, epoch, prev_author, floor, position, prev_offset, first, last, published
HEADER = struct.Struct(">B16s16sq16sqqqqqq")
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
            if (error := message.error()) is None:
                yield message.offset() or 0, message.value() or b""
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
                return
            else:
                raise RuntimeError(error.str())
        raise RuntimeError(f"{bootstrap_servers} did not answer")
    finally:
        consumer.close()


def describe(offset: int, value: bytes) -> str:
    """One line for one record. docs/record-format.md has the fields, and the rule which records count."""
    _, _, header, owner, entries = cbor2.loads(value)
    shared = isinstance(owner, list)  # several ids have events in this log
    kind, _, writer, epoch, _, floor, _, _, _, _, published = HEADER.unpack(header)
    match KINDS[kind]:
        case "claim":
            told = f"the writer takes over, epoch {epoch}"
        case "events":
            told = ", ".join(runs_of(entries) if shared else events_of(entries))
        case _ if entries:
            told = ", ".join(
                f"{persistence_id}: deleted up to #{deleted_to}" for persistence_id, _, deleted_to in entries
            )
        case _:
            told = f"published to user-defined topics up to #{published}, {f'deleted up to #{floor}' if floor else 'nothing deleted'}"
    return f"offset {offset:>3}  {KINDS[kind]:<6}  writer {writer.hex()[:8]}  {told}"


def events_of(entries: Sequence[Any]) -> Iterator[str]:
    for nr, _, name, _, data, *_ in entries:
        yield f"#{nr} {name} {fields(data)}"


def runs_of(items: Sequence[Any]) -> Iterator[str]:
    """Of the items in a shared log's records those with events: each holds what a record of an id's own log would."""
    for item in items:
        if len(item) == 5:
            persistence_id, _, _, _, entries = item
            yield f"{persistence_id}: {', '.join(events_of(cbor2.loads(entries)))}"


def fields(data: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in data.items())


if __name__ == "__main__":
    for record in read_topic(*sys.argv[1:]):
        print(describe(*record))
