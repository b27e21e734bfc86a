"""What travels with an event beside its data: tags, metadata, and who caused it.

`Tagged` puts tags and metadata on a single event, `EntityType` on all events of a type, and `event_context` on
everything that is stored inside its block, in whatever entity: a request's correlation id is given once, where the
request comes in. All of it comes out of `Persistence.view` (with ``envelopes=True``), of `open_events` and of
projections, as `tags` and `metadata`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, cast

import attrs

from .errors import UsageError, printable

__all__ = ["CAUSATION_ID", "CORRELATION_ID", "Tagged", "caused_by", "event_context"]

E_co = TypeVar("E_co", covariant=True)

CORRELATION_ID: Final = "correlation-id"
"""Key in an event's metadata: what all events have in common that one request led to, across entities."""

CAUSATION_ID: Final = "causation-id"
"""Key in an event's metadata: the event or request that led to this one directly."""

IDEMPOTENCY: Final = "idempotency"
"""Key in the metadata of a command's first event, which the library writes (`Entity.execute_once`)."""


class Tagged(Generic[E_co]):
    """An event with tags and metadata; given to `Entity.persist`, or returned by a command, instead of the event.

    `evolve` gets the event alone.

    Attributes:
        event: the event.
        tags: a set of texts.
        metadata: plain data under text keys; empty for none.
    """

    __slots__ = ("event", "metadata", "tags")

    def __init__(self, event: E_co, *, tags: Iterable[str] = (), metadata: Mapping[str, Any] | None = None) -> None:
        if isinstance(event, Tagged):
            raise UsageError("an event is tagged once: give all its tags to one Tagged")
        self.event: E_co = event
        self.tags: frozenset[str] = _tags(tags)
        self.metadata: Mapping[str, Any] = _metadata(metadata)

    def __repr__(self) -> str:
        return f"Tagged({self.event!r}, tags={sorted(self.tags)}, metadata={dict(self.metadata)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tagged):
            return NotImplemented
        return (self.event, self.tags, self.metadata) == (other.event, other.tags, other.metadata)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # metadata is a mapping


@attrs.frozen
class Label:
    """The tags and the metadata of one event; None stands for no metadata."""

    tags: frozenset[str] = frozenset()
    metadata: dict[str, Any] | None = None


_NONE: Final = Label()
_current: ContextVar[Label] = ContextVar("kafka_persist_event_context", default=_NONE)


@contextmanager
def event_context(
    *,
    tags: Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> Iterator[None]:
    """Put tags and metadata on every event that this task stores inside the block.

    Tasks that are started inside the block have them, too. Blocks inside each other add up; where both give the same
    key of the metadata, the inner one wins. What a `Tagged` or the `EntityType` gives wins over the block.

    Args:
        tags: put on each event.
        metadata: plain data under text keys, put on each event.
        correlation_id: stands in the metadata under ``"correlation-id"``.
        causation_id: stands in the metadata under ``"causation-id"``.

    Raises:
        UsageError: the tags or the metadata cannot be what they should.
    """
    outer = _current.get()
    ids = {CORRELATION_ID: correlation_id, CAUSATION_ID: causation_id}
    inner = {**_metadata(metadata), **{key: value for key, value in ids.items() if value is not None}}
    token = _current.set(Label(outer.tags | _tags(tags), {**(outer.metadata or {}), **inner} or None))
    try:
        yield
    finally:
        _current.reset(token)


class _StoredEvent(Protocol):
    @property
    def persistence_id(self) -> str: ...
    @property
    def sequence_nr(self) -> int: ...
    @property
    def metadata(self) -> Any: ...


@contextmanager
def caused_by(event: _StoredEvent) -> Iterator[None]:
    """Say that what is stored inside the block was caused by `event`: an `event_context` with both ids.

    The causation id is the event's own name, ``"<persistence id>#<sequence number>"``; the correlation id is the
    event's, or that name if it has none.

    Args:
        event: a `ReceivedEvent` (of `open_events` or a projection) or a `PersistentRepr` (of a replay or a view).
    """
    name = f"{event.persistence_id}#{event.sequence_nr}"
    found = event.metadata.get(CORRELATION_ID) if isinstance(event.metadata, Mapping) else None
    with event_context(correlation_id=found or name, causation_id=name):
        yield


@attrs.frozen
class Labeller:
    """What an `EntityType` puts on its events.

    Attributes:
        tagger: the tags of an event.
        metadata: the metadata of an event.
    """

    tagger: Callable[[Any], Iterable[str]] | None = None
    metadata: Callable[[Any], Mapping[str, Any]] | None = None

    def label(self, events: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Label, ...]]:
        """Return the bare events and what goes with each of them.

        Raises:
            UsageError: tags or metadata that are not what they should be.
            Exception: whatever `tagger` or `metadata` raises.
        """
        context = _current.get()
        if context is _NONE and self.tagger is None and self.metadata is None and not any(map(_is_tagged, events)):
            return tuple(events), (_NONE,) * len(events)
        bare = tuple(event.event if isinstance(event, Tagged) else event for event in events)
        return bare, tuple(self._of(given, event, context) for given, event in zip(events, bare, strict=True))

    def _of(self, given: Any, event: Any, context: Label) -> Label:
        tags = context.tags
        metadata = dict(context.metadata or {})
        if self.tagger is not None:
            tags |= _tags(self.tagger(event))
        if self.metadata is not None:
            metadata.update(_metadata(self.metadata(event)))
        if isinstance(given, Tagged):
            tags |= given.tags
            metadata.update(given.metadata)
        return Label(tags, metadata or None)


def _is_tagged(event: object) -> bool:
    return isinstance(event, Tagged)


def _tags(tags: Iterable[str]) -> frozenset[str]:
    if isinstance(tags, str):
        raise UsageError(f"tags must be a collection of texts, not the text {printable(tags)}")
    found = frozenset(tags)
    if any(type(tag) is not str for tag in found):
        raise UsageError(f"every tag must be a text, not {printable(repr(set(found)), 200)}")
    return found


def _metadata(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if metadata is None:
        return {}
    if not isinstance(cast("object", metadata), Mapping) or any(type(key) is not str for key in metadata):
        raise UsageError(
            f"metadata must be a mapping with text keys, not {printable(repr(metadata), 200)}; put a single value under a key"
        )
    if IDEMPOTENCY in metadata:
        raise UsageError(f"the metadata key {IDEMPOTENCY!r} is written by execute_once; choose another one")
    return dict(metadata)
