"""The events inside a journal record: encoded when they are written, decoded when a replay wants them.

The loop of `make_events` runs once per event of every recovery: checks stand in place, plain data takes no call, and
the events are made without the validation of `PersistentRepr`, whose rules were all checked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from ..errors import CorruptRecord, PayloadUnreadable, SerializationError, StoredDataError, printable
from ..limits import MAX_RECORD_BYTES
from ..model import MAX_SEQUENCE_NR, PersistentRepr, stored_event
from ..serialization import Encoded, Serializer
from .cbor import MAX_DEPTH, Limits, decode_behind, encode
from .header import Envelope, Kind, refuse
from .plain import check_plain

_LIMITS: Final = Limits(max_bytes=MAX_RECORD_BYTES, max_depth=MAX_DEPTH + 2)
_ABSENT: Final[tuple[Any, ...]] = ("", [], None)
_NO_TAGS: Final[frozenset[str]] = frozenset()
_DEFAULTS: Final[tuple[str, frozenset[str], Any]] = ("", _NO_TAGS, None)


@lru_cache(maxsize=1024)
def writer_of(raw: bytes) -> UUID:
    """The uuid of 16 bytes; a few writers have written most of what is read."""
    return UUID(bytes=raw)


def encode_entry(event: PersistentRepr, encoded: Encoded, *, timestamp: int | None = None) -> bytes:
    """Encode one event.

    Args:
        event: the event; its payload is not looked at.
        encoded: the payload, as `Serializer.dump` gave it.
        timestamp: milliseconds, instead of the event's own.

    Raises:
        SerializationError: the metadata is not plain data, a text has no UTF-8 form, or the event is too large for any
            record.
    """
    at = event.timestamp if timestamp is None else timestamp
    fields = [event.sequence_nr, at, encoded.name, encoded.version, encoded.data]
    if event.metadata is not None or event.tags or event.manifest:
        fields += _optional_fields(event)
    try:
        entry = encode(fields)
    except Exception as error:
        raise SerializationError(f"event {event.sequence_nr}: {printable(str(error), 200)}") from error
    if len(entry) > MAX_RECORD_BYTES:
        raise SerializationError(f"event {event.sequence_nr}: {len(entry)} bytes; no record holds {MAX_RECORD_BYTES}")
    return entry


def _optional_fields(event: PersistentRepr) -> list[Any]:
    if event.metadata is not None:
        check_plain(event.metadata, "metadata")
        return [event.manifest, sorted(event.tags), event.metadata]
    return [event.manifest, sorted(event.tags)] if event.tags else [event.manifest]


def join_entries(entries: Sequence[bytes]) -> bytes:
    """Make `Envelope.entries` of encoded entries."""
    count = len(entries)
    if count < 24:
        head = bytes((0x80 | count,))
    elif count < 1 << 8:
        head = bytes((0x98, count))
    elif count < 1 << 16:
        head = b"\x99" + count.to_bytes(2, "big")
    else:
        head = b"\x9a" + count.to_bytes(4, "big")
    return head + b"".join(entries)


def decode_entries(
    envelope: Envelope,
    serializer: Serializer,
    where: str,
    *,
    from_nr: int = 1,
    to_nr: int = MAX_SEQUENCE_NR,
) -> list[PersistentRepr]:
    """Decode the events with ``from_nr <= sequence number <= to_nr``; the payloads of the others are not looked at.

    Raises:
        CorruptRecord: the entries are malformed or contradict the record's state.
        UnknownManifest: a payload's type or version is not registered.
        PayloadUnreadable: a payload does not fit its type.
    """
    if envelope.kind is not Kind.EVENTS:
        return []
    name, first, last, *_ = envelope.state
    entries = read_entries(envelope.entries, 0, where)
    return make_events(entries, (name, first, last, envelope.writer), serializer, where, from_nr, to_nr)


def read_entries(record: bytes, start: int, where: str) -> list[Any]:
    """Decode the entries, which take all of `record` from `start` on."""
    try:
        entries = decode_behind(record, start, _LIMITS)
    except CorruptRecord as error:
        raise CorruptRecord(f"{where}: entries: {error}") from None
    if type(entries) is not list:
        refuse(where, "the entries are not an array")
    return entries


def make_events(
    entries: list[Any],
    of: tuple[str, int, int, bytes],
    serializer: Serializer,
    where: str,
    from_nr: int = 1,
    to_nr: int = MAX_SEQUENCE_NR,
) -> list[PersistentRepr]:
    """Make the events of all entries of a record.

    Args:
        entries: what `read_entries` gave.
        of: persistence id, first and last sequence number in the record, writer.
        serializer: makes the payloads.
        where: names the record in messages.
        from_nr: the first number that is wanted.
        to_nr: the last one.

    Raises: as `decode_entries`.
    """
    persistence_id, first, last, raw_writer = of
    writer = writer_of(raw_writer)
    reached = first - 1
    events: list[PersistentRepr] = []
    for entry in entries:
        if type(entry) is not list or not 5 <= len(entry) <= 8:
            refuse(where, "an entry is malformed")
        if len(entry) == 5:
            number, timestamp, name, version, payload = entry
            manifest, tags, metadata = _DEFAULTS
        else:
            number, timestamp, name, version, payload, *options = entry
            manifest, tags, metadata = _options(options, where)
        if not (
            type(number) is type(timestamp) is type(version) is int
            and type(name) is str
            and 0 <= timestamp <= MAX_SEQUENCE_NR
        ):
            refuse(where, "a field of an entry is out of its range")
        if not reached < number <= last:
            refuse(where, f"event {number} contradicts the record's range {first} to {last}")
        reached = number
        if not from_nr <= number <= to_nr:
            continue
        if name or version:
            payload = _load(
                serializer, name, version, payload, f"{where}: event {number} of {printable(persistence_id)}"
            )
        events.append(stored_event(persistence_id, number, payload, writer, manifest, timestamp, tags, metadata))
    if reached != last:
        refuse(where, "events are missing at the end of the record")
    return events


def plain_events(
    record: bytes,
    start: int,
    of: tuple[str, int, int, UUID],
    serializer: Serializer,
    window: tuple[int, int],
    events: list[PersistentRepr],
) -> bool:
    """Add the events of a record to `events`, the usual way.

    Returns:
        False for whatever is not usual, and nothing is added: `read_entries` and `make_events` tell what it is.
    """
    persistence_id, first, last, writer = of
    low, high = window
    reached, before = first - 1, len(events)
    try:
        for number, timestamp, name, version, payload in decode_behind(record, start, _LIMITS):
            if (
                type(number) is type(timestamp) is type(version) is int
                and type(name) is str
                and reached < number <= last
                and 0 <= timestamp <= MAX_SEQUENCE_NR
            ):
                reached = number
                if low <= number <= high:
                    data = serializer.load(name, version, payload) if name or version else payload
                    events.append(stored_event(persistence_id, number, data, writer, "", timestamp, _NO_TAGS, None))
            else:
                break
        else:
            if reached == last:
                return True
    except Exception:  # noqa: BLE001, S110 - the careful way meets it again, and names it
        pass
    del events[before:]
    return False


def _load(serializer: Serializer, name: str, version: int, data: Any, event: str) -> Any:
    try:
        return serializer.load(name, version, data)
    except StoredDataError as error:
        raise type(error)(f"{event}: {error}") from error
    except Exception as error:  # a serializer, or what it was given, may raise anything for hostile data
        raise PayloadUnreadable(f"{event}: the serializer raised {type(error).__name__}") from error


def _options(options: list[Any], where: str) -> tuple[str, frozenset[str], Any]:
    given: list[Any] = [*options, *_ABSENT[len(options) :]]
    manifest, tags, metadata = given
    if type(manifest) is not str or type(tags) is not list or any(type(tag) is not str for tag in tags):
        refuse(where, "the manifest or the tags of an entry are malformed")
    return manifest, frozenset(tags), metadata
