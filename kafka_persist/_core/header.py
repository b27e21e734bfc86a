"""The header of a journal record: everything that the chain needs, without the events.

A record is one CBOR array::

    [2, checksum, header, owner, entries]

The header is a byte string whose fields all have a fixed place. What stays the same from one record of events to the
next stands in front (`steady_header`), so a reader that knows the record before compares those bytes and the owner, whose
log it is, reads the five numbers between them (`predicted`), and has judged the record without decoding anything. Every
other record takes `decode_envelope`.
"""

from __future__ import annotations

import enum
import struct
import zlib
from typing import Final, NamedTuple, NoReturn

from ..errors import CorruptRecord, StoredDataError, UnsupportedEnvelope
from ..limits import MAX_RECORD_BYTES
from ..model import MAX_PERSISTENCE_ID_LENGTH
from .claimant import decode_claimant

NOTHING: Final = bytes(16)
"""`Envelope.prev_author` of a record that extends nothing."""

_VERSION: Final = 2
_FRONT: Final = b"\x85\x02\x44"  # array of 5; format version 2; byte string of 4: the checksum
_BODY: Final = 7  # where the checksummed part begins
_HEADER: Final = 9  # where the header's content begins
_STEADY: Final = struct.Struct(">B16s16sq16sq")  # kind, author, writer, epoch, prev_author, floor
_NUMBERS: Final = struct.Struct(">qqqqq")  # commands, prev_offset, first, last, published
_LENGTH: Final = _STEADY.size + _NUMBERS.size
_STRING: Final = bytes((0x58, _LENGTH))  # byte string of the header's length
_NUMBERS_AT: Final = _HEADER + _STEADY.size
_OWNER: Final = _HEADER + _LENGTH  # where the owner begins
_SHARED: Final = b"\x81"  # array of 1, around the owner of a log that several ids share
_NO_ENTRIES: Final = b"\x80"
_ARRAY: Final = 4  # CBOR's major types
_TEXT: Final = 3


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
        commands: in a log that several ids share, the position in its partition of the command topic: the commands below
            this offset have taken effect, or were refused for good.
    """

    persistence_id: str
    first: int
    last: int
    floor: int
    published: int = 0
    commands: int = 0


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
            (`kafka_persist._core.claimant`); empty with a delete, but in a log that several ids share it holds their states.
        shared: several ids share the log; the id in `state` is the log's own name.
    """

    kind: Kind
    author: bytes
    writer: bytes
    epoch: int
    prev_offset: int
    prev_author: bytes
    state: IdState
    entries: bytes = b""
    shared: bool = False


def encode_envelope(envelope: Envelope) -> bytes:
    """Encode a record."""
    kind, author, writer, epoch, prev_offset, prev_author, state, entries, shared = envelope
    persistence_id, first, last, floor, published, commands = state
    body = b"".join(
        (
            _STRING,
            _STEADY.pack(kind, author, writer, epoch, prev_author, floor),
            _NUMBERS.pack(commands, prev_offset, first, last, published),
            encode_owner(persistence_id, shared=shared),
            entries or _NO_ENTRIES,
        )
    )
    return b"".join((_FRONT, zlib.crc32(body).to_bytes(4, "big"), body))


def encode_owner(name: str, *, shared: bool = False) -> bytes:
    """Encode whose log it is: an id's own, or one that several ids share."""
    raw = name.encode()
    size = len(raw)
    if size < 24:
        head = bytes((0x60 | size,))
    elif size < 1 << 8:
        head = bytes((0x78, size))
    else:
        head = b"\x79" + size.to_bytes(2, "big")
    return b"".join((_SHARED, head, raw)) if shared else head + raw


def decode_envelope(value: bytes | None, where: str) -> Envelope:
    """Decode and check a record, all but its entries.

    Args:
        value: the record's value.
        where: names the record in messages ("topic[0]@17").

    Raises:
        CorruptRecord: it is not a journal record, a damaged one, or larger than any record may be.
        UnsupportedEnvelope: it has another format version.
    """
    if value is None or value[:3] != _FRONT:
        raise _not_a_record(value, where)
    if len(value) > MAX_RECORD_BYTES:
        refuse(where, f"{len(value)} bytes, more than the limit of {MAX_RECORD_BYTES}")
    if not intact(value):
        raise CorruptRecord(f"{where}: the checksum differs: the record was damaged, or another program writes here")
    if value[_BODY:_HEADER] != _STRING or len(value) <= _OWNER:
        refuse(where, "its header has another length")
    kind, author, writer, epoch, prev_author, floor = _STEADY.unpack_from(value, _HEADER)
    commands, prev_offset, first, last, published = _NUMBERS.unpack_from(value, _NUMBERS_AT)
    if not (
        kind < len(_KINDS)
        and epoch >= 0
        and prev_offset >= -1
        and (prev_offset == -1) is (prev_author == NOTHING)
        and 0 <= floor <= last
        and 0 <= published <= last
        and (floor < first <= last if kind == _EVENTS else first == 0)
        and commands >= 0
    ):
        refuse(where, "a field of the header is out of its range")
    persistence_id, shared, start = _read_owner(value, where)
    if commands and not shared:
        refuse(where, "a position in the command topic, in the log of a single id")
    entries = _entries(value[start:], kind, where, shared=shared)
    state = IdState(persistence_id, first, last, floor, published, commands)
    return Envelope(_KINDS[kind], author, writer, epoch, prev_offset, prev_author, state, entries, shared)


def is_record(value: bytes | None) -> bool:
    """Whether a value looks like a journal record of this format; nothing of it is checked."""
    return value is not None and value[:3] == _FRONT


# --- reading without decoding ----------------------------------------------------------------------------------------


def steady_header(writer: bytes, epoch: int, prev_author: bytes, floor: int) -> bytes:
    """What the header of a record of events by `writer` begins with, as `predicted` compares it."""
    return _STRING + _STEADY.pack(_EVENTS, writer, writer, epoch, prev_author, floor)


def predicted(value: bytes, header: bytes, owner: bytes) -> tuple[int, int, int, int, int] | None:
    """``commands, prev_offset, first, last, published`` of a sound record that begins as predicted; None for any other one."""
    if (
        value.startswith(header, _BODY)
        and value.startswith(owner, _OWNER)
        and value.startswith(_FRONT)
        and b"\x80"
        < value[_OWNER + len(owner) : _OWNER + len(owner) + 1]
        < b"\xa0"  # entries: an array that is not empty
        and len(value) <= MAX_RECORD_BYTES
        and zlib.crc32(value[_BODY:]) == int.from_bytes(value[3:_BODY], "big")
    ):
        return _NUMBERS.unpack_from(value, _NUMBERS_AT)
    return None


def intact(value: bytes) -> bool:
    """Whether the checksum of a record is right."""
    return zlib.crc32(memoryview(value)[_BODY:]) == int.from_bytes(value[3:_BODY], "big")


def entries_at(owner: bytes) -> int:
    """Where the entries of a record with this owner begin."""
    return _OWNER + len(owner)


# --- checks ----------------------------------------------------------------------------------------------------------


def _read_owner(value: bytes, where: str) -> tuple[str, bool, int]:
    """Whose log it is, whether several ids share it, and where the entries begin.

    A length has its shortest form: else the same owner could be written in several ways, and be compared in none.
    """
    shared = value.startswith(_SHARED, _OWNER)
    at = _OWNER + shared
    head, at = value[at : at + 1], at + 1
    if b"\x60" <= head < b"\x78":
        size = head[0] - 0x60
    elif head == b"\x78":
        size, at = int.from_bytes(value[at : at + 1], "big"), at + 1
        size = size if size >= 24 else 0
    elif head == b"\x79":
        size, at = int.from_bytes(value[at : at + 2], "big"), at + 2
        size = size if size >= 1 << 8 else 0
    else:
        size = 0
    raw = value[at : at + size]
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        refuse(where, "the persistence id is not UTF-8")
    if not size or len(raw) != size or len(name) > MAX_PERSISTENCE_ID_LENGTH:
        refuse(where, "its persistence id is missing or malformed")
    return name, shared, at + size


def _entries(entries: bytes, kind: int, where: str, *, shared: bool) -> bytes:
    is_filled_array = b"\x80" < entries[:1] < b"\xa0"
    if kind == _EVENTS:
        if not is_filled_array:
            refuse(where, "events without entries")
        return entries
    if entries == _NO_ENTRIES:
        return b""
    if kind != _CLAIM:
        if shared and is_filled_array:  # the states of ids (`items.decode_states`)
            return entries
        refuse(where, "a delete with entries, or bytes behind it")
    decode_claimant(entries, where)
    return entries


def refuse(where: str, reason: str) -> NoReturn:
    """Raise `CorruptRecord` for the record at `where`."""
    raise CorruptRecord(f"{where}: {reason}")


def _not_a_record(value: bytes | None, where: str) -> StoredDataError:
    if value is None:
        return CorruptRecord(f"{where}: a record without a value; journal topics must not be compacted")
    if (
        len(value) >= 2
        and value[0] >> 5 == _ARRAY
        and 0 < value[1] < 24
        and value[1] != _VERSION
        and value[2:3].ljust(1, b"\x00")[0] >> 5 != _TEXT
    ):  # an array that begins with a small integer; with a text after it, it is a published event (`event_format`)
        return UnsupportedEnvelope(
            f"{where}: record format {value[1]}, but this release of kafka-persist reads format {_VERSION}: use the release "
            "that wrote it, or upgrade"
        )
    return CorruptRecord(f"{where}: not a journal record; another program writes to this topic")
