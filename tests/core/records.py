"""Records that the tests of this folder share."""

from uuid import UUID

from kafka_persist._core.envelope import NOTHING, Envelope, IdState, Kind, encode_entry, join_entries
from kafka_persist.model import PersistentRepr
from kafka_persist.serialization import Serializer

WRITER = UUID("0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d")
OTHER = UUID("ffeeddcc-bbaa-4988-8776-655443322110")


def event(number, payload="x", **fields):
    fields = {"persistence_id": "account-1", "writer": WRITER, "timestamp": 1_700_000_000_000 + number} | fields
    return PersistentRepr(sequence_nr=number, payload=payload, **fields)


def entries_of(*events, serializer=None):
    serializer = serializer or Serializer()
    return join_entries([encode_entry(each, serializer.dump(each.payload)) for each in events])


def claim(**fields):
    state = IdState("account-1", 0, 0, 0)
    return Envelope(Kind.CLAIM, WRITER.bytes, WRITER.bytes, 1, -1, NOTHING, state)._replace(**fields)


def events_record(*events, floor=0, **fields):
    state = IdState("account-1", events[0].sequence_nr, events[-1].sequence_nr, floor)
    record = Envelope(Kind.EVENTS, WRITER.bytes, WRITER.bytes, 1, 0, WRITER.bytes, state, entries_of(*events))
    return record._replace(**fields)


def delete(**fields):
    state = IdState("account-1", 0, 7, 5, 6)
    return Envelope(Kind.DELETE, OTHER.bytes, WRITER.bytes, 1, 3, WRITER.bytes, state)._replace(**fields)
