"""What a projection does with an event that cannot be applied, or a record that cannot be read."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import attrs

from ..errors import PersistenceError, ProjectionFailed, UsageError, printable
from ..naming import is_legal_topic_name
from .stream import ReceivedEvent

Then: TypeAlias = Literal["stop", "skip", "dead-letter"]

_THEN: Final = ("stop", "skip", "dead-letter")


def _seconds(_policy: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < math.inf:
        raise UsageError(f"{attribute.name} must be a positive number of seconds, not {value!r}")


@attrs.frozen(kw_only=True)
class ErrorPolicy:
    """What a projection does when the store, or the program's function, raises for an event.

    Attributes:
        attempts: how often the event is tried in all; None tries it again forever. Records that cannot be read are not
            tried again: they stay as they are.
        first_pause: seconds before the second attempt; doubled for each further one, and shortened by up to a half at random.
        longest_pause: seconds that no pause exceeds.
        then: what happens after the last attempt. "stop" raises. "skip" logs the error, counts it in `Projection.skipped` and
            goes on after the event. "dead-letter" does the same, after it has copied the record to `dead_letter_topic`, with
            where and why in headers; a crash between the two copies it once more. What the store itself raises, and not
            the program's function for an event, is never skipped: then the projection stops.
        dead_letter_topic: for "dead-letter".

    Raises:
        UsageError: something of this cannot work; the message names it.
    """

    attempts: int | None = 1
    first_pause: float = attrs.field(default=0.1, validator=_seconds)
    longest_pause: float = attrs.field(default=30.0, validator=_seconds)
    then: Then = "stop"
    dead_letter_topic: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.attempts is not None and (type(self.attempts) is not int or self.attempts < 1):
            raise UsageError(f"attempts must be a whole number from 1 on, or None; not {self.attempts!r}")
        if self.then not in _THEN:
            raise UsageError(f"then must be one of {', '.join(_THEN)}, not {self.then!r}")
        if (self.then == "dead-letter") != (self.dead_letter_topic is not None):
            raise UsageError('dead_letter_topic belongs to then="dead-letter"; give both or none')
        if self.dead_letter_topic is not None and not is_legal_topic_name(self.dead_letter_topic):
            raise UsageError(f"dead_letter_topic must be the name of a topic, not {self.dead_letter_topic!r}")

    @property
    def stops_at_once(self) -> bool:
        """Whether the first failure ends it."""
        return self.attempts == 1 and self.then == "stop"

    def tries_again(self, failures: int) -> bool:
        """Whether there is another attempt after so many failures."""
        return self.attempts is None or failures < self.attempts

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** min(failures - 1, 60))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, keeps no secret


def failure_of(events: Sequence[ReceivedEvent], error: Exception) -> PersistenceError | None:
    """What a store's error means for a batch; None if it is not about the events, and no policy helps."""
    if isinstance(error, ProjectionFailed):
        return error
    if isinstance(error, PersistenceError):
        return error if error.retriable else None
    if len(events) == 1:
        return apply_failed(events[0], error)
    return ProjectionFailed(
        f"the store failed for a batch of {len(events)} events, the first one {_place(events[0])}: "
        f"{type(error).__name__}: {printable(str(error), 200)}. Nothing of the batch was applied"
    )


def apply_failed(event: ReceivedEvent, error: Exception) -> ProjectionFailed:
    """The error for an event that could not be applied; raise it ``from error``."""
    failed = ProjectionFailed(
        f"{_place(event)} could not be applied: {type(error).__name__}: {printable(str(error), 200)}. Nothing of its batch "
        "was applied"
    )
    failed.partition, failed.sequence_nr = event.partition, event.sequence_nr
    return failed.about(event.persistence_id, event.topic, event.offset)


def _place(event: ReceivedEvent) -> str:
    number = f"event {event.sequence_nr} of {printable(event.persistence_id)}"
    return f"{number} ({event.topic}[{event.partition}]@{event.offset})"
