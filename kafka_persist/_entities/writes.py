"""From events to the atomic write that stores them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

from ..abc import Capability, Journal
from ..command import Decision
from ..errors import EvolveFailed, UnsupportedOperation
from ..model import AtomicWrite, PersistentRepr
from ..tagging import IDEMPOTENCY, Label
from .fold import Fold
from .keys import mark
from .retention import Retention
from .services import Services

S = TypeVar("S")


def evolved(fold: Fold[S], retention: Retention, events: Sequence[Any], first_nr: int) -> tuple[S, bool]:
    """The state after the events, and whether the retention's predicate asks for a snapshot there.

    Raises:
        EvolveFailed: with the number of the event.
    """
    try:
        return fold.evolved(events, first_nr), retention.wants(fold, events, first_nr)
    except EvolveFailed as error:
        if advice := advice_on(events):
            raise EvolveFailed(f"{error}{advice}") from error.__cause__
        raise


def atomic_write(
    persistence_id: str, first_nr: int, writer: UUID, events: Sequence[Any], labels: Sequence[Label]
) -> AtomicWrite:
    """Number events from `first_nr` on."""
    labelled = enumerate(zip(events, labels, strict=True), start=first_nr)
    return AtomicWrite(
        PersistentRepr(
            persistence_id=persistence_id,
            sequence_nr=number,
            payload=event,
            writer=writer,
            tags=label.tags,
            metadata=label.metadata,
        )
        for number, (event, label) in labelled
    )


def with_key(labels: Sequence[Label], key: str, decision: Decision) -> tuple[Label, ...]:
    """Put a command's idempotency key, and its reply, on its first event."""
    first, *others = labels
    reply = [decision.reply] if decision.replied else None
    metadata = {**(first.metadata or {}), IDEMPOTENCY: mark(key, len(labels), reply)}
    return Label(first.tags, metadata), *others


def with_trace(labels: tuple[Label, ...], services: Services) -> tuple[Label, ...]:
    """Put the current span's context on events, where the program traces and the journal keeps metadata."""
    if services.tracing is None or Capability.METADATA not in services.journal.capabilities:
        return labels
    context = services.tracing.current()
    return tuple(Label(label.tags, {**(label.metadata or {}), **context} or None) for label in labels)


def check_labels(journal: Journal, labels: Sequence[Label]) -> None:
    """Refuse what the journal would leave out.

    Raises:
        UnsupportedOperation: it stores no tags, or no metadata, and there are some.
    """
    needs = {
        Capability.TAGS: any(label.tags for label in labels),
        Capability.METADATA: any(label.metadata for label in labels),
    }
    for needed, used in needs.items():
        if used and needed not in journal.capabilities:
            raise UnsupportedOperation(f"{type(journal).__name__} does not declare {needed}; nothing was stored")


def advice_on(events: Sequence[object]) -> str:
    """What to say behind the refusal of a single event that looks like several; a list of plain data may be an event."""
    if len(events) == 1 and isinstance(events[0], list | tuple | set | frozenset | Iterator):
        return f". If this {type(events[0]).__name__} holds several events, pass them one by one: persist(*events)"
    return ""
