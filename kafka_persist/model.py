"""The records of the persistence contract: events, atomic writes, rejections, snapshots and their criteria.

All classes are frozen. Sequence numbers start at 1, timestamps are milliseconds since the Unix epoch (UTC).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import UUID

import attrs

from .errors import InvalidPersistenceId, UsageError, printable

MAX_SEQUENCE_NR: Final = 2**63 - 1
"""The largest sequence number, also "no upper bound" (a signed 64-bit integer, as in the original)."""

MAX_PERSISTENCE_ID_LENGTH: Final = 1000
"""Characters (code points) of the longest persistence id."""


def check_persistence_id(persistence_id: str) -> str:
    """Return `persistence_id` if it is one.

    Raises:
        InvalidPersistenceId: not a string, empty, over 1,000 characters, or not encodable as UTF-8.
    """
    if not isinstance(persistence_id, str):
        raise InvalidPersistenceId(f"a persistence id is text, not {type(persistence_id).__name__}")
    if not persistence_id:
        raise InvalidPersistenceId("a persistence id must not be empty; give each entity a name of its own")
    if len(persistence_id) > MAX_PERSISTENCE_ID_LENGTH:
        raise InvalidPersistenceId(
            f"persistence id {printable(persistence_id, 40)} is longer than {MAX_PERSISTENCE_ID_LENGTH} characters"
        )
    try:
        persistence_id.encode()
    except UnicodeEncodeError:
        raise InvalidPersistenceId(
            f"persistence id {printable(persistence_id)} has a lone surrogate and no UTF-8 form"
        ) from None
    return persistence_id


def _valid_id(_instance: object, _attribute: attrs.Attribute[str], value: str) -> None:
    check_persistence_id(value)


def _whole_number(low: int) -> Any:
    def check(_instance: object, attribute: attrs.Attribute[int], value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(f"{attribute.name} must be a whole number, not {value!r}")
        if not low <= value <= MAX_SEQUENCE_NR:
            raise UsageError(f"{attribute.name} must be from {low} to {MAX_SEQUENCE_NR}, not {value}")

    return check


def _is_uuid(_instance: object, attribute: attrs.Attribute[UUID], value: UUID) -> None:
    if not isinstance(value, UUID):
        raise UsageError(f"{attribute.name} must be a uuid.UUID (uuid.uuid4()), not {type(value).__name__}")


_NO_TAGS: Final = frozenset[str]()


def _tag_set(tags: Iterable[str]) -> frozenset[str]:
    if tags is _NO_TAGS:
        return _NO_TAGS
    if isinstance(tags, str):
        raise UsageError(f"tags must be a collection of strings, not the string {printable(tags)}")
    found = frozenset(tags)
    if not all(isinstance(tag, str) for tag in found):
        raise UsageError(f"every tag must be a string, not {found!r}")
    return found


@attrs.frozen(kw_only=True)
class PersistentRepr:
    """One event of one entity, as the journal stores it.

    Attributes:
        persistence_id: the entity.
        sequence_nr: 1 to 2**63 - 1.
        payload: the event itself, of a type that the store's serializer knows.
        manifest: an opaque text of the caller's (an event adapter's); the serializer's own type name is separate.
        writer: the incarnation of the entity that wrote it.
        timestamp: milliseconds; 0 lets the journal set it when it writes.
        tags: a set of texts.
        metadata: an opaque value (plain data) that travels with the event; None for none.
    """

    persistence_id: str = attrs.field(validator=_valid_id)
    sequence_nr: int = attrs.field(validator=_whole_number(1))
    payload: Any
    writer: UUID = attrs.field(validator=_is_uuid)
    manifest: str = attrs.field(default="", validator=attrs.validators.instance_of(str))
    timestamp: int = attrs.field(default=0, validator=_whole_number(0))
    tags: frozenset[str] = attrs.field(default=_NO_TAGS, converter=_tag_set)
    metadata: Any = None


def _slot(name: str) -> Callable[[PersistentRepr, Any], None]:
    setter: Callable[[PersistentRepr, Any], None] = vars(PersistentRepr)[name].__set__
    return setter


_new: Final = object.__new__
_set_id: Final = _slot("persistence_id")
_set_number: Final = _slot("sequence_nr")
_set_payload: Final = _slot("payload")
_set_writer: Final = _slot("writer")
_set_manifest: Final = _slot("manifest")
_set_timestamp: Final = _slot("timestamp")
_set_tags: Final = _slot("tags")
_set_metadata: Final = _slot("metadata")


def stored_event(
    persistence_id: str,
    sequence_nr: int,
    payload: Any,
    writer: UUID,
    manifest: str,
    timestamp: int,
    tags: frozenset[str],
    metadata: Any,
) -> PersistentRepr:
    """Make a `PersistentRepr` of parts that were checked when its record was decoded.

    A replay makes one per event; this takes a quarter of the time of the validating constructor.
    """
    event = _new(PersistentRepr)
    _set_id(event, persistence_id)
    _set_number(event, sequence_nr)
    _set_payload(event, payload)
    _set_writer(event, writer)
    _set_manifest(event, manifest)
    _set_timestamp(event, timestamp)
    _set_tags(event, tags)
    _set_metadata(event, metadata)
    return event


def _event_tuple(events: Iterable[PersistentRepr]) -> tuple[PersistentRepr, ...]:
    return tuple(events)


def _gapless(_instance: object, _attribute: object, events: tuple[PersistentRepr, ...]) -> None:
    if not events:
        raise UsageError("an atomic write holds at least one event")
    first = events[0]
    for distance, event in enumerate(events):
        if event.persistence_id != first.persistence_id:
            raise UsageError(
                "an atomic write holds events of one persistence id, not of "
                f"{printable(first.persistence_id)} and {printable(event.persistence_id)}"
            )
        if event.sequence_nr != first.sequence_nr + distance:
            raise UsageError(
                f"sequence numbers of an atomic write ascend without a gap: expected "
                f"{first.sequence_nr + distance}, got {event.sequence_nr}"
            )
        if event.writer != first.writer:
            raise UsageError("an atomic write has one writer")


@attrs.frozen
class AtomicWrite:
    """One or more events of one id, in gapless ascending order, stored all or not at all.

    Raises:
        UsageError: empty, several ids or writers, or a gap.
    """

    events: tuple[PersistentRepr, ...] = attrs.field(converter=_event_tuple, validator=_gapless)

    @property
    def persistence_id(self) -> str:
        """The id that all events share."""
        return self.events[0].persistence_id

    @property
    def writer(self) -> UUID:
        """The writer that all events share."""
        return self.events[0].writer

    @property
    def first_sequence_nr(self) -> int:
        """Sequence number of the first event."""
        return self.events[0].sequence_nr

    @property
    def last_sequence_nr(self) -> int:
        """Sequence number of the last event."""
        return self.events[-1].sequence_nr


@attrs.frozen
class Rejection:
    """Why one atomic write was certainly not stored; the entity may go on (it may use the sequence numbers again, or leave them out).

    Attributes:
        reason: one sentence with the figures (for "too large": the size and the limit, in bytes).
        cause: the error behind it, if any.
    """

    reason: str
    cause: Exception | None = attrs.field(default=None, eq=False)


@attrs.frozen(kw_only=True)
class SnapshotMetadata:
    """Which snapshot.

    Attributes:
        persistence_id: the entity, or the view id of a view.
        sequence_nr: of the last event in the state; 0 for a state before any event.
        timestamp: milliseconds, set by the store when it saves; 0 in `SnapshotStore.delete` means "any".
        metadata: an opaque value (plain data) of the caller's.
        bookmark: opaque bytes by which the journal finds the place where replay continues (`Journal.bookmark`);
            None if unknown: replay then starts at the beginning of the log.
    """

    persistence_id: str = attrs.field(validator=_valid_id)
    sequence_nr: int = attrs.field(validator=_whole_number(0))
    timestamp: int = attrs.field(default=0, validator=_whole_number(0))
    metadata: Any = None
    bookmark: bytes | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen
class SelectedSnapshot:
    """A snapshot and its metadata."""

    metadata: SnapshotMetadata
    snapshot: Any


@attrs.frozen(kw_only=True)
class SelectionCriteria:
    """Which snapshots: all four bounds are inclusive; an empty interval selects nothing.

    Attributes:
        min_sequence_nr: lower bound of the sequence number.
        max_sequence_nr: upper bound of the sequence number.
        min_timestamp: lower bound of the timestamp, milliseconds.
        max_timestamp: upper bound of the timestamp, milliseconds.
    """

    min_sequence_nr: int = attrs.field(default=0, validator=_whole_number(0))
    max_sequence_nr: int = attrs.field(default=MAX_SEQUENCE_NR, validator=_whole_number(0))
    min_timestamp: int = attrs.field(default=0, validator=_whole_number(0))
    max_timestamp: int = attrs.field(default=MAX_SEQUENCE_NR, validator=_whole_number(0))

    def matches(self, metadata: SnapshotMetadata) -> bool:
        """Whether a snapshot with this metadata is selected."""
        return (
            self.min_sequence_nr <= metadata.sequence_nr <= self.max_sequence_nr
            and self.min_timestamp <= metadata.timestamp <= self.max_timestamp
        )


LATEST: Final = SelectionCriteria()
"""Selects every snapshot; `SnapshotStore.load` then gives the newest one."""


@attrs.frozen
class Event:
    """What user-defined topics carry.

    Attributes:
        persistence_id: the entity whose event it is.
        sequence_nr: the event's sequence number.
        data: the event itself.
    """

    persistence_id: str = attrs.field(validator=_valid_id)
    sequence_nr: int = attrs.field(validator=_whole_number(1))
    data: Any
