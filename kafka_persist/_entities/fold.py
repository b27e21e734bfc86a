"""Events become state: the only place where `evolve` is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import attrs

from ..abc import Journal
from ..errors import EventsDeleted, EvolveFailed, printable

S = TypeVar("S")


@attrs.define(eq=False)
class Fold(Generic[S]):
    """A state, and the number of the last event in it.

    Attributes:
        persistence_id: whose events.
        evolve: makes the next state of a state and an event.
        state: as of `sequence_nr`.
        sequence_nr: 0 before any event.
        skip_deleted: go on where events that are still needed were deleted.
    """

    persistence_id: str
    evolve: Callable[[S, Any], S]
    state: S
    sequence_nr: int = 0
    skip_deleted: bool = False

    def evolved(self, events: Iterable[object], first_nr: int) -> S:
        """Return the state after `events`, the first of them with number `first_nr`, without changing anything here.

        Raises:
            EvolveFailed: with the number of the event.
        """
        state = self.state
        for sequence_nr, event in enumerate(events, start=first_nr):
            state = self._next(state, sequence_nr, event)
        return state

    async def read(self, journal: Journal, highest: int) -> int:
        """Take the events up to number `highest` in; return how many there were.

        Raises:
            EventsDeleted: events behind `sequence_nr` are gone (unless `skip_deleted`).
            EvolveFailed: with the number of the event; the state is that before it.
            StoredDataError, BrokerError: see `Journal.replay`.

        Cancellation: keeps what was taken in; the next call goes on there.
        """
        taken = 0
        async with journal.replay(
            self.persistence_id, from_sequence_nr=self.sequence_nr + 1, to_sequence_nr=highest
        ) as events:
            async for event in events:
                self._check_not_deleted(journal, event.sequence_nr)
                self.state = self._next(self.state, event.sequence_nr, event.payload)
                self.sequence_nr = event.sequence_nr
                taken += 1
            self._check_not_deleted(journal, highest + 1)
        self.sequence_nr = highest
        return taken

    def _next(self, state: S, sequence_nr: int, event: object) -> S:
        try:
            return self.evolve(state, event)
        except Exception as error:
            raise EvolveFailed(
                f"{printable(self.persistence_id)}: evolve raised {error!r} for event {sequence_nr}, "
                f"a {type(event).__name__}"
            ) from error

    def _check_not_deleted(self, journal: Journal, next_nr: int) -> None:
        """Look at the hole below `next_nr`, if there is one: rejected writes leave holes, deletions too."""
        expected = self.sequence_nr + 1
        if next_nr <= expected or self.skip_deleted:
            return
        floor = journal.deleted_to(self.persistence_id)
        if floor is not None and floor >= expected:
            raise EventsDeleted(
                f"{printable(self.persistence_id)}: events {expected} to {min(floor, next_nr - 1)} were deleted, and "
                f"the state is only that of event {self.sequence_nr}. Restore a snapshot, or open with "
                "skip_deleted=True if the state may begin with what is left"
            )
