"""What the entities of the services are: a number and a digest, folded from events that say where they belong.

A digest is made of the digest before it and the event's own token, so two states with one digest had the same events in the same
order. An event also says which state its writer extended: whoever folds it upon another one notices at once.
"""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from kafka_persist import Serializer


@attrs.frozen
class Put:
    """An event.

    Attributes:
        token: there is no other event with it.
        number: its sequence number, as its writer saw it.
        before: the digest of the state that its writer extended.
    """

    token: str
    number: int
    before: str

    @property
    def after(self) -> str:
        """The digest of the state behind this event: what a history keeps of it."""
        return hashlib.blake2b(f"{self.before} {self.number} {self.token}".encode(), digest_size=8).hexdigest()


@attrs.frozen
class Tally:
    """A state.

    Attributes:
        number: of the last event.
        digest: of all events.
        wrong: the first event that did not belong where it came; "" if all did.
    """

    number: int = 0
    digest: str = ""
    wrong: str = ""

    @property
    def mark(self) -> str:
        """What a history keeps of it; nothing that was ever submitted, if an event did not belong."""
        return f"{self.digest} {self.wrong}".strip()


EMPTY: Final = Tally()


def evolve(tally: Tally, event: Put) -> Tally:
    """The next state."""
    wrong = tally.wrong
    if (event.number, event.before) != (tally.number + 1, tally.digest):
        wrong = (
            wrong or f"event {event.number} extends {event.before or 'nothing'}; came to {tally.number} {tally.digest}"
        )
    return Tally(event.number, event.after, wrong)


def serializer() -> Serializer:
    """A registry of these types."""
    registry = Serializer()
    registry.register(Put)
    registry.register(Tally)
    return registry


def next_events(tally: Tally, tokens: list[str]) -> list[Put]:
    """Events with these tokens that extend a state."""
    events: list[Put] = []
    for token in tokens:
        events.append(Put(token, tally.number + 1, tally.digest))
        tally = evolve(tally, events[-1])
    return events
