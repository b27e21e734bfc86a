"""What a program's tracing system is told; `kafka_persist.otel` is the adapter for OpenTelemetry.

Without a `Tracing` nothing is recorded, and events carry nothing of it. With one, there is a span for each command, recovery, write,
snapshot, publication and batch of a projection; ``docs/tracing.md`` lists them with their attributes. The context of the span that wrote an
event goes with it, in its metadata, and what is done with the event later links to it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol, TypeAlias

__all__ = ["TRACE_KEYS", "Tracing"]

TRACE_KEYS: Final = ("traceparent", "tracestate")
"""Keys in an event's metadata: the context of the span that wrote it, as W3C's headers have it."""

Attributes: TypeAlias = Mapping[str, str | int]

_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class _HasMetadata(Protocol):
    @property
    def metadata(self) -> Any: ...


class Tracing(abc.ABC):
    """A tracing system. Its methods are called on Trio's thread, and must neither raise nor wait."""

    @abc.abstractmethod
    def span(self, name: str, attributes: Attributes, *, events: Iterable[Any] = ()) -> AbstractContextManager[None]:
        """Return a span around a block, the current one inside; an exception that leaves the block is recorded.

        Args:
            name: what is done.
            attributes: what it is done with.
            events: the metadata of events that led to it; the span links to those that wrote them.
        """

    @abc.abstractmethod
    def begin(self, name: str, attributes: Attributes, *, events: Iterable[Any]) -> Callable[[str], None]:
        """Begin a span without a parent, for what a callback ends.

        Returns:
            What ends it; called with the reason of a failure, or "".
        """

    @abc.abstractmethod
    def current(self) -> Mapping[str, str]:
        """Return the current span's context under `TRACE_KEYS`, to be stored with an event; empty for none."""

    def handling(self, event: _HasMetadata) -> AbstractContextManager[None]:
        """Return a span around what a program does with an event, linked to the span that wrote it.

        Args:
            event: a `ReceivedEvent` or a `PersistentRepr`.
        """
        return self.span("kafka_persist.handle", {}, events=[event.metadata])


def span_of(
    tracing: Tracing | None, name: str, links: Iterable[Any] = (), /, **attributes: str | int
) -> AbstractContextManager[None]:
    """A span, or nothing; `links` are the metadata of events that led to it."""
    if tracing is None:
        return _NOTHING
    named = {f"kafka_persist.{key}": value for key, value in attributes.items()}
    return tracing.span(f"kafka_persist.{name}", named, events=links)
