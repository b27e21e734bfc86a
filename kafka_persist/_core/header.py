"""The header of a journal record: everything that the chain needs, without the events.

A record is one CBOR array::

    [2, checksum, header, ids, entries]

The header is a byte string whose fields all have a fixed place. What stays the same from one record of events to the
next stands in front (`steady_header`), so a reader that knows the record before compares those bytes, reads the four
numbers behind them (`read_numbers`), and has judged the record without decoding anything. So are the ids: whose log it
is. Every other record takes `decode_envelope`.
"""

from __future__ import annotations

import enum
import struct
import zlib
from typing import Any, Final, NamedTuple, NoReturn

from ..errors import CorruptRecord, StoredDataError, UnsupportedEnvelope
from ..limits import MAX_RECORD_BYTES
from ..model import MAX_PERSISTENCE_ID_LENGTH, MAX_SEQUENCE_NR
from .cbor import Limits, decode_first, encode
from .claimant import decode_claimant

NOTHING: Final = bytes(16)
"""`Envelope.prev_author` of a record that extends nothing."""

_VERSION: Final = 2
_FRONT: Final = b"\x85\x02\x44"  # array of 5; format version 2; byte string of 4: the checksum
_BODY: Final = 7  # where the checksummed part begins
_HEADER: Final = 9  # where the header's content begins
_STEADY: Final = struct.Struct(">B16s16sq16sqq")  # kind, author, writer, epoch, prev_author, floor, position
_NUMBERS: Final = struct.Struct(">qqqq")  # prev_offset, first, last, published
_LENGTH: Final = _STEADY.size + _NUMBERS.size
_STRING: Final = bytes((0x58, _LENGTH))  # byte string of the header's length
_NUMBERS_AT: Final = _HEADER + _STEADY.size
_IDS: Final = _HEADER + _LENGTH  # where the ids begin
_NO_ENTRIES: Final = b"\x80"
_ARRAY: Final = 4  # CBOR's major type of arrays
_ID_LIMITS: Final = Limits(max_bytes=MAX_RECORD_BYTES, max_depth=2, tags=frozenset())


class Kind(enum.IntEnum):
    """What a record does to its ids."""

    CLAIM = 0
    """A new writer takes over."""
    EVENTS = 1
    """Events are stored."""
    DELETE = 2
    """The floor rises."""


_KINDS: Final = tuple(Kind)
_EVENTS: Final = int(Kind.EVENTS)
_CLAIM: Final = int(Kind.CLAIM)


class IdState(NamedTuple):
    """The cumulative state of whoever the log belongs to, this record included.

    Attributes:
        persistence_id: the id; in a log that several ids share, the log's own name.
        first: number of the first event in the record; 0 if the record has no events.
        last: the highest number.
        floor: events up to this number are deleted.
        published: events up to this number are known to be in their user-defined topics.
    """

    persistence_id: str
    first: int
    last: int
    floor: int
    published: int = 0


class Member(NamedTuple):
    """The cumulative state of one of several ids that share a log, this record included.

    Attributes:
        persistence_id: the id.
        first: sequence number of its first event in the record; 0 if the record has none.
        last: its highest sequence number.
        floor: its events up to this number are deleted.
        writer: who wrote its events; 16 bytes.
    """

    persistence_id: str
    first: int
    last: int
    floor: int
    writer: bytes


class Envelope(NamedTuple):
    """One record of a journal. Authors and writers are the 16 bytes of their uuid.

    Attributes:
        kind: what the record does.
        author: who appended it.
        writer: who may write events from here on.
        epoch: how many claims have counted.
        prev_offset: offset of the record that this one extends; -1 for none.
        prev_author: author of that record; `NOTHING` for none.
        state: of whoever the log belongs to.
        entries: the events, encoded (`kafka_persist._core.entries`); with a claim who made it, or nothing
            (`kafka_persist._core.claimant`); empty with a delete.
        members: the ids that the record concerns, where the log is shared by several.
    """

    kind: Kind
    author: bytes
    writer: bytes
    epoch: int
    prev_offset: int
    prev_author: bytes
    state: IdState
    entries: bytes = b""
    members: tuple[Member, ...] = ()


def encode_envelope(envelope: Envelope) -> bytes:
    """Encode a record."""
    kind, author, writer, epoch, prev_offset, prev_author, state, entries, members = envelope
    persistence_id, first, last, floor, published = state
    body = b"".join(
        (
            _STRING,
            _STEADY.pack(kind, author, writer, epoch, prev_author, floor, 0),
            _NUMBERS.pack(prev_offset, first, last, published),
            encode([persistence_id, *map(list, members)]) if members else encode_id(persistence_id),
            entries or _NO_ENTRIES,
        )
    )
    return b"".join((_FRONT, zlib.crc32(body).to_bytes(4, "big"), body))


def encode_id(persistence_id: str) -> bytes:
    """The encoded ids of a log that one id has for itself."""
    return encode([persistence_id])


def decode_envelope(value: bytes | None, where: str) -> Envelope:
    """Decode and check a record, all but its entries.

    Args:
        value: the record's value.
        where: names the record in messages ("topic[0]@17").

    Raises:
        CorruptRecord: it is not a journal record, or a damaged one.
        UnsupportedEnvelope: it has another format version.
    """
    if value is None or value[:3] != _FRONT:
        raise _not_a_record(value, where)
    if not intact(value):
        raise CorruptRecord(f"{where}: the checksum differs: the record was damaged, or another program writes here")
    if value[_BODY:_HEADER] != _STRING or len(value) <= _IDS:
        refuse(where, "its header has another length")
    kind, author, writer, epoch, prev_author, floor, position = _STEADY.unpack_from(value, _HEADER)
    prev_offset, first, last, published = _NUMBERS.unpack_from(value, _NUMBERS_AT)
    if not (
        kind < len(_KINDS)
        and epoch >= 0
        and prev_offset >= -1
        and (prev_offset == -1) is (prev_author == NOTHING)
        and 0 <= floor <= last
        and 0 <= published <= last
        and (floor < first <= last if kind == _EVENTS else first == 0)
        and position == 0
    ):
        refuse(where, "a field of the header is out of its range")
    persistence_id, members, size = _ids(value, kind, where)
    entries = _entries(value[_IDS + size :], kind, where)
    state = IdState(persistence_id, first, last, floor, published)
    return Envelope(_KINDS[kind], author, writer, epoch, prev_offset, prev_author, state, entries, members)


def is_record(value: bytes | None) -> bool:
    """Whether a value looks like a journal record of this format; nothing of it is checked."""
    return value is not None and value[:3] == _FRONT


# --- reading without decoding ----------------------------------------------------------------------------------------


def steady_header(writer: bytes, epoch: int, prev_author: bytes, floor: int) -> bytes:
    """What the header of a record of events by `writer` begins with, as `follows` compares it."""
    return _STRING + _STEADY.pack(_EVENTS, writer, writer, epoch, prev_author, floor, 0)


def follows(value: bytes, header: bytes, ids: bytes) -> bool:
    """Whether a record has the predicted beginning of its header and the ids; neither its numbers nor its checksum are
    looked at.
    """
    return value.startswith(header, _BODY) and value.startswith(ids, _IDS) and value.startswith(_FRONT)


def read_numbers(value: bytes) -> tuple[int, int, int, int]:
    """``prev_offset, first, last, published`` of a record that `follows`."""
    return _NUMBERS.unpack_from(value, _NUMBERS_AT)


def intact(value: bytes) -> bool:
    """Whether the checksum of a record is right."""
    return zlib.crc32(value[_BODY:]) == int.from_bytes(value[3:_BODY], "big")


def entries_at(ids: bytes) -> int:
    """Where the entries of a record with these ids begin."""
    return _IDS + len(ids)


# --- checks ----------------------------------------------------------------------------------------------------------


def _ids(value: bytes, kind: int, where: str) -> tuple[str, tuple[Member, ...], int]:
    """The log's owner, the members, and how many bytes they take."""
    try:
        ids = decode_first(value, _IDS, _ID_LIMITS)
    except CorruptRecord as error:
        raise CorruptRecord(f"{where}: ids: {error}") from None
    if type(ids) is not list or not ids or not _is_id(ids[0]):
        refuse(where, "its persistence id is missing or malformed")
    members = tuple([_member(member, kind, where) for member in ids[1:]])
    if len({member.persistence_id for member in members}) != len(members):
        refuse(where, "a persistence id is repeated")
    encoded = encode(ids)
    if not value.startswith(encoded, _IDS):  # else the same ids could be written in several ways, and be compared in none
        refuse(where, "its ids are not encoded in the shortest way")
    return ids[0], members, len(encoded)


def _is_id(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= MAX_PERSISTENCE_ID_LENGTH


def _member(member: Any, kind: int, where: str) -> Member:
    if type(member) is not list or len(member) != 5 or kind != _EVENTS:
        refuse(where, "the state of an id is malformed")
    persistence_id, first, last, floor, writer = member
    if not (
        _is_id(persistence_id)
        and type(first) is type(last) is type(floor) is int
        and type(writer) is bytes
        and len(writer) == 16
        and 0 <= floor <= last <= MAX_SEQUENCE_NR
        and (first == 0 or floor < first <= last)
    ):
        refuse(where, "the state of an id is out of its range")
    return Member(persistence_id, first, last, floor, writer)


def _entries(entries: bytes, kind: int, where: str) -> bytes:
    if kind == _EVENTS:
        if not entries or entries[0] >> 5 != _ARRAY or entries[:1] == _NO_ENTRIES:
            refuse(where, "events without entries")
        return entries
    if entries == _NO_ENTRIES:
        return b""
    if kind != _CLAIM:
        refuse(where, "a delete with entries, or bytes behind it")
    decode_claimant(entries, where)
    return entries


def refuse(where: str, reason: str) -> NoReturn:
    """Raise `CorruptRecord` for the record at `where`."""
    raise CorruptRecord(f"{where}: {reason}")


def _not_a_record(value: bytes | None, where: str) -> StoredDataError:
    if value is None:
        return CorruptRecord(f"{where}: a record without a value; journal topics must not be compacted")
    if len(value) >= 2 and value[0] >> 5 == _ARRAY and 0 < value[1] < 24 and value[1] != _VERSION:
        # an array that begins with a small integer
        return UnsupportedEnvelope(
            f"{where}: record format {value[1]}, but this release of kafka-persist reads format {_VERSION}: use the release "
            "that wrote it, or upgrade"
        )
    return CorruptRecord(f"{where}: not a journal record; another program writes to this topic")
