"""The value of a record in a user-defined topic, version 1. ``docs/event-format.md`` describes it for other languages.

One CBOR array of 7 to 10 elements::

    [1, persistence_id, sequence_nr, timestamp, type_name, type_version, data, manifest, tags, metadata]

The last three are left out, from the end on, where they are empty. From the sequence number on these are the bytes of
the journal's own entry (`kafka_persist._core.entries`), so publishing an event encodes nothing a second time.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, NoReturn

from ..errors import CorruptRecord, UnsupportedEnvelope
from ..limits import MAX_PUBLISHED_BYTES
from ..model import MAX_PERSISTENCE_ID_LENGTH, MAX_SEQUENCE_NR
from .cbor import MAX_DEPTH, Limits, decode, encode

VERSION: Final = 1

_ABSENT: Final[tuple[Any, ...]] = ("", [], None)
_LIMITS: Final = Limits(max_bytes=MAX_PUBLISHED_BYTES, max_depth=MAX_DEPTH + 2)


class PublishedFields(NamedTuple):
    """A decoded value; `data` is still plain data, of the type that `type_name` and `type_version` say."""

    persistence_id: str
    sequence_nr: int
    timestamp: int
    type_name: str
    type_version: int
    data: Any
    manifest: str = ""
    tags: frozenset[str] = frozenset()
    metadata: Any = None


def event_prefix(persistence_id: str) -> bytes:
    """What all values of an id share, behind their first byte."""
    return encode(VERSION) + encode(persistence_id)


def event_value(prefix: bytes, entry: bytes) -> bytes:
    """Make the value of an event.

    Args:
        prefix: see `event_prefix`.
        entry: the event as `encode_entry` gives it: an array of 5 to 8 elements.
    """
    return bytes((entry[0] + 2,)) + prefix + entry[1:]


def decode_event(value: bytes, where: str) -> PublishedFields:
    """Decode and check a value, all but its data.

    Raises:
        CorruptRecord: it is not an event, or a damaged one.
        UnsupportedEnvelope: it has a later format version.
    """
    try:
        fields = decode(value, _LIMITS)
    except CorruptRecord as error:
        raise CorruptRecord(f"{where}: {error}") from None
    if type(fields) is not list or not fields or type(fields[0]) is not int:
        _refuse(where, "not a published event; another program writes to this topic")
    if fields[0] != VERSION:
        raise UnsupportedEnvelope(f"{where}: event format {fields[0]!r}, but this release of kafka-persist reads 1")
    if not 7 <= len(fields) <= 10:
        _refuse(where, "an event has 7 to 10 fields")
    return _checked(fields[1:], where)


def _checked(fields: list[Any], where: str) -> PublishedFields:
    persistence_id, number, timestamp, name, version, data, *options = fields
    given: list[Any] = [*options, *_ABSENT[len(options) :]]
    manifest, tags, metadata = given
    if not (
        type(persistence_id) is type(name) is type(manifest) is str
        and type(number) is type(timestamp) is type(version) is int
        and 0 < len(persistence_id) <= MAX_PERSISTENCE_ID_LENGTH
        and 1 <= number <= MAX_SEQUENCE_NR
        and 0 <= timestamp <= MAX_SEQUENCE_NR
        and type(tags) is list
        and all(type(tag) is str for tag in tags)
    ):
        _refuse(where, "a field of the event is out of its range")
    return PublishedFields(persistence_id, number, timestamp, name, version, data, manifest, frozenset(tags), metadata)


def _refuse(where: str, reason: str) -> NoReturn:
    raise CorruptRecord(f"{where}: {reason}")
