"""The record format: what is written is read, and what is read is checked field by field."""

import struct
import zlib

import cbor2
import pytest

from kafka_persist._core.envelope import (
    NOTHING,
    Claimant,
    IdState,
    decode_entries,
    decode_envelope,
    encode_claimant,
    encode_entry,
    encode_envelope,
    join_entries,
)
from kafka_persist._core.event_format import event_prefix, event_value
from kafka_persist._core.header import encode_owner
from kafka_persist.errors import CorruptRecord, SerializationError, UnsupportedEnvelope
from kafka_persist.model import MAX_SEQUENCE_NR
from kafka_persist.serialization import Serializer

from .records import OTHER, WRITER, claim, delete, entries_of, event, events_record

WHERE = "account-1[0]@17"
NOTES = event(1), event(2, {"a": [1]}, manifest="m"), event(3, b"", tags=["t", "s"]), event(5, metadata={"k": None})


FRONT = b"\x85\x02\x44"
LAYOUT = struct.Struct(">B16s16sq16sqqqqqq")
PLACES = (
    "kind",
    "author",
    "writer",
    "epoch",
    "prev_author",
    "floor",
    "commands",
    "prev_offset",
    "first",
    "last",
    "published",
)


def sealed(*items, front=FRONT):
    """Give a record of arbitrary items (each encoded) with a correct checksum."""
    body = b"".join(items)
    return front + zlib.crc32(body).to_bytes(4, "big") + body


def parts_of(envelope):
    """The items of a record as CBOR."""
    values = envelope._asdict() | envelope.state._asdict()
    header = LAYOUT.pack(*(values[place] for place in PLACES))
    return [cbor2.dumps(header), cbor2.dumps(envelope.state.persistence_id), envelope.entries or b"\x80"]


def forged(record, **change):
    """A record with fields that it must not have, under a correct checksum."""
    header, ids, entries = parts_of(record)
    fields = dict(zip(PLACES, LAYOUT.unpack(cbor2.loads(header)), strict=True)) | change
    return sealed(cbor2.dumps(LAYOUT.pack(*fields.values())), ids, entries)


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


@pytest.mark.parametrize("size", [1, 23, 24, 255, 256, 1000])
@pytest.mark.parametrize("letter", ["a", "é", "日", "𝄞"])
def test_an_owner_of_any_length(size, letter):
    """The owner has the shortest form that CBOR has for it, and comes back."""
    name = letter * size
    record = claim(state=IdState(name, 0, 0, 0))
    assert encode_owner(name) == cbor2.dumps(name)
    assert decode_envelope(encode_envelope(record), WHERE) == record


def test_the_owner_of_a_shared_log_is_told_apart():
    """The log of an id and a log of the same name that several ids share cannot be confused."""
    own, shared = claim(), claim(shared=True)
    assert encode_owner("account-1", shared=True) == cbor2.dumps(["account-1"])
    assert encode_envelope(own) != encode_envelope(shared)
    assert decode_envelope(encode_envelope(shared), WHERE) == shared


def test_the_largest_numbers():
    """Sequence numbers, offsets, epochs and timestamps up to 2**63-1 have a place."""
    last = event(MAX_SEQUENCE_NR, timestamp=MAX_SEQUENCE_NR)
    record = events_record(last, floor=MAX_SEQUENCE_NR - 1, epoch=MAX_SEQUENCE_NR, prev_offset=MAX_SEQUENCE_NR)
    found = decode_envelope(encode_envelope(record), WHERE)
    assert found == record
    assert decode_entries(found, Serializer(), WHERE) == [last]


HEADERS = {
    "unknown kind": {"kind": 3},
    "a kind of 255": {"kind": 255},
    "negative epoch": {"epoch": -1},
    "offset below -1": {"prev_offset": -2},
    "extends nothing, by somebody": {"prev_offset": -1},
    "extends a record of nobody": {"prev_author": NOTHING},
    "a claim with events": {"kind": 0, "first": 0},
    "a delete with events": {"kind": 2, "first": 0},
    "a claim with a first number": {"kind": 0},
    "first after last": {"first": 2},
    "first 0": {"first": 0},
    "negative last": {"last": -1},
    "floor at the first event": {"floor": 1},
    "negative floor": {"floor": -1},
    "published beyond the last event": {"published": 2},
    "negative published": {"published": -1},
    "a position of commands in the log of one id": {"commands": 1},
    "a negative position of commands": {"commands": -1},
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_a_wrong_header_is_corrupt(change):
    """A field out of its range is refused although the checksum is right."""
    with pytest.raises(CorruptRecord, match=r"^account-1.0.@17: "):
        decode_envelope(forged(events_record(event(1)), **change), WHERE)


def test_a_forged_header_that_is_right_is_read():
    """The tests above refuse what they change, not how they do it."""
    assert decode_envelope(forged(events_record(event(1)), epoch=9), WHERE) == events_record(event(1), epoch=9)


ITEMS = {
    "header a text": (0, cbor2.dumps("x" * 105)),
    "header too short": (0, cbor2.dumps(bytes(104))),
    "header too long": (0, cbor2.dumps(bytes(106))),
    "header in a longer form": (0, b"\x59\x00\x69" + bytes(105)),
    "no header": (0, b""),
    "owner a map": (1, cbor2.dumps({})),
    "owner missing": (1, b""),
    "owner an empty array": (1, b"\x80"),
    "owner a number": (1, cbor2.dumps(1)),
    "owner a byte string": (1, cbor2.dumps(b"a")),
    "owner empty": (1, cbor2.dumps("")),
    "owner of 1,001 characters": (1, cbor2.dumps("x" * 1001)),
    "owner in a longer form": (1, b"\x78\x01a"),
    "owner in a much longer form": (1, b"\x79\x00\x01a"),
    "owner in a form for 4 GB": (1, b"\x7a\x00\x00\x00\x01a"),
    "owner of indefinite length": (1, b"\x7f\x61a\xff"),
    "owner that is not UTF-8": (1, b"\x61\xff"),
    "owner with a lone surrogate": (1, b"\x63\xed\xa0\x80"),
    "owner under a tag": (1, cbor2.dumps(cbor2.CBORTag(37, bytes(16)))),
    "owner of two": (1, cbor2.dumps(["a", "b"])),
    "owner in two arrays": (1, cbor2.dumps([["a"]])),
    "owner longer than the record": (slice(1, 3), b"\x79\x01\x00a"),
    "nothing behind the header": (slice(1, 3), b""),
    "no entries": (2, b""),
    "entries a text": (2, cbor2.dumps("x")),
    "entries a byte string": (2, cbor2.dumps(b"x")),
    "entries empty": (2, b"\x80"),
}


@pytest.mark.parametrize(("place", "item"), ITEMS.values(), ids=ITEMS)
def test_a_wrong_item_is_corrupt(place, item):
    """Each item has one type, one length or form, and one place."""
    items = parts_of(events_record(event(1)))
    items[place] = [item] if isinstance(place, slice) else item
    with pytest.raises(CorruptRecord, match=r"^account-1.0.@17: "):
        decode_envelope(sealed(*items), WHERE)


def test_a_claim_with_a_first_number_is_corrupt():
    """Only events have a first number."""
    with pytest.raises(CorruptRecord, match="out of its range"):
        decode_envelope(encode_envelope(claim(state=IdState("a", 1, 1, 0))), WHERE)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x85",
        b"\x85\x02",
        b"\x85\x02\x44abc",
        b"hello",
        b"\x85\x02\x45",
        b"\x9f\x02",
        b"\x85\x18\x02",
        b"\x85\x00\x44",
        b"\xa0",
        sealed(),
        sealed(b"\x58\x69"),
        event_value(event_prefix("account-1"), cbor2.dumps([1, 0, "", 0, "x"])),
    ],
)
def test_another_programs_record_is_corrupt(value):
    """What does not begin like a record of ours is not taken for one; the message says where it is."""
    with pytest.raises(CorruptRecord, match=r"^account-1.0.@17: "):
        decode_envelope(value, WHERE)


@pytest.mark.parametrize("value", ["850344", "820300", "9703", "8117", "85034400000000", "8a0144"])
def test_another_format_is_not_decoded(value):
    """A record of another format version is refused by name, whatever the rest looks like."""
    with pytest.raises(UnsupportedEnvelope, match=r"^account-1.0.@17: record format \d+, .* upgrade"):
        decode_envelope(bytes.fromhex(value), WHERE)


@pytest.mark.parametrize("version", [1, 3])
def test_another_format_is_not_decoded_even_if_the_rest_fits(version):
    """Versions 1 and 3 are never read as version 2, although checksum and fields might fit."""
    value = bytearray(encode_envelope(events_record(event(1))))
    value[1] = version
    with pytest.raises(UnsupportedEnvelope):
        decode_envelope(bytes(value), WHERE)


@pytest.mark.parametrize("count", [4, 6])
def test_the_number_of_items_is_fixed(count):
    """A record of format 2 has five items."""
    items = [*parts_of(events_record(event(1))), b"\x00"][: count - 2]
    for front in (FRONT, bytes((0x80 | count,)) + FRONT[1:]):
        with pytest.raises(CorruptRecord):
            decode_entries(decode_envelope(sealed(*items, front=front), WHERE), Serializer(), WHERE)


@pytest.mark.parametrize("record", [claim(), claim(entries=encode_claimant(Claimant("h", 1, 2))), delete()])
def test_bytes_behind_a_record_are_corrupt(record):
    """Nothing may stand behind a record, with a correct checksum neither; behind events their decoding finds it."""
    with pytest.raises(CorruptRecord):
        decode_envelope(sealed(*parts_of(record), b"\x00"), WHERE)


ENTRIES = {
    "not CBOR": b"\xff",
    "a map": b"\xa0",
    "no entry": b"\x80",
    "surplus byte": entries_of(event(1)) + b"\x00",
    "entry a map": b"\x81\xa0",
    "entry of four": cbor2.dumps([[1, 0, "", 0]]),
    "entry of nine": cbor2.dumps([[1, 0, "", 0, "x", "", [], None, None]]),
    "number a boolean": cbor2.dumps([[True, 0, "", 0, "x"]]),
    "number a text": cbor2.dumps([["1", 0, "", 0, "x"]]),
    "number of another event": cbor2.dumps([[2, 0, "", 0, "x"]]),
    "number 0": cbor2.dumps([[0, 0, "", 0, "x"]]),
    "negative time": cbor2.dumps([[1, -1, "", 0, "x"]]),
    "time of 2**63": cbor2.dumps([[1, 2**63, "", 0, "x"]]),
    "time a float": cbor2.dumps([[1, 1.5, "", 0, "x"]]),
    "name a number": cbor2.dumps([[1, 0, 1, 1, "x"]]),
    "version a text": cbor2.dumps([[1, 0, "", "1", "x"]]),
    "manifest a number": cbor2.dumps([[1, 0, "", 0, "x", 1]]),
    "tags a text": cbor2.dumps([[1, 0, "", 0, "x", "", "ab"]]),
    "tag a number": cbor2.dumps([[1, 0, "", 0, "x", "", [1]]]),
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


NAMED = cbor2.dumps([[1, 0, "Deposited", 1, {}]])


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
