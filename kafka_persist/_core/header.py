"""The header of a journal record: everything that the chain needs, without the events.

Read once per record of every recovery, so types are compared in place, records are named tuples (three times cheaper to
make than frozen attrs classes), and the kind is compared as a number before it becomes a `Kind`.
"""

from __future__ import annotations

import enum
import zlib
from typing import Any, Final, NamedTuple, NoReturn

from ..errors import CorruptRecord, StoredDataError, UnsupportedEnvelope
from ..limits import MAX_RECORD_BYTES
from ..model import MAX_PERSISTENCE_ID_LENGTH, MAX_SEQUENCE_NR
from .cbor import Limits, decode, encode
from .claimant import decode_claimant

NOTHING: Final = bytes(16)
"""`Envelope.prev_author` of a record that extends nothing."""

_HEAD: Final = b"\x8a\x01\x44"  # array of 10; format version 1; byte string of 4: the checksum
_BODY: Final = 7  # where the checksummed part begins
_LIMITS: Final = Limits(max_bytes=MAX_RECORD_BYTES, max_depth=3, tags=frozenset())


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
    """The cumulative state of one id, this record included.

    Attributes:
        persistence_id: the id.
        first: sequence number of the first event in the record; 0 if the record has no events.
        last: the highest sequence number of the id.
        floor: events up to this number are deleted.
        published: events up to this number are known to be in their user-defined topics.
    """

    persistence_id: str
    first: int
    last: int
    floor: int
    published: int = 0


class Envelope(NamedTuple):
    """One record of a journal. Authors and writers are the 16 bytes of their uuid.

    Attributes:
        kind: what the record does.
        author: who appended it.
        writer: who may write events from here on.
        epoch: how many claims have counted.
        prev_offset: offset of the record that this one extends; -1 for none.
        prev_author: author of that record; `NOTHING` for none.
        states: of each id that the record concerns.
        entries: the events, encoded (`kafka_persist._core.entries`); with a claim who made it, or nothing
            (`kafka_persist._core.claimant`); empty with a delete.
    """

    kind: Kind
    author: bytes
    writer: bytes
    epoch: int
    prev_offset: int
    prev_author: bytes
    states: tuple[IdState, ...]
    entries: bytes = b""


def encode_envelope(envelope: Envelope) -> bytes:
    """Encode a record."""
    kind, author, writer, epoch, prev_offset, prev_author, states, entries = envelope
    body = encode([int(kind), author, writer, epoch, prev_offset, prev_author, list(map(list, states)), entries])[1:]
    return b"".join((_HEAD, zlib.crc32(body).to_bytes(4, "big"), body))


def decode_envelope(value: bytes | None, where: str) -> Envelope:
    """Decode and check a record, all but its entries.

    Args:
        value: the record's value.
        where: names the record in messages ("topic[0]@17").

    Raises:
        CorruptRecord: it is not a journal record, or a damaged one.
        UnsupportedEnvelope: it has a later format version.
    """
    if value is None or value[:3] != _HEAD:
        raise _not_a_record(value, where)
    if zlib.crc32(value[_BODY:]) != int.from_bytes(value[3:_BODY], "big"):
        raise CorruptRecord(f"{where}: the checksum differs: the record was damaged, or another program writes here")
    try:
        fields = decode(value, _LIMITS)
    except CorruptRecord as error:
        raise CorruptRecord(f"{where}: {error}") from None
    _, _, kind, author, writer, epoch, prev_offset, prev_author, states, entries = fields
    if not (
        type(kind) is type(epoch) is type(prev_offset) is int
        and type(author) is type(writer) is type(prev_author) is type(entries) is bytes
        and type(states) is list
        and 0 <= kind < len(_KINDS)
        and len(author) == len(writer) == len(prev_author) == 16
        and 0 <= epoch <= MAX_SEQUENCE_NR
        and -1 <= prev_offset <= MAX_SEQUENCE_NR
        and (prev_offset == -1) is (prev_author == NOTHING)
        and ((kind == _EVENTS) is (entries != b"") or kind == _CLAIM)
    ):
        refuse(where, "a field of the header is out of its range")
    if kind == _CLAIM and entries:
        decode_claimant(entries, where)
    found = tuple([_state(state, kind, where) for state in states])
    if len(found) != 1 and not _distinct(found):
        refuse(where, "its persistence ids are missing or repeated")
    return Envelope(_KINDS[kind], author, writer, epoch, prev_offset, prev_author, found, entries)


def is_record(value: bytes | None) -> bool:
    """Whether a value looks like a journal record of this format; nothing of it is checked."""
    return value is not None and value[:3] == _HEAD


def _state(state: Any, kind: int, where: str) -> IdState:
    if type(state) is not list or len(state) != 5:
        refuse(where, "the state of an id is malformed")
    persistence_id, first, last, floor, published = state
    if not (
        type(persistence_id) is str
        and type(first) is type(last) is type(floor) is type(published) is int
        and 0 < len(persistence_id) <= MAX_PERSISTENCE_ID_LENGTH
        and 0 <= floor <= last <= MAX_SEQUENCE_NR
        and 0 <= published <= last
        and (floor < first <= last if kind == _EVENTS else first == 0)
    ):
        refuse(where, "the state of an id is out of its range")
    return IdState(persistence_id, first, last, floor, published)


def _distinct(states: tuple[IdState, ...]) -> bool:
    return 0 < len(states) == len({state.persistence_id for state in states})


def refuse(where: str, reason: str) -> NoReturn:
    """Raise `CorruptRecord` for the record at `where`."""
    raise CorruptRecord(f"{where}: {reason}")


def _not_a_record(value: bytes | None, where: str) -> StoredDataError:
    if value is None:
        return CorruptRecord(f"{where}: a record without a value; journal topics must not be compacted")
    if len(value) >= 2 and value[0] >> 5 == 4 and 1 < value[1] < 24:  # an array that begins with a small integer
        return UnsupportedEnvelope(
            f"{where}: record format {value[1]}, but this release of kafka-persist reads format 1: upgrade it"
        )
    return CorruptRecord(f"{where}: not a journal record; another program writes to this topic")
