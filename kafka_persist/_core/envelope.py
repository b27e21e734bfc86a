"""The journal record's binary format: see ``docs/record-format.md``."""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import attrs

from ..errors import CorruptRecord, StoredDataError, UnsupportedEnvelope, printable
from ..model import MAX_SEQUENCE_NR, PersistentRepr
from ..serialization import Encoded, Serializer
from . import cbor

NOTHING: Final = bytes(16)
"""`Envelope.prev_author` of a record that extends nothing."""

_HEAD: Final = b"\x8a\x01\x44"
_HEAD_SIZE: Final = 7
_LIMITS: Final = cbor.Limits(max_bytes=1 << 30)
_as_uuid = lru_cache(1024)(lambda raw: UUID(bytes=raw))


class Kind(enum.IntEnum):
    """What a record does to its ids."""

    CLAIM = 0
    EVENTS = 1
    DELETE = 2


@attrs.frozen
class IdState:
    """State of one id after the record.

    Attributes:
        persistence_id: the id.
        first: sequence number of the first event in the record (0: none).
        last: the highest sequence number of the id.
        floor: events up to here are deleted.
    """

    persistence_id: str
    first: int
    last: int
    floor: int


@attrs.frozen
class Envelope:
    """One journal record. Authors and writers are the 16 bytes of their uuid."""

    kind: Kind
    author: bytes
    writer: bytes
    epoch: int
    prev_offset: int
    prev_author: bytes
    states: tuple[IdState, ...]
    entries: bytes = b""


def encode_entry(event: PersistentRepr, encoded: Encoded, index: int = 0) -> bytes:
    """Encode one event; `index` is the place of its id in the record's states."""
    fields: list[Any] = [index, event.sequence_nr, event.timestamp, encoded.name, encoded.version, encoded.data]
    if event.metadata is not None:
        fields += [event.manifest, sorted(event.tags), event.metadata]
    elif event.tags:
        fields += [event.manifest, sorted(event.tags)]
    elif event.manifest:
        fields.append(event.manifest)
    return cbor.encode(fields)


def join_entries(entries: Sequence[bytes]) -> bytes:
    """Make `Envelope.entries` of encoded entries."""
    count = len(entries)
    if count < 24:
        head = bytes((0x80 | count,))
    elif count < 1 << 8:
        head = bytes((0x98, count))
    else:
        head = struct.pack(">BH", 0x99, count) if count < 1 << 16 else struct.pack(">BI", 0x9A, count)
    return head + b"".join(entries)


def encode_envelope(envelope: Envelope) -> bytes:
    """Encode a record."""
    states = [[state.persistence_id, state.first, state.last, state.floor] for state in envelope.states]
    fields = [
        int(envelope.kind),
        envelope.author,
        envelope.writer,
        envelope.epoch,
        envelope.prev_offset,
        envelope.prev_author,
        states,
        envelope.entries,
    ]
    rest = cbor.encode(fields)[1:]
    return b"".join((_HEAD, zlib.crc32(rest).to_bytes(4, "big"), rest))


def decode_envelope(value: bytes | None, where: str) -> Envelope:
    """Decode and check a record, but not its entries.

    Raises:
        CorruptRecord: it is not one.
        UnsupportedEnvelope: it has a later format version.
    """
    if value is None or value[:3] != _HEAD:
        raise _not_an_envelope(value, where)
    rest = value[_HEAD_SIZE:]
    if int.from_bytes(value[3:7], "big") != zlib.crc32(rest):
        raise CorruptRecord(f"{where}: checksum differs")
    try:
        kind, author, writer, epoch, prev_offset, prev_author, states, entries = cbor.decode(b"\x88" + rest, _LIMITS)
        found = tuple(IdState(*state) for state in states)
        return Envelope(Kind(kind), author, writer, epoch, prev_offset, prev_author, found, entries)
    except (CorruptRecord, ValueError, TypeError) as error:
        raise CorruptRecord(f"{where}: {error}") from None


def _not_an_envelope(value: bytes | None, where: str) -> StoredDataError:
    if value is None:
        return CorruptRecord(f"{where}: a record without a value")
    if len(value) > 2 and 0x80 <= value[0] <= 0x97 and value[1] != 1:
        return UnsupportedEnvelope(f"{where}: record format {value[1]}; this release reads format 1: upgrade it")
    return CorruptRecord(f"{where}: not a journal record")


def decode_entries(
    envelope: Envelope,
    serializer: Serializer,
    where: str,
    *,
    from_nr: int = 1,
    to_nr: int = MAX_SEQUENCE_NR,
) -> list[PersistentRepr]:
    """Decode the events with ``from_nr <= sequence number <= to_nr``.

    Raises:
        CorruptRecord: an entry is malformed or contradicts the record's states.
        UnknownManifest: a type is not registered.
        PayloadUnreadable: a payload does not fit its type.
    """
    if not envelope.entries:
        return []
    try:
        entries = cbor.decode(envelope.entries, _LIMITS)
    except CorruptRecord as error:
        raise CorruptRecord(f"{where}: entries: {error}") from None
    writer = _as_uuid(envelope.writer)
    events = []
    for entry in entries:
        index, number, timestamp, name, version, data, *rest = entry
        if not from_nr <= number <= to_nr:
            continue
        manifest, tags, metadata = [*rest, "", [], None][: len(rest)] + ["", [], None][len(rest) :]
        persistence_id = envelope.states[index].persistence_id
        try:
            payload = serializer.load(name, version, data)
        except StoredDataError as error:
            raise type(error)(f"{where}: {printable(persistence_id)} event {number}: {error}") from error
        events.append(
            PersistentRepr(
                persistence_id=persistence_id,
                sequence_nr=number,
                payload=payload,
                writer=writer,
                manifest=manifest,
                timestamp=timestamp,
                tags=frozenset(tags),
                metadata=metadata,
            )
        )
    return events
