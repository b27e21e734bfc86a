"""The binary format of snapshot topics: see ``docs/snapshots.md``.

A snapshot is one *save*. Small ones are a single record; larger ones are chunks, and one commit record behind them that
makes them count. Every save has keys of its own, so compaction never mixes two saves, and what one process deletes is
never what another one stores meanwhile.
"""

from __future__ import annotations

import enum
import hashlib
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

import attrs

from ..errors import CorruptRecord, ForeignEvent, UnsupportedEnvelope, printable
from ..model import MAX_SEQUENCE_NR
from . import cbor

VERSION: Final = 1
MAX_PIECES: Final = 1 << 20
"""Chunks of one snapshot."""

MAX_GENERATION: Final = (1 << 63) - 1
"""Where it is reached (only a forged record can do that), the later of two saves counts."""

OVERHEAD_BYTES: Final = 160
"""What a record holds beside the persistence id and the data, its key included."""

_SAVE: Final = struct.Struct(">BB16sQQ16s")
_CHUNK: Final = struct.Struct(">BB16sQQ16sI")
_INDEX: Final = struct.Struct(">BB16s")
DIGEST_ENDS: Final = _INDEX.size
"""Every key begins with version, kind and digest, and that of every later format: so it is certain whose a record is."""
_SEAL_SIZE: Final = 7
_SHORTEST: Final = 0x83
"""First byte of a CBOR array of version, checksum and persistence id."""
_LONGEST: Final = 0x97
"""The same with as many fields as fit into that byte."""
_LIMITS: Final = cbor.Limits(max_bytes=1 << 30)


class Kind(enum.IntEnum):
    """What a record is; the second byte of its key."""

    COMMIT = ord("s")
    CHUNK = ord("c")
    INDEX = ord("i")
    PARTITIONS = ord("p")


def digest_of(persistence_id: str) -> bytes:
    """What stands for the id in keys: with another id in the same topic, nothing is compacted away."""
    return hashlib.sha256(persistence_id.encode()).digest()[:16]


@attrs.frozen
class SaveKey:
    """What all records of one save share.

    Attributes:
        digest: of the persistence id.
        sequence_nr: of the snapshot.
        timestamp: of the snapshot, milliseconds.
        save_id: 16 random bytes.
    """

    digest: bytes
    sequence_nr: int
    timestamp: int
    save_id: bytes

    def commit(self) -> bytes:
        """The key of the record that makes the save count."""
        return _SAVE.pack(VERSION, Kind.COMMIT, self.digest, self.sequence_nr, self.timestamp, self.save_id)

    def chunk(self, index: int) -> bytes:
        """The key of one chunk, counted from 0."""
        return _CHUNK.pack(VERSION, Kind.CHUNK, self.digest, self.sequence_nr, self.timestamp, self.save_id, index)


def index_key(digest: bytes) -> bytes:
    """The key of the index record: one per id, so that compaction keeps the newest."""
    return _INDEX.pack(VERSION, Kind.INDEX, digest)


def partitions_key() -> bytes:
    """The key of what a shared topic says of itself; its digest is that of the empty id, which nobody has."""
    return _PARTITIONS_KEY


_PARTITIONS_KEY: Final = _INDEX.pack(VERSION, Kind.PARTITIONS, digest_of(""))


@attrs.frozen
class ParsedKey:
    """A key; `save` is None for the index and for the partitions, `index` is -1 unless it is a chunk's."""

    kind: Kind
    digest: bytes
    save: SaveKey | None = None
    index: int = -1


def parse_key(key: bytes | None) -> ParsedKey:
    """Read a key.

    Raises:
        CorruptRecord: it is none of ours.
        UnsupportedEnvelope: of a later format.
    """
    if not key or len(key) < _INDEX.size:
        raise CorruptRecord("not a record of a snapshot store")
    if key[0] != VERSION:
        raise UnsupportedEnvelope(f"record format {key[0]}; this release reads format {VERSION}: upgrade it")
    if key[1] == Kind.INDEX and len(key) == _INDEX.size:
        return ParsedKey(Kind.INDEX, key[2:])
    if key == _PARTITIONS_KEY:
        return ParsedKey(Kind.PARTITIONS, key[2:])
    if key[1] == Kind.COMMIT and len(key) == _SAVE.size:
        return ParsedKey(Kind.COMMIT, key[2:18], _save_key(*_SAVE.unpack(key)[2:]))
    if key[1] == Kind.CHUNK and len(key) == _CHUNK.size:
        *fields, index = _CHUNK.unpack(key)[2:]
        if index < MAX_PIECES:
            return ParsedKey(Kind.CHUNK, key[2:18], _save_key(*fields), index)
    raise CorruptRecord("not a record of a snapshot store")


def _save_key(digest: bytes, sequence_nr: int, timestamp: int, save_id: bytes) -> SaveKey:
    if sequence_nr > MAX_SEQUENCE_NR or timestamp > MAX_SEQUENCE_NR:
        raise CorruptRecord("a number in the key is out of range")
    return SaveKey(digest, sequence_nr, timestamp, save_id)


# --- values: [version, checksum of key and rest, persistence id, ...] -------------------------------------------------


def seal(key: bytes, persistence_id: str, fields: Sequence[Any]) -> bytes:
    """Encode a value; its checksum covers the key too."""
    rest = cbor.encode([persistence_id, *fields])[1:]
    checksum = zlib.crc32(rest, zlib.crc32(key)).to_bytes(4, "big")
    return b"".join((bytes((0x80 | len(fields) + 3, VERSION, 0x44)), checksum, rest))


def unseal(key: bytes, value: bytes | None, persistence_id: str, count: int) -> list[Any]:
    """Decode the `count` fields of a value.

    Args:
        key: the record's.
        value: the record's.
        persistence_id: whose it must be; "" for the one whose digest stands in the key.
        count: how many fields follow the id.

    Raises:
        CorruptRecord: it is none, or damaged.
        UnsupportedEnvelope: of a later format.
        ForeignEvent: another persistence id stands in it.
    """
    if not value or len(value) < _SEAL_SIZE or not _SHORTEST <= value[0] <= _LONGEST:
        raise CorruptRecord("not a value of a snapshot store")
    if value[1] != VERSION:
        raise UnsupportedEnvelope(f"record format {value[1]}; this release reads format {VERSION}: upgrade it")
    rest = value[_SEAL_SIZE:]
    if value[2] != 0x44 or int.from_bytes(value[3:7], "big") != zlib.crc32(rest, zlib.crc32(key)):
        raise CorruptRecord("checksum differs")
    owner, *fields = cbor.decode(bytes((value[0] - 2,)) + rest, _LIMITS)
    if type(owner) is not str:
        raise CorruptRecord("no persistence id where it should stand")
    if owner != persistence_id if persistence_id else digest_of(owner) != key[2:DIGEST_ENDS]:
        raise ForeignEvent(f"it belongs to the persistence id {printable(owner)}")
    if len(fields) != count:
        raise CorruptRecord(f"{len(fields)} fields instead of {count}")
    return list(fields)


def natural(value: Any, below: int = MAX_GENERATION + 1) -> int:
    """Return `value` if it is a whole number from 0 on, below the limit.

    Raises:
        CorruptRecord: it is not.
    """
    if type(value) is not int or not 0 <= value < below:
        raise CorruptRecord("a number is missing or out of range")
    return value


@attrs.frozen
class Commit:
    """The value of a commit record.

    Attributes:
        generation: one more than the highest that the saver saw. Of two saves of one sequence number the higher one
            counts, then the later one in the log.
        size: bytes of the payload.
        pieces: number of chunks; 0 if the payload is in this record.
        first_offset: no chunk is before it.
        data: the payload, or None if it is in chunks.
    """

    generation: int
    size: int
    pieces: int
    first_offset: int
    data: bytes | None = attrs.field(repr=False)


def encode_commit(key: bytes, persistence_id: str, commit: Commit) -> bytes:
    """Encode a commit record."""
    fields = [commit.generation, commit.size, commit.pieces, commit.first_offset, commit.data]
    return seal(key, persistence_id, fields)


def decode_commit(key: bytes, value: bytes | None, persistence_id: str) -> Commit:
    """Decode a commit record.

    Raises:
        StoredDataError: see `unseal`.
    """
    generation, size, pieces, first_offset, data = unseal(key, value, persistence_id, 5)
    commit = Commit(natural(generation), natural(size), natural(pieces, MAX_PIECES + 1), natural(first_offset), data)
    whole = type(data) is bytes and not commit.pieces and len(data) == commit.size
    if not whole and (data is not None or not 0 < commit.pieces <= commit.size):
        raise CorruptRecord("the sizes contradict each other")
    return commit


def encode_chunk(key: bytes, persistence_id: str, data: bytes) -> bytes:
    """Encode one chunk."""
    return seal(key, persistence_id, [data])


def decode_chunk(key: bytes, value: bytes | None, persistence_id: str) -> bytes:
    """Decode one chunk.

    Raises:
        StoredDataError: see `unseal`.
    """
    (data,) = unseal(key, value, persistence_id, 1)
    if type(data) is not bytes:
        raise CorruptRecord("a chunk without bytes")
    return data


@attrs.frozen
class IndexFields:
    """The value of an index record; `snapshot_index_record` reads the rows."""

    position: int
    generation: int
    rows: list[Any]
    strange: list[Any]


def encode_index(key: bytes, persistence_id: str, fields: IndexFields) -> bytes:
    """Encode an index record."""
    return seal(key, persistence_id, [fields.position, fields.generation, fields.rows, fields.strange])


def decode_index(key: bytes, value: bytes | None, persistence_id: str) -> IndexFields:
    """Decode an index record.

    Raises:
        StoredDataError: see `unseal`.
    """
    position, generation, rows, strange = unseal(key, value, persistence_id, 4)
    if type(rows) is not list or type(strange) is not list:
        raise CorruptRecord("an index without its lists")
    return IndexFields(natural(position), natural(generation), rows, strange)


def encode_partitions(count: int) -> bytes:
    """Encode how many partitions a shared topic had when it was first used."""
    return seal(partitions_key(), "", [count])


def decode_partitions(value: bytes | None) -> int:
    """Decode it.

    Raises:
        StoredDataError: see `unseal`.
    """
    (count,) = unseal(partitions_key(), value, "", 1)
    return natural(count)
