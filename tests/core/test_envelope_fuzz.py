"""Damaged records are found: never a wrong decode, never an error of another type."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist._core.envelope import decode_entries, decode_envelope, encode_envelope
from kafka_persist.errors import CorruptRecord, StoredDataError, UnsupportedEnvelope
from kafka_persist.serialization import Serializer

from .records import claim, delete, event, events_record

RECORDS = [claim(), delete(), events_record(event(1, {"a": [1, 2.5, "ü"]}), event(2, b"x", tags=["t"], metadata=1))]
VALUES = [encode_envelope(record) for record in RECORDS]


@pytest.mark.parametrize("value", VALUES, ids=["claim", "delete", "events"])
def test_every_single_bit_counts(value):
    """Whichever bit of a record flips, the record is refused."""
    for place in range(len(value) * 8):
        damaged = bytearray(value)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises((CorruptRecord, UnsupportedEnvelope)):
            decode_envelope(bytes(damaged), "t[0]@1")


@pytest.mark.parametrize("value", VALUES, ids=["claim", "delete", "events"])
def test_every_byte_counts(value):
    """A record that was cut short, or that something was added to, is refused."""
    for length in range(len(value)):
        with pytest.raises((CorruptRecord, UnsupportedEnvelope)):
            decode_envelope(value[:length], "t[0]@1")
    with pytest.raises(CorruptRecord):
        decode_envelope(value + b"\x00", "t[0]@1")


def read(value):
    """Read a record to its last event."""
    envelope = decode_envelope(value, "t[0]@1")
    return envelope, decode_entries(envelope, Serializer(), "t[0]@1")


@given(st.sampled_from(VALUES), st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=4)), min_size=1))
def test_random_damage_is_found(value, damages):
    """Bytes that were replaced, removed or added anywhere make a typed error, or have changed nothing."""
    damaged = bytearray(value)
    for place, replacement in damages:
        start = place % (len(damaged) + 1)
        damaged[start : start + place % 5] = replacement
    try:
        found = read(bytes(damaged))
    except StoredDataError:
        return
    assert found == read(value)


@given(st.sampled_from(VALUES), st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=4)), min_size=1))
def test_forged_checksums_find_typed_errors_only(value, damages):
    """Damage under a correct checksum (a forgery) is refused with a typed error, or is a record in good order."""
    damaged = bytearray(value)
    for place, replacement in damages:
        start = 7 + place % (len(damaged) - 6)
        damaged[start : start + place % 5] = replacement
    damaged[3:7] = zlib.crc32(damaged[7:]).to_bytes(4, "big")
    try:
        envelope, _ = read(bytes(damaged))
    except StoredDataError:
        return
    assert decode_envelope(encode_envelope(envelope), "t[0]@1") == envelope


@given(st.binary(max_size=200))
def test_random_bytes_are_no_record(value):
    """Whatever else somebody writes to the topic is refused with a typed error."""
    with pytest.raises((CorruptRecord, UnsupportedEnvelope)):
        decode_envelope(value, "t[0]@1")
