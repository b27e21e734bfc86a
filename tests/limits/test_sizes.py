"""The sizes in `kafka_persist.limits` are what the formats need: not less, and hardly more."""

from __future__ import annotations

import uuid

import pytest

from kafka_persist import PersistentRepr, limits
from kafka_persist._core.claimant import Claimant, encode_claimant
from kafka_persist._core.envelope import Envelope, IdState, Kind, decode_envelope, encode_entry, encode_envelope
from kafka_persist._core.event_format import event_prefix, event_value
from kafka_persist.config import JournalConfig
from kafka_persist.errors import CorruptRecord
from kafka_persist.model import MAX_PERSISTENCE_ID_LENGTH, MAX_SEQUENCE_NR
from kafka_persist.serialization import Encoded

LONGEST = "\U0001f600" * MAX_PERSISTENCE_ID_LENGTH


def record(persistence_id: str, entries: bytes) -> bytes:
    """A record whose numbers all need nine bytes."""
    state = IdState(persistence_id, MAX_SEQUENCE_NR, MAX_SEQUENCE_NR, MAX_SEQUENCE_NR - 1, MAX_SEQUENCE_NR - 1)
    large = MAX_SEQUENCE_NR
    return encode_envelope(Envelope(Kind.EVENTS, b"a" * 16, b"w" * 16, large, large, b"p" * 16, state, entries))


@pytest.mark.parametrize("persistence_id", ["a", LONGEST])
def test_the_largest_write_makes_the_largest_record_that_is_read(persistence_id):
    """What fits into a record when it is written is decoded when it is read, and not a byte more is allowed."""
    room = limits.entries_room(limits.MAX_RECORD_BYTES, persistence_id)
    head_of_the_array = 5  # counted among the header's bytes
    entries = b"\x9a".ljust(room + head_of_the_array, b"\x00")
    value = record(persistence_id, entries)
    assert len(value) + limits.KEY_BYTES <= limits.MAX_RECORD_BYTES
    assert len(value) + limits.KEY_BYTES > limits.MAX_RECORD_BYTES - 16
    assert decode_envelope(value, "t[0]@1").entries == entries
    with pytest.raises(CorruptRecord, match="limit"):
        decode_envelope(record(persistence_id, entries + bytes(64)), "t[0]@1")


def test_the_largest_published_event_is_within_its_limit():
    """The id twice, and all that the entry has beside its index."""
    event = PersistentRepr(persistence_id=LONGEST, sequence_nr=MAX_SEQUENCE_NR, payload=0, writer=uuid.UUID(int=1))
    entry = encode_entry(event, Encoded("", 0, bytes(1000)))
    value = event_value(event_prefix(LONGEST), entry)
    assert len(value) + len(LONGEST.encode()) <= len(entry) + limits.PUBLISHED_EXTRA_BYTES


def test_the_longest_claimant_is_within_its_limit():
    assert (
        len(encode_claimant(Claimant("\U0001f600" * 200, MAX_SEQUENCE_NR, MAX_SEQUENCE_NR)))
        <= limits.MAX_CLAIMANT_BYTES
    )


@pytest.mark.parametrize("size", [limits.MIN_RECORD_BYTES - 1, limits.MAX_RECORD_BYTES + 1])
def test_no_configuration_allows_a_record_outside_of_the_limits(size):
    with pytest.raises(ValueError, match=r"must be at (least|most)"):
        JournalConfig(max_record_bytes=size)


def test_a_topic_takes_the_largest_record():
    """What the library's own topics are created with is enough for what it writes."""
    config = JournalConfig(max_record_bytes=limits.MAX_RECORD_BYTES)
    assert int(config.topic_settings()["max.message.bytes"]) >= limits.MAX_RECORD_BYTES + 500
    assert int(config.event_topic_settings()["max.message.bytes"]) >= limits.MAX_PUBLISHED_BYTES + 500
