"""An entity: a state that is made of stored events, and the only one who may write them."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, TypeVarTuple

import trio

from ._entities.fold import Fold
from ._entities.recovery import Recovered, Recovery
from ._entities.services import Services
from ._entities.snapshots import Snapshots
from .errors import (
    BrokerError,
    EventRejected,
    EvolveFailed,
    PersistenceError,
    SequenceNrConflict,
    StoreClosed,
    StoredDataError,
    UsageError,
    WriteOutcomeUnknown,
    WriterFenced,
    printable,
)
from .model import MAX_SEQUENCE_NR, AtomicWrite, PersistentRepr, Rejection, SnapshotMetadata

S = TypeVar("S")
E = TypeVar("E")
Args = TypeVarTuple("Args")


class Entity(Generic[S, E]):
    """An open entity; made by `Persistence.entity`.

    The state changes only when events are durable. Tasks may share an entity: their calls take effect one after the
    other, in the order in which they were made.

    An entity *stops* when the fate of a write is not certain, or another writer has taken the id over: every later
    call raises the same kind of error. Leave its block and open it again, which decides what was stored.
    """

    __slots__ = (
        "_closed",
        "_failure",
        "_fold",
        "_lock",
        "_orphans",
        "_sequence_nr",
        "_services",
        "_snapshots",
        "_writer",
    )

    def __init__(
        self, services: Services, fold: Fold[S], writer: uuid.UUID, recovered: Recovered, snapshot_every: int | None
    ) -> None:
        self._services = services
        self._fold = fold
        self._writer = writer
        self._sequence_nr = recovered.highest
        self._orphans = recovered.orphans
        self._snapshots = Snapshots(
            services, fold.persistence_id, every=snapshot_every, metadata=None, saved_nr=recovered.snapshot_nr
        )
        self._lock = trio.Lock()
        self._failure: BaseException | None = None
        self._closed = False

    def __repr__(self) -> str:
        life = "closed" if self._closed else "open" if self._failure is None else "stopped"
        return f"<Entity {printable(self.persistence_id, 40)} {life} at {self.sequence_nr}: {self.state!r:.200}>"

    @property
    def persistence_id(self) -> str:
        """Whose events these are."""
        return self._fold.persistence_id

    @property
    def state(self) -> S:
        """The state after the last stored event. Treat it as read-only: `evolve` makes new ones."""
        return self._fold.state

    @property
    def sequence_nr(self) -> int:
        """The last used sequence number, those of rejected events included; 0 before the first event."""
        return self._sequence_nr

    @property
    def snapshot_sequence_nr(self) -> int | None:
        """Number of the newest snapshot that this entity loaded or saved; None for none."""
        return self._snapshots.saved_nr

    @property
    def last_snapshot_error(self) -> Exception | None:
        """Why the last automatic snapshot was not saved; None if it was."""
        return self._snapshots.last_error

    # --- writing -------------------------------------------------------------------------------------------------

    async def persist(self, *events: E) -> None:
        """Store events in one atomic write; return when they are durable and the state has changed.

        No events: nothing happens.

        Raises:
            EventRejected: certainly not stored (too large, not serializable); the entity goes on.
            EvolveFailed: `evolve` refuses an event; nothing was stored, the entity goes on.
            BrokerError: certainly not stored; the entity goes on, and the same call may succeed later.
            WriterFenced: another writer has taken the id over; certainly not stored. The entity stops.
            WriteOutcomeUnknown: may or may not be stored. The entity stops; opening it again decides.
            StoredDataError: the id's log is damaged. The entity stops.
            StoreClosed: the entity's block has ended.

        Cancellation: before the write is handed over it means "not stored, state unchanged". After that the call
        waits, shielded, for the journal's answer (bounded by the delivery timeout) and returns it.
        """
        self._check_usable()
        async with self._lock:
            await self._store(events)

    async def execute(self, decide: Callable[[S, *Args], Iterable[E]], *args: *Args) -> tuple[E, ...]:
        """Run a command: ``decide(state, *args)`` returns events (or none), which are then stored as by `persist`.

        No other command and no `persist` comes between the look at the state and the change of it.

        Args:
            decide: a function, not a coroutine. It refuses a command by raising: nothing is stored, and its exception
                is raised here as it is.
            args: for `decide`.

        Returns:
            The events.

        Raises:
            UsageError: `decide` returned something else than a collection of events.
            PersistenceError: see `persist`.

        Cancellation: as for `persist`.
        """
        self._check_usable()
        async with self._lock:
            self._check_usable()
            events = _as_events(decide, decide(self.state, *args))
            await self._store(events)
        return events

    async def _store(self, events: Sequence[E]) -> None:
        """Write and evolve; call it under the lock.

        `evolve` runs before the write: an event that it refuses must not get into the journal, where it would make
        every later recovery fail.
        """
        self._check_usable()
        if not events:
            await trio.lowlevel.checkpoint()
            return
        state = self._evolved(events)
        write = AtomicWrite(tuple(map(self._number, range(self._sequence_nr + 1, MAX_SEQUENCE_NR), events)))
        await self._delete_orphans()
        rejection = await self._write(write)
        self._sequence_nr = write.last_sequence_nr
        if rejection is not None:
            reason = f"{rejection.reason}{_advice(events)}"
            raise EventRejected(f"{printable(self.persistence_id)}: {reason}", rejection)
        self._fold.state, self._fold.sequence_nr = state, write.last_sequence_nr
        if self._snapshots.is_due(write.last_sequence_nr):
            self._snapshots.start(self._describe_snapshot(), state)

    def _evolved(self, events: Sequence[E]) -> S:
        try:
            return self._fold.evolved(events, self._sequence_nr + 1)
        except EvolveFailed as error:
            if advice := _advice(events):
                raise EvolveFailed(f"{error}{advice}") from error.__cause__
            raise

    def _number(self, sequence_nr: int, event: E) -> PersistentRepr:
        return PersistentRepr(
            persistence_id=self.persistence_id, sequence_nr=sequence_nr, payload=event, writer=self._writer
        )

    async def _write(self, write: AtomicWrite) -> Rejection | None:
        try:
            (rejection,) = await self._services.journal.write([write])
        except (trio.Cancelled, BrokerError, StoreClosed):
            raise  # certainly not stored
        except BaseException as error:
            self._failure = error
            if isinstance(error, PersistenceError) or not isinstance(error, Exception):
                raise
            raise self._stopped() from error
        return rejection

    async def _delete_orphans(self) -> None:  # noqa: ASYNC910 - called where there are some
        """Remove snapshots of events that the journal lost, before their numbers are used again."""
        for orphan in self._orphans:
            await self._services.snapshot_store.delete(orphan)
        self._orphans = ()

    # --- snapshots and deletion ----------------------------------------------------------------------------------

    async def save_snapshot(self) -> SnapshotMetadata:
        """Save a snapshot of the state now, beside the automatic ones; return its metadata.

        Raises:
            SerializationError: the state cannot be encoded; register its type.
            WriteOutcomeUnknown: it may or may not be stored; saving again is safe, the entity goes on.
            BrokerError: not stored.

        Cancellation: all or nothing.
        """
        self._check_usable()
        async with self._lock:
            self._check_usable()
            metadata, state = self._describe_snapshot(), self.state
        return await self._snapshots.save(metadata, state)

    def _describe_snapshot(self) -> SnapshotMetadata:
        """The metadata of a snapshot of now; its number is that of the last event *in the state*."""
        return self._snapshots.describe(self._fold.sequence_nr, self._services.journal.bookmark(self.persistence_id))

    async def delete_events_to(self, sequence_nr: int) -> None:
        """Delete the events up to and including `sequence_nr`, for ever. What no snapshot covers is refused.

        Args:
            sequence_nr: at most `snapshot_sequence_nr`. Keep some events behind it, for the case that an older
                snapshot has to be loaded.

        Raises:
            UsageError: the number is above the newest snapshot's; nothing was deleted. Save a snapshot first.
            UnsupportedOperation: the journal cannot delete.
            WriteOutcomeUnknown: may or may not be deleted; calling again is safe, the entity goes on.
        """
        self._check_usable()
        covered = self.snapshot_sequence_nr or 0
        if sequence_nr > covered:
            raise UsageError(
                f"{printable(self.persistence_id)}: events up to {sequence_nr} cannot be deleted, the newest snapshot "
                f"covers only those up to {covered}; call save_snapshot() first"
            )
        await self._services.journal.delete_to(self.persistence_id, sequence_nr)

    # --- life ----------------------------------------------------------------------------------------------------

    async def wait_snapshot_saved(self) -> None:
        """Wait until no automatic snapshot is being saved."""
        await self._snapshots.wait_saved()

    def close(self) -> None:
        """Refuse every later call; idempotent. Leaving the entity's block calls this."""
        self._closed = True

    def _check_usable(self) -> None:
        self._services.check_open()
        if self._closed:
            raise StoreClosed(
                f"the entity {printable(self.persistence_id)} is closed; use it inside its `async with` block"
            )
        if self._failure is not None:
            raise self._stopped() from self._failure

    def _stopped(self) -> PersistenceError:
        """The error of every call after the one that stopped the entity; it says one thing to do, as the first did."""
        failure = self._failure
        told = f"the entity {printable(self.persistence_id)} stopped: {failure}"
        stopped: PersistenceError
        if isinstance(failure, StoredDataError):
            stopped = type(failure)(f"{told}. It cannot be opened again before what is stored is mended")
        elif isinstance(failure, WriterFenced):
            stopped = WriterFenced(f"{told}. Leave its `async with` block; only to take the id back, open it again")
        elif isinstance(failure, SequenceNrConflict):
            stopped = SequenceNrConflict(f"{told}. Leave its `async with` block and open it again")
        else:
            stopped = WriteOutcomeUnknown(
                f"{told}. Leave its `async with` block and open it again, which decides what is stored"
            )
        if isinstance(failure, PersistenceError):
            stopped.about(failure.persistence_id, failure.topic, failure.offset)
        return stopped.about(self.persistence_id)


def _advice(events: Sequence[object]) -> str:
    """What to say behind the refusal of a single event that looks like several; a list of plain data may be an event."""
    if len(events) == 1 and isinstance(events[0], list | tuple | set | frozenset | Iterator):
        return f". If this {type(events[0]).__name__} holds several events, pass them one by one: persist(*events)"
    return ""


def _as_events(decide: object, decided: Any) -> tuple[Any, ...]:
    if not isinstance(decided, Iterable) or isinstance(decided, str | bytes | Mapping):
        if inspect.iscoroutine(decided):
            decided.close()  # else Python warns that nobody awaited it
        raise UsageError(
            f"{getattr(decide, '__qualname__', decide)} returned a {type(decided).__name__}; a command returns a list "
            "(or another collection) of events, an empty one for none. Nothing was stored"
        )
    return tuple(decided)


async def recover_entity(services: Services, fold: Fold[S], *, snapshot_every: int | None) -> Entity[S, Any]:
    """Load the snapshot, claim the id, replay; see `_entities.recovery`."""
    writer = uuid.uuid4()
    recovery = Recovery(
        services=services,
        fold=fold,
        snapshot_id=fold.persistence_id,
        view_of=None,
        begin=lambda: services.journal.claim(fold.persistence_id, writer),
    )
    return Entity(services, fold, writer, await recovery.run(), snapshot_every)
