"""Topics with known contents, written as the journal writes them but without waiting for each record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence

from confluent_kafka import Producer

from kafka_persist import PersistentRepr, default_serializer
from kafka_persist._core import chain as rule
from kafka_persist._core.chain import Chain, advance
from kafka_persist._core.envelope import Envelope, encode_entry, encode_envelope, join_entries

from .payload import PAYLOAD


def journal_records(persistence_id: str, events: int, per_record: int = 1) -> Iterator[bytes]:
    """A claim and records of `per_record` events each, `events` in all."""
    writer, now = uuid.uuid4(), time.time_ns() // 1_000_000
    chain = Chain(persistence_id)
    serializer = default_serializer()

    def counted(envelope: Envelope) -> bytes:
        nonlocal chain
        chain = advance(chain, chain.position, envelope)
        return encode_envelope(envelope)

    def event(number: int) -> PersistentRepr:
        return PersistentRepr(
            persistence_id=persistence_id, sequence_nr=number, payload=PAYLOAD, writer=writer, timestamp=now
        )

    yield counted(rule.claim_envelope(chain, writer.bytes))
    data = serializer.dump(PAYLOAD)
    for first in range(1, events + 1, per_record):
        last = min(first + per_record - 1, events)
        entries = [encode_entry(event(number), data) for number in range(first, last + 1)]
        yield counted(rule.events_envelope(chain, last, join_entries(entries)))


def fill_journal(client: Producer, topic: str, persistence_id: str, events: int, per_record: int = 1) -> None:
    for value in journal_records(persistence_id, events, per_record):
        _produce(client, topic, value)


def fill_raw(client: Producer, topics: Sequence[str], value: bytes, count: int) -> None:
    for topic in topics:
        for _ in range(count):
            _produce(client, topic, value)


def _produce(client: Producer, topic: str, value: bytes) -> None:
    while True:
        try:
            client.produce(topic, value, uuid.uuid4().bytes, 0)
        except BufferError:
            client.poll(0.05)
        else:
            return
