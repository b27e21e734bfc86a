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


def journal_records(persistence_id: str, events: int) -> Iterator[bytes]:
    """A claim and `events` records of one event each."""
    writer = uuid.uuid4()
    chain = Chain(persistence_id)
    serializer = default_serializer()

    def counted(envelope: Envelope) -> bytes:
        nonlocal chain
        chain = advance(chain, chain.position, envelope)
        return encode_envelope(envelope)

    yield counted(rule.claim_envelope(chain, writer.bytes))
    now = time.time_ns() // 1_000_000
    for number in range(1, events + 1):
        event = PersistentRepr(
            persistence_id=persistence_id, sequence_nr=number, payload=PAYLOAD, writer=writer, timestamp=now
        )
        entries = join_entries([encode_entry(event, serializer.dump(PAYLOAD))])
        yield counted(rule.events_envelope(chain, number, entries))


def fill_journal(client: Producer, topic: str, persistence_id: str, events: int) -> None:
    for value in journal_records(persistence_id, events):
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
