"""The record format: what is written is read, and what is read is checked field by field."""

import zlib

import cbor2
import pytest

from kafka_persist._core.envelope import (
    NOTHING,
    Envelope,
    IdState,
    decode_entries,
    decode_envelope,
    encode_entry,
    encode_envelope,
    join_entries,
)
from kafka_persist.errors import CorruptRecord, SerializationError, UnsupportedEnvelope
from kafka_persist.model import MAX_SEQUENCE_NR
from kafka_persist.serialization import Serializer

from .records import OTHER, WRITER, claim, delete, entries_of, event, events_record

WHERE = "account-1[0]@17"
NOTES = event(1), event(2, {"a": [1]}, manifest="m"), event(3, b"", tags=["t", "s"]), event(5, metadata={"k": None})


def sealed(*fields, head=b"\x8a\x01\x44"):
    """Give a record of arbitrary fields with a correct checksum."""
    body = b"".join(map(cbor2.dumps, fields))
    return head + zlib.crc32(body).to_bytes(4, "big") + body


def fields_of(envelope):
    return [*envelope[:6], [list(state) for state in envelope.states], envelope.entries]


@pytest.mark.parametrize("record", [claim(), delete(), events_record(*NOTES)], ids=["claim", "delete", "events"])
def test_a_record_comes_back(record):
    """Each kind of record is read as it was written."""
    assert decode_envelope(encode_envelope(record), WHERE) == record


def test_events_come_back():
    """Every field of an event comes back, whichever of the optional ones it has."""
    assert decode_entries(events_record(*NOTES), Serializer(), WHERE) == list(NOTES)


def test_events_are_equal_to_constructed_ones():
    """Events that are made without validation cannot be told from others, in hash and text form neither."""
    (found,) = decode_entries(events_record(NOTES[0]), Serializer(), WHERE)
    assert (hash(found), repr(found)) == (hash(NOTES[0]), repr(NOTES[0]))


@pytest.mark.parametrize(("low", "high", "numbers"), [(2, 3, [2, 3]), (4, 4, []), (1, 1, [1]), (3, 9, [3, 5])])
def test_only_the_wanted_events_are_decoded(low, high, numbers):
    """Both bounds are inclusive."""
    found = decode_entries(events_record(*NOTES), Serializer(), WHERE, from_nr=low, to_nr=high)
    assert [each.sequence_nr for each in found] == numbers


@pytest.mark.parametrize("count", [1, 23, 24, 255, 256, 65_535, 65_536])
def test_any_number_of_entries(count):
    """The number of entries has the shortest form that CBOR has for it."""
    joined = join_entries([b"\x00"] * count)
    assert joined == cbor2.dumps([0] * count)


def test_a_record_may_hold_events_of_several_ids():
    """Each entry belongs to the id at its index."""
    one, two, three = event(3), event(9, persistence_id="account-2"), event(4)
    serializer = Serializer()
    entries = [
        encode_entry(each, serializer.dump(each.payload), index) for each, index in ((one, 0), (two, 1), (three, 0))
    ]
    states = IdState("account-1", 3, 4, 0), IdState("account-2", 9, 9, 8)
    record = events_record(one, states=states, entries=join_entries(entries))
    assert decode_envelope(encode_envelope(record), WHERE) == record
    assert decode_entries(record, serializer, WHERE) == [one, two, three]


def test_the_largest_numbers():
    """Sequence numbers, offsets, epochs and timestamps up to 2**63-1 have a place."""
    last = event(MAX_SEQUENCE_NR, timestamp=MAX_SEQUENCE_NR)
    record = events_record(last, floor=MAX_SEQUENCE_NR - 1, epoch=MAX_SEQUENCE_NR, prev_offset=MAX_SEQUENCE_NR)
    found = decode_envelope(encode_envelope(record), WHERE)
    assert found == record
    assert decode_entries(found, Serializer(), WHERE) == [last]


HEADERS = {
    "unknown kind": {"kind": 3},
    "negative kind": {"kind": -1},
    "kind a boolean": {"kind": True},
    "author a text": {"author": "x" * 16},
    "author of 15 bytes": {"author": bytes(15)},
    "writer of 17 bytes": {"writer": bytes(17)},
    "prev_author missing": {"prev_author": None},
    "negative epoch": {"epoch": -1},
    "epoch a float": {"epoch": 1.0},
    "epoch of 2**63": {"epoch": 2**63},
    "offset below -1": {"prev_offset": -2},
    "offset of 2**63": {"prev_offset": 2**63},
    "extends nothing, by somebody": {"prev_offset": -1},
    "extends a record of nobody": {"prev_author": NOTHING},
    "events without entries": {"entries": b""},
    "entries a text": {"entries": "x"},
    "a claim with entries": {"kind": 0},
    "a delete with entries": {"kind": 2},
    "no states": {"states": []},
    "states a map": {"states": {}},
    "the same id twice": {"states": [["a", 1, 1, 0, 0], ["a", 2, 2, 0, 0]]},
    "state a map": {"states": [{}]},
    "state of four": {"states": [["a", 1, 1, 0]]},
    "id a number": {"states": [[1, 1, 1, 0, 0]]},
    "id empty": {"states": [["", 1, 1, 0, 0]]},
    "id of 1,001 characters": {"states": [["x" * 1001, 1, 1, 0, 0]]},
    "first after last": {"states": [["a", 2, 1, 0, 0]]},
    "first 0": {"states": [["a", 0, 1, 0, 0]]},
    "last of 2**63": {"states": [["a", 1, 2**63, 0, 0]]},
    "last a boolean": {"states": [["a", 1, True, 0, 0]]},
    "floor at the first event": {"states": [["a", 1, 1, 1, 0]]},
    "negative floor": {"states": [["a", 1, 1, -1, 0]]},
    "published beyond the last event": {"states": [["a", 1, 1, 0, 2]]},
    "negative published": {"states": [["a", 1, 1, 0, -1]]},
    "published a text": {"states": [["a", 1, 1, 0, "1"]]},
    "a tag": {"states": [["a", 1, 1, 2**64, 0]]},
    "nested too deep": {"states": [[[["a"]], 1, 1, 0, 0]]},
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_a_wrong_header_is_corrupt(change):
    """A field of another type, or out of its range, is refused although the checksum is right."""
    record = events_record(event(1))
    fields = dict(zip(Envelope._fields, fields_of(record), strict=True)) | change
    with pytest.raises(CorruptRecord, match=r"^account-1.0.@17: "):
        decode_envelope(sealed(*fields.values()), WHERE)


def test_a_claim_with_a_first_number_is_corrupt():
    """Only events have a first number."""
    with pytest.raises(CorruptRecord, match="out of its range"):
        decode_envelope(encode_envelope(claim(states=(IdState("a", 1, 1, 0),))), WHERE)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x8a",
        b"\x8a\x01",
        b"\x8a\x01\x44abc",
        b"hello",
        b"\x8a\x01\x45",
        b"\x9f\x01",
        b"\x8a\x18\x01",
        b"\x8a\x00\x44",
        b"\xa0",
    ],
)
def test_another_programs_record_is_corrupt(value):
    """What does not begin like a record of ours is not taken for one; the message says where it is."""
    with pytest.raises(CorruptRecord, match=r"^account-1.0.@17: "):
        decode_envelope(value, WHERE)


@pytest.mark.parametrize("value", ["8a0244", "820200", "9702", "8117", "8a02440000000000"])
def test_a_later_format_is_not_decoded(value):
    """A record of a later format version says that the library must be upgraded, whatever the rest looks like."""
    with pytest.raises(UnsupportedEnvelope, match=r"^account-1.0.@17: record format \d+, .* upgrade"):
        decode_envelope(bytes.fromhex(value), WHERE)


def test_a_later_format_is_not_decoded_even_if_the_rest_fits():
    """Version 2 is never read as version 1, although its checksum and fields might fit."""
    value = bytearray(encode_envelope(events_record(event(1))))
    value[1] = 2
    with pytest.raises(UnsupportedEnvelope):
        decode_envelope(bytes(value), WHERE)


@pytest.mark.parametrize("count", [9, 11])
def test_the_number_of_fields_is_fixed(count):
    """A record of format 1 has ten fields."""
    fields = [*fields_of(events_record(event(1))), 0][: count - 2]
    with pytest.raises(CorruptRecord):
        decode_envelope(sealed(*fields), WHERE)
    with pytest.raises(CorruptRecord):
        decode_envelope(sealed(*fields, head=bytes((0x80 | count,)) + b"\x01\x44"), WHERE)


def test_bytes_behind_a_record_are_corrupt():
    """Nothing may stand behind a record, with a correct checksum neither."""
    with pytest.raises(CorruptRecord, match="surplus"):
        decode_envelope(sealed(*fields_of(claim()), 0), WHERE)


ENTRIES = {
    "not CBOR": b"\xff",
    "a map": b"\xa0",
    "no entry": b"\x80",
    "surplus byte": entries_of(event(1)) + b"\x00",
    "entry a map": b"\x81\xa0",
    "entry of five": cbor2.dumps([[0, 1, 0, "", 0]]),
    "entry of ten": cbor2.dumps([[0, 1, 0, "", 0, "x", "", [], None, None]]),
    "index out of range": cbor2.dumps([[1, 1, 0, "", 0, "x"]]),
    "negative index": cbor2.dumps([[-1, 1, 0, "", 0, "x"]]),
    "index a boolean": cbor2.dumps([[False, 1, 0, "", 0, "x"]]),
    "number a text": cbor2.dumps([[0, "1", 0, "", 0, "x"]]),
    "number of another event": cbor2.dumps([[0, 2, 0, "", 0, "x"]]),
    "number 0": cbor2.dumps([[0, 0, 0, "", 0, "x"]]),
    "negative time": cbor2.dumps([[0, 1, -1, "", 0, "x"]]),
    "time of 2**63": cbor2.dumps([[0, 1, 2**63, "", 0, "x"]]),
    "time a float": cbor2.dumps([[0, 1, 1.5, "", 0, "x"]]),
    "name a number": cbor2.dumps([[0, 1, 0, 1, 1, "x"]]),
    "version a text": cbor2.dumps([[0, 1, 0, "", "1", "x"]]),
    "manifest a number": cbor2.dumps([[0, 1, 0, "", 0, "x", 1]]),
    "tags a text": cbor2.dumps([[0, 1, 0, "", 0, "x", "", "ab"]]),
    "tag a number": cbor2.dumps([[0, 1, 0, "", 0, "x", "", [1]]]),
    "the same number twice": entries_of(event(1), event(1)),
    "beyond the last number": entries_of(event(1), event(2)),
}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_wrong_entries_are_corrupt(entries):
    """Entries that are malformed, or contradict the header, are refused although the checksum is right."""
    record = events_record(event(1), entries=entries)
    with pytest.raises(CorruptRecord, match=r"^account-1.0.@17: "):
        decode_entries(record, Serializer(), WHERE)


@pytest.mark.parametrize("numbers", [[1, 3, 2, 4], [1, 2, 3], [1, 2, 2, 4], [1, 2, 3, 5]])
def test_numbers_ascend_from_the_first_to_the_last(numbers):
    """Entries run from the record's first number to its last one; within, only rejected writes leave holes."""
    record = events_record(event(1), event(4), entries=entries_of(*map(event, numbers)))
    with pytest.raises(CorruptRecord):
        decode_entries(record, Serializer(), WHERE)


def test_events_out_of_range_are_checked_too():
    """Also an entry that nobody asked for must fit its record."""
    record = events_record(event(1), event(4), entries=entries_of(*map(event, [1, 3, 2, 4])))
    with pytest.raises(CorruptRecord):
        decode_entries(record, Serializer(), WHERE, from_nr=1, to_nr=1)


def test_metadata_that_cannot_be_stored_is_refused():
    """Metadata is plain data, like payloads of no registered type."""
    encoded = Serializer().dump("x")
    with pytest.raises(SerializationError, match=r"metadata\.a: object"):
        encode_entry(event(1, metadata={"a": object()}), encoded)


@pytest.mark.parametrize("change", [{"manifest": "\ud800"}, {"tags": ["\ud800"]}])
def test_text_without_utf8_is_refused(change):
    """A manifest or tag that no record can hold is refused when it is written."""
    with pytest.raises(SerializationError, match="event 1"):
        encode_entry(event(1, **change), Serializer().dump("x"))


NAMED = cbor2.dumps([[0, 1, 0, "Deposited", 1, {}]])


def test_where_names_the_record_and_the_event():
    """A payload that cannot be read is reported with topic, offset, id and sequence number."""
    with pytest.raises(LookupError, match=r"^account-1\[0\]@17: event 1 of 'account-1': type 'Deposited' version 1"):
        decode_entries(events_record(event(1), entries=NAMED), Serializer(), WHERE)


def test_payloads_outside_the_range_are_not_looked_at():
    """An unreadable payload below a snapshot does not stop a recovery that begins behind it."""
    record = events_record(event(1), entries=NAMED)
    assert decode_entries(record, Serializer(), WHERE, from_nr=2) == []


def test_writers_are_told_apart():
    """Each event has the writer of its record."""
    record = events_record(event(1), writer=OTHER.bytes)
    assert [each.writer for each in decode_entries(record, Serializer(), WHERE)] == [OTHER]
    assert WRITER != OTHER


def test_an_event_too_large_for_any_record_is_refused(monkeypatch):
    """An event that no reader would accept is refused when it is written, with its size and the limit."""
    monkeypatch.setattr("kafka_persist._core.entries.MAX_RECORD_BYTES", 100)
    with pytest.raises(SerializationError, match=r"event 1: \d+ bytes; no record holds 100"):
        encode_entry(event(1), Serializer().dump("x" * 100))
