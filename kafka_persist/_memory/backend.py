"""What the memory stores keep: encoded events and snapshots, shared by all stores that are opened on one backend."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sized
from typing import Final
from uuid import UUID

import attrs

from kafka_persist._core import cbor
from kafka_persist.model import PersistentRepr, SnapshotMetadata
from kafka_persist.serialization import Serializer

NO_LIMITS: Final = cbor.Limits(max_bytes=1 << 40)
"""What is decoded here was encoded here."""


def _count(items: Sized) -> str:
    return f"{len(items)} ids"


def wall_clock() -> int:
    """Return the time in milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


@attrs.frozen
class Packed:
    """One value as bytes."""

    name: str
    version: int
    data: bytes

    @classmethod
    def of(cls, serializer: Serializer, value: object) -> Packed:
        """Encode a value."""
        encoded = serializer.dump(value)
        return cls(encoded.name, encoded.version, cbor.encode(encoded.data))

    def load(self, serializer: Serializer) -> object:
        """Return a fresh copy of the value."""
        return serializer.load(self.name, self.version, cbor.decode(self.data, NO_LIMITS))


@attrs.frozen
class EncodedValue:
    """A value and its metadata as bytes: nobody can change them by changing the objects that were written."""

    value: Packed
    metadata: Packed | None

    @classmethod
    def of(cls, serializer: Serializer, value: object, metadata: object) -> EncodedValue:
        """Encode both.

        Raises:
            SerializationError: one of them has no encoded form.
        """
        return cls(Packed.of(serializer, value), None if metadata is None else Packed.of(serializer, metadata))

    @property
    def size(self) -> int:
        """Encoded bytes."""
        return len(self.value.data) + (len(self.metadata.data) if self.metadata else 0)

    def load(self, serializer: Serializer) -> tuple[object, object]:
        """Return the value and its metadata, freshly decoded."""
        return self.value.load(serializer), self.metadata and self.metadata.load(serializer)


@attrs.frozen
class StoredEvent:
    """An event: the plain fields, and the payload and metadata encoded."""

    fields: PersistentRepr
    encoded: EncodedValue

    def load(self, serializer: Serializer) -> PersistentRepr:
        """Return the event as it was written."""
        payload, metadata = self.encoded.load(serializer)
        return attrs.evolve(self.fields, payload=payload, metadata=metadata)


@attrs.define
class EventLog:
    """All that is known about one persistence id.

    Attributes:
        events: ascending by sequence number, all above the floor.
        highest: the last used sequence number; never decreases.
        floor: "deleted to".
        writer: who holds the id.
        timestamp: of the newest event.
    """

    events: list[StoredEvent] = attrs.field(factory=list)
    highest: int = 0
    floor: int = 0
    writer: UUID | None = None
    timestamp: int = 0

    def append(self, events: list[StoredEvent]) -> None:
        """Add the events of one atomic write."""
        self.events.extend(events)
        self.highest = events[-1].fields.sequence_nr
        self.timestamp = max(self.timestamp, *(event.fields.timestamp for event in events))

    def delete_to(self, to_sequence_nr: int) -> None:
        """Raise the floor, never above the highest sequence number, and drop what is at or below it."""
        self.floor = max(self.floor, min(to_sequence_nr, self.highest))
        del self.events[: self.index_of(self.floor + 1)]

    def index_of(self, sequence_nr: int) -> int:
        """Return the place of the first event with at least this number."""
        return bisect_left(self.events, sequence_nr, key=lambda event: event.fields.sequence_nr)

    def first_from(self, sequence_nr: int) -> StoredEvent | None:
        """Return the first event with at least this number, or None."""
        index = self.index_of(sequence_nr)
        return self.events[index] if index < len(self.events) else None


@attrs.frozen
class StoredSnapshot:
    """A snapshot: its metadata without the opaque value, and both values encoded."""

    metadata: SnapshotMetadata
    encoded: EncodedValue


@attrs.define(eq=False)
class MemoryBackend:
    """Holds the data of memory stores; pass the same one to several `open_…` calls to reopen or to compete.

    Attributes:
        clock: milliseconds since the Unix epoch.
        logs: events by persistence id.
        snapshots: snapshots by persistence id and sequence number.
    """

    clock: Callable[[], int] = wall_clock
    logs: dict[str, EventLog] = attrs.field(factory=dict, repr=_count)
    snapshots: dict[str, dict[int, StoredSnapshot]] = attrs.field(factory=dict, repr=_count)

    def log(self, persistence_id: str) -> EventLog:
        """Return the id's log; an empty one that is not kept if the id is unknown."""
        return self.logs.get(persistence_id) or EventLog()

    def log_to_change(self, persistence_id: str) -> EventLog:
        """Return the id's log, kept from now on."""
        return self.logs.setdefault(persistence_id, EventLog())
