"""The backdoor of the Kafka stores: what an append-only log holds is changed by what is written behind it.

A journal's log is written anew behind itself, with the damage, and cut to there. A snapshot's record gets a later one of
the same key.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import trio

from kafka_persist._core.cbor import Limits, decode, encode
from kafka_persist._core.chain import Chain, events_envelope
from kafka_persist._core.entries import join_entries
from kafka_persist._core.envelope import Envelope, decode_envelope, encode_envelope
from kafka_persist._core.envelope import Kind as RecordKind
from kafka_persist._core.index import Index, MemoryTable
from kafka_persist._core.items import Marker, Run, decode_items, encode_item
from kafka_persist._core.snapshot_format import Kind, digest_of, parse_key
from kafka_persist._journal.reading import catch_up
from kafka_persist._kafka.driver import open_driver
from kafka_persist._shared.contents import take_into
from kafka_persist._shared.place import partition_of
from kafka_persist.config import JournalConfig, SnapshotStoreConfig, StoreConfig
from kafka_persist.driver import Ack, Driver, Fate, Log, Record
from kafka_persist.limits import MAX_RECORD_BYTES
from kafka_persist.serialization import Serializer, default_serializer

from .adapters import Backdoor

LIMITS: Final = Limits(max_bytes=MAX_RECORD_BYTES, max_depth=34)
NUMBER, NAME, VERSION, DATA = 0, 2, 3, 4


@attrs.frozen
class Amount:
    """A type that the backdoor damages: plain data of a wrong shape cannot exist, nothing says what shape it should have."""

    cents: int


def damageable_serializer() -> Serializer:
    """Return the serializer that the journal under test must have: it knows the type that damaged events name."""
    made = default_serializer()
    made.register(Amount)
    return made


class KafkaBackdoor(Backdoor):
    """Damages events and snapshots on a real broker.

    Args:
        journal: of the journal, opened with `damageable_serializer`.
        snapshots: of the snapshot store.
    """

    def __init__(self, journal: JournalConfig, snapshots: SnapshotStoreConfig) -> None:
        self._journal = journal
        self._snapshots = snapshots

    async def corrupt_event(self, persistence_id: str, sequence_nr: int) -> None:
        """Give an event the bytes that no type has."""
        await self._change(persistence_id, sequence_nr, {NAME: "Amount", VERSION: 1, DATA: b"\xff\x00"})

    async def rename_event_type(self, persistence_id: str, sequence_nr: int) -> None:
        """Give an event a type that nobody knows."""
        await self._change(persistence_id, sequence_nr, {NAME: "no.such.Type", VERSION: 1})

    async def corrupt_snapshot(self, persistence_id: str, sequence_nr: int) -> None:
        """Replace a snapshot's commit by bytes that are none."""
        log = log_of(self._snapshots, persistence_id)
        digest = digest_of(persistence_id)
        async with _open_log(self._snapshots, log) as (driver, records, _):
            (key,) = {record.key for record in records if _is_commit(record, digest, sequence_nr)}
            assert key is not None
            await _append(driver, log, key, b"\xff\x00")

    async def _change(self, persistence_id: str, sequence_nr: int, fields: Mapping[int, object]) -> None:
        log = log_of(self._journal, persistence_id)
        damaged = partial(_damaged, persistence_id=persistence_id, sequence_nr=sequence_nr, fields=fields)
        async with _open_log(self._journal, log) as (driver, records, end):
            shift = end - records[0].offset
            for record in records:
                assert record.value is not None
                value = encode_envelope(_moved(damaged(decode_envelope(record.value, str(log))), shift))
                await _append(driver, log, uuid.uuid4().bytes, value)
            if self._journal.layout == "shared":
                await _append(driver, log, uuid.uuid4().bytes, await _marker(driver, log, records[-1], shift))
            await driver.delete_before(log, end)


@asynccontextmanager
async def _open_log(config: StoreConfig, log: Log) -> AsyncGenerator[tuple[Driver, Sequence[Record], int]]:
    """Give a driver, all records of a (short) log, and its end."""
    async with open_driver(config) as driver:
        scan = await driver.scan(log, None, None)
        assert scan.next_offset == scan.range.end
        yield driver, scan.records, scan.range.end


async def _append(driver: Driver, log: Log, key: bytes, value: bytes | None) -> None:
    reports: list[Ack] = []
    answered = trio.Event()

    def note(report: Ack) -> None:
        reports.append(report)
        answered.set()

    driver.submit(log, key, value, note)
    await answered.wait()
    assert reports[0].fate is Fate.STORED


async def _marker(driver: Driver, log: Log, last: Record, shift: int) -> bytes:
    """Return the record behind a shared log that was moved: it says that everything was."""
    envelope = decode_envelope(last.value, str(log))
    chain, index = Chain(envelope.state.persistence_id, shared=True), Index(MemoryTable())
    chain = await catch_up(
        driver, log, chain, stop=last.offset + 1, on_counted=lambda counted: take_into(index, counted, log)
    )
    moved = attrs.evolve(chain, head=attrs.evolve(chain.head, offset=chain.head.offset + shift))
    entries = join_entries([encode_item(Marker(*index.counts))])
    return encode_envelope(events_envelope(moved, chain.head.highest + 1, entries))


def _moved(envelope: Envelope, shift: int) -> Envelope:
    """Return a record as it would be further behind."""
    return envelope._replace(prev_offset=envelope.prev_offset + shift if envelope.prev_offset >= 0 else -1)


def _damaged(envelope: Envelope, persistence_id: str, sequence_nr: int, fields: Mapping[int, object]) -> Envelope:
    """Return a record with one event of it changed, if it holds that one."""
    if envelope.kind is not RecordKind.EVENTS:
        return envelope
    change = partial(_changed_events, sequence_nr=sequence_nr, fields=fields)
    if not envelope.shared:
        return envelope._replace(entries=change(envelope.entries))
    items = decode_items(envelope.entries, 0, envelope.state.last - envelope.state.first + 1, "here")
    changed = [
        item._replace(entries=change(item.entries))
        if isinstance(item, Run) and item.persistence_id == persistence_id
        else item
        for item in items
    ]
    return envelope._replace(entries=join_entries([encode_item(item) for item in changed]))


def _changed_events(entries: bytes, sequence_nr: int, fields: Mapping[int, object]) -> bytes:
    events: Any = decode(entries, LIMITS)
    return encode([_changed(entry, sequence_nr, fields) for entry in events])


def _changed(entry: Sequence[Any], sequence_nr: int, fields: Mapping[int, object]) -> Sequence[Any]:
    return [fields.get(place, old) for place, old in enumerate(entry)] if entry[NUMBER] == sequence_nr else entry


def log_of(config: JournalConfig | SnapshotStoreConfig, persistence_id: str) -> Log:
    """Return the log that holds an id's events, or its snapshots."""
    if config.layout == "shared":
        return Log(config.shared_topic, partition_of(persistence_id, config.shared.partitions))
    return Log(config.topic_name(persistence_id))


def _is_commit(record: Record, digest: bytes, sequence_nr: int) -> bool:
    key = parse_key(record.key)
    is_save = key.kind is Kind.COMMIT and key.save is not None and key.digest == digest
    return is_save and key.save is not None and key.save.sequence_nr == sequence_nr
