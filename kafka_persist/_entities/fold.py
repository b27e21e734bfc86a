"""Events become state: the only place where `evolve` is called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Generic, TypeVar

import attrs

from ..abc import Journal
from ..errors import EventsDeleted, EvolveFailed, printable
from ..model import PersistentRepr, SelectedSnapshot
from .keys import RecentKeys, notes_of

S = TypeVar("S")

KEYS: Final = "keys"
"""Key in the metadata of an entity's snapshots: the idempotency keys that it remembers."""


@attrs.define(eq=False)
class Fold(Generic[S]):
    """A state, and the number of the last event in it.

    Attributes:
        persistence_id: whose events.
        evolve: makes the next state of a state and an event.
        state: as of `sequence_nr`.
        sequence_nr: 0 before any event.
        skip_deleted: go on where events that are still needed were deleted.
        allow_none_state: take a None that `evolve` returns after a state; otherwise it is a forgotten ``return``.
        envelopes: give `evolve` the whole `PersistentRepr` instead of its payload.
        upcast: makes today's events of a stored one; None leaves it as it is.
        keys: the idempotency keys in the events; they follow the state.
    """

    persistence_id: str
    evolve: Callable[[S, Any], S]
    state: S
    sequence_nr: int = 0
    skip_deleted: bool = False
    allow_none_state: bool = False
    envelopes: bool = False
    upcast: Callable[[Any], Iterable[Any]] | None = None
    keys: RecentKeys = attrs.field(factory=lambda: RecentKeys(0))

    def restart(self, initial: S) -> None:
        """Forget everything but the initial state."""
        self.state, self.sequence_nr = initial, 0
        self.keys.clear()

    def load(self, snapshot: SelectedSnapshot) -> None:
        """Take a snapshot's state over, with what belongs to it."""
        self.state, self.sequence_nr = snapshot.snapshot, snapshot.metadata.sequence_nr
        if self.keys.limit:
            self.keys.restore(notes_of(snapshot.metadata.metadata).get(KEYS))

    def evolved(self, events: Iterable[object], first_nr: int) -> S:
        """Return the state after `events`, the first of them with number `first_nr`, without changing anything here.

        Raises:
            EvolveFailed: with the number of the event.
        """
        state = self.state
        for sequence_nr, event in enumerate(events, start=first_nr):
            state = self.next_state(state, sequence_nr, event)
        return state

    async def read(
        self, journal: Journal, highest: int, newer_snapshot: Callable[[], Awaitable[SelectedSnapshot | None]]
    ) -> int:
        """Take the events up to number `highest` in; return how many there were.

        Somebody else may save a snapshot and delete the events below it while this runs. So where events are missing,
        a snapshot that covers them is looked for first, and only then they count as lost.

        Args:
            journal: where the events are.
            highest: the last number.
            newer_snapshot: loads the newest snapshot up to `highest`, as of now.

        Raises:
            EventsDeleted: events behind `sequence_nr` are gone (unless `skip_deleted`), and no snapshot covers them.
            EvolveFailed: with the number of the event; the state is that before it.
            StoredDataError, BrokerError: see `Journal.replay`.

        Cancellation: keeps what was taken in; the next call goes on there.
        """
        taken = 0
        while self.sequence_nr < highest:
            count, deleted_to = await self._read_to_gap(journal, highest)
            taken += count
            if deleted_to is not None:
                await self._bridge(deleted_to, newer_snapshot)
        return taken

    async def _read_to_gap(self, journal: Journal, highest: int) -> tuple[int, int | None]:
        """Read until events are missing; how many came, and the last number of the gap (None: nothing is missing)."""
        taken = 0
        async with journal.replay(
            self.persistence_id, from_sequence_nr=self.sequence_nr + 1, to_sequence_nr=highest
        ) as events:
            async for event in events:
                if (gap := self._deleted_before(journal, event.sequence_nr)) is not None:
                    return taken, gap
                self._take(event)
                taken += 1
            if (gap := self._deleted_before(journal, highest + 1)) is not None:
                return taken, gap
        self.sequence_nr = highest
        return taken, None

    async def _bridge(self, deleted_to: int, newer_snapshot: Callable[[], Awaitable[SelectedSnapshot | None]]) -> None:
        """Get over events that are gone: with a snapshot, or by leaving them out; each time the number grows."""
        # Not earlier: who deletes has saved before, so a snapshot that covers this deletion is there by now.
        snapshot = await newer_snapshot()
        if snapshot is not None and snapshot.metadata.sequence_nr > self.sequence_nr:
            self.load(snapshot)
        elif self.skip_deleted:
            self.sequence_nr = deleted_to
        else:
            raise EventsDeleted(
                f"{printable(self.persistence_id)}: events {self.sequence_nr + 1} to {deleted_to} were deleted, and "
                f"the state is only that of event {self.sequence_nr}. Restore a snapshot, or open with "
                "skip_deleted=True if the state may begin with what is left"
            )

    def _take(self, event: PersistentRepr) -> None:
        state = self.state
        for each in (event,) if self.envelopes else self.events_of(event.payload, event.sequence_nr):
            state = self.next_state(state, event.sequence_nr, each)
        self.state, self.sequence_nr = state, event.sequence_nr
        if event.metadata is not None:
            self.keys.note(event.sequence_nr, event.metadata)

    def events_of(self, stored: Any, sequence_nr: int) -> tuple[Any, ...]:
        """Return what a stored event means today: itself, or what `upcast` makes of it.

        Raises:
            EvolveFailed: `upcast` raised; with the number of the event.
        """
        if self.upcast is None:
            return (stored,)
        try:
            return tuple(self.upcast(stored))
        except Exception as error:
            raise EvolveFailed(
                f"{printable(self.persistence_id)}: upcast raised {error!r} for event {sequence_nr}, a {_kind(stored)}"
            ) from error

    def next_state(self, state: S, sequence_nr: int, event: object) -> S:
        """Return the state after one event, without changing anything here.

        Raises:
            EvolveFailed: with the number of the event.
        """
        try:
            found = self.evolve(state, event)
        except Exception as error:
            raise EvolveFailed(
                f"{printable(self.persistence_id)}: evolve raised {error!r} for event {sequence_nr}, a {_kind(event)}"
            ) from error
        if found is None and state is not None and not self.allow_none_state:
            raise EvolveFailed(
                f"{printable(self.persistence_id)}: evolve returned None for event {sequence_nr}, a "
                f"{_kind(event)}: does it lack a case, or a return? Where None is a state of yours, open with "
                "allow_none_state=True"
            )
        return found

    def _deleted_before(self, journal: Journal, next_nr: int) -> int | None:
        """Look at the hole below `next_nr`, if there is one: rejected writes leave holes, deletions too."""
        expected = self.sequence_nr + 1
        if next_nr <= expected:
            return None
        floor = journal.deleted_to(self.persistence_id)
        return None if floor is None or floor < expected else min(floor, next_nr - 1)


def _kind(event: object) -> str:
    return type(event.payload if isinstance(event, PersistentRepr) else event).__name__
