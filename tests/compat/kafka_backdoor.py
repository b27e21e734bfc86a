"""The backdoor of the Kafka stores: what an append-only log holds is changed by what is written behind it.

A journal's log is written anew behind itself, with the damage, and cut to there. A snapshot's record gets a later one of
the same key.
"""

import uuid
from contextlib import asynccontextmanager

import attrs
import trio

from compat_suite import Backdoor
from kafka_persist._core.cbor import Limits, decode, encode
from kafka_persist._core.envelope import Kind as RecordKind
from kafka_persist._core.envelope import decode_envelope, encode_envelope
from kafka_persist._core.snapshot_format import Kind, parse_key
from kafka_persist._kafka.driver import open_driver
from kafka_persist.driver import Fate, Log
from kafka_persist.limits import MAX_RECORD_BYTES
from kafka_persist.serialization import default_serializer

LIMITS = Limits(max_bytes=MAX_RECORD_BYTES, max_depth=34)
NUMBER, NAME, VERSION, DATA = 1, 3, 4, 5


@attrs.frozen
class Amount:
    """A type that the backdoor damages: plain data of a wrong shape cannot exist, nothing says what shape it should have."""

    cents: int


def serializer():
    made = default_serializer()
    made.register(Amount)
    return made


class KafkaBackdoor(Backdoor):
    def __init__(self, journal, snapshots):
        self._journal = journal
        self._snapshots = snapshots

    async def corrupt_event(self, persistence_id, sequence_nr):
        await self._change(persistence_id, sequence_nr, {NAME: "Amount", VERSION: 1, DATA: b"\xff\x00"})

    async def rename_event_type(self, persistence_id, sequence_nr):
        await self._change(persistence_id, sequence_nr, {NAME: "no.such.Type", VERSION: 1})

    async def corrupt_snapshot(self, persistence_id, sequence_nr):
        log = Log(self._snapshots.topic_name(persistence_id))
        async with open_log(self._snapshots, log) as (driver, records, _):
            (key,) = {record.key for record in records if is_commit(record, sequence_nr)}
            await append(driver, log, key, b"\xff\x00")

    async def _change(self, persistence_id, sequence_nr, fields):
        log = Log(self._journal.topic_name(persistence_id))
        async with open_log(self._journal, log) as (driver, records, end):
            shift = end - records[0].offset
            for record in records:
                value = moved(decode_envelope(record.value, str(log)), shift, sequence_nr, fields)
                await append(driver, log, uuid.uuid4().bytes, value)
            await driver.delete_before(log, end)


@asynccontextmanager
async def open_log(config, log):
    """Gives a driver, all records of a (short) log, and its end."""
    async with open_driver(config) as driver:
        scan = await driver.scan(log, None, None)
        assert scan.next_offset == scan.range.end
        yield driver, scan.records, scan.range.end


async def append(driver, log, key, value):
    acks, answered = [], trio.Event()
    driver.submit(log, key, value, lambda ack: (acks.append(ack), answered.set()))
    await answered.wait()
    assert acks[0].fate is Fate.STORED


def moved(envelope, shift, sequence_nr, fields):
    """A record as it would be further behind, with one event of it changed."""
    prev_offset = envelope.prev_offset + shift if envelope.prev_offset >= 0 else -1
    entries = envelope.entries
    if envelope.kind is RecordKind.EVENTS:
        entries = encode([changed(entry, sequence_nr, fields) for entry in decode(entries, LIMITS)])
    return encode_envelope(envelope._replace(prev_offset=prev_offset, entries=entries))


def changed(entry, sequence_nr, fields):
    return [fields.get(place, old) for place, old in enumerate(entry)] if entry[NUMBER] == sequence_nr else entry


def is_commit(record, sequence_nr):
    key = parse_key(record.key)
    return key.kind is Kind.COMMIT and key.save is not None and key.save.sequence_nr == sequence_nr
