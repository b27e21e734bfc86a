"""An entity: a state that is made of stored events, and the only one who may write them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import trio

from ._entities.fold import KEYS, Fold
from ._entities.keys import check_key
from ._entities.recovery import Recovered, Recovery
from ._entities.repeating import read_back
from ._entities.retention import Retention
from ._entities.services import Services
from ._entities.snapshots import OnSnapshot, Snapshots
from ._entities.stopping import NotRun, stopped
from ._entities.writes import advice_on, atomic_write, check_labels, evolved, with_key, with_trace
from .command import Decision, Reply, decide_on
from .errors import BrokerError, EventRejected, PersistenceError, StoreClosed, UsageError, printable
from .model import AtomicWrite, Rejection, SnapshotMetadata
from .tagging import Labeller, Tagged

S = TypeVar("S")
E = TypeVar("E")
R = TypeVar("R")
P = ParamSpec("P")


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
        "_labeller",
        "_lock",
        "_orphans",
        "_sequence_nr",
        "_services",
        "_snapshots",
        "_writer",
    )

    def __init__(
        self,
        services: Services,
        fold: Fold[S],
        writer: uuid.UUID,
        recovered: Recovered,
        snapshots: Snapshots,
        labeller: Labeller,
    ) -> None:
        self._services = services
        self._fold = fold
        self._writer = writer
        self._sequence_nr = recovered.highest
        self._orphans = recovered.orphans
        self._snapshots = snapshots
        self._labeller = labeller
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

    async def persist(self, *events: E | Tagged[E]) -> None:
        """Store events in one atomic write; return when they are durable and the state has changed.

        No events: nothing happens. A `Tagged` event is stored with its tags and metadata.

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

    @overload
    async def execute(
        self, decide: Callable[Concatenate[S, P], Reply[R, E]], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @overload
    async def execute(
        self, decide: Callable[Concatenate[S, P], Iterable[E | Tagged[E]]], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[E, ...]: ...

    async def execute(self, decide: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a command: ``decide(state, *args, **kwargs)`` returns events, which are then stored as by `persist`.

        No other command and no `persist` comes between the look at the state and the change of it.

        Args:
            decide: a function, not a coroutine. It returns a collection of events (an empty one for none), or a `Reply`
                with a value and events. It refuses a command by raising: nothing is stored, and its exception is
                raised here as it is.
            args: for `decide`.
            kwargs: for `decide`.

        Returns:
            The events, without their tags; or the value of the `Reply`.

        Raises:
            UsageError: `decide` returned something else.
            PersistenceError: see `persist`.

        Cancellation: as for `persist`.
        """
        return await self._locked(None, decide, args, kwargs)

    @overload
    async def execute_once(
        self, key: str, decide: Callable[Concatenate[S, P], Reply[R, E]], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @overload
    async def execute_once(
        self, key: str, decide: Callable[Concatenate[S, P], Iterable[E | Tagged[E]]], *args: P.args, **kwargs: P.kwargs
    ) -> tuple[E, ...]: ...

    async def execute_once(self, key: str, decide: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a command unless one with this key has taken effect: safe to repeat after any failure, in any process.

        The key is stored with the command's first event. The newest ``remember_keys`` of them are remembered, in the
        entity's snapshots as well; an older one is not recognized any more. A command that stores no event leaves no
        key: repeated, it runs again.

        Args:
            key: names this one request of a client's: 1 to 200 characters.
            decide: as for `execute`. The value of its `Reply` must be plain data: it is stored with the event.
            args: for `decide`.
            kwargs: for `decide`.

        Returns:
            As `execute`; the same when it is repeated.

        Raises:
            AlreadyExecuted: it took effect, but its events, and with them its reply, were deleted since.
            UsageError: no legal key, or the entity remembers none (``remember_keys=0``).
            PersistenceError: see `persist`.

        Cancellation: as for `persist`.
        """
        return await self._locked(check_key(key), decide, args, kwargs)

    async def _locked(self, key: str | None, decide: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        self._check_usable()
        with self._services.span("execute", persistence_id=self.persistence_id):
            async with self._lock:
                self._check_usable()
                return await self._run(key, decide, args, kwargs)

    async def attempt(self, key: str | None, decide: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """What the registry calls instead of `execute`: it must know whether a command has run at all.

        Raises:
            NotRun: another command stopped the entity before this one had its turn; from its error.
        """
        async with self._lock:
            if self._failure is not None:
                raise NotRun from stopped(self.persistence_id, self._failure)
            self._check_usable()
            return await self._run(key, decide, args, kwargs)

    async def _run(self, key: str | None, decide: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a command; call it under the lock."""
        if key is not None and (done := self._fold.keys.find(key, self.persistence_id)) is not None:
            return await read_back(self._services.journal, self._fold, key, done)
        decision = decide_on(self.state, decide, args, kwargs)
        events = await self._store(decision.events, key, decision)
        return decision.reply if decision.replied else events

    async def _store(
        self, given: Sequence[E | Tagged[E]], key: str | None = None, decision: Decision | None = None
    ) -> tuple[E, ...]:
        """Write and evolve; call it under the lock. Returns the events without their tags.

        `evolve` runs before the write: an event that it refuses must not get into the journal, where it would make
        every later recovery fail.
        """
        self._check_usable()
        if not given:
            await trio.lowlevel.checkpoint()
            return ()
        about, first = self.persistence_id, self._sequence_nr + 1
        with self._services.span("persist", persistence_id=about, sequence_nr=first, events=len(given)):
            return await self._store_some(given, key, decision)

    async def _store_some(
        self, given: Sequence[E | Tagged[E]], key: str | None, decision: Decision | None
    ) -> tuple[E, ...]:
        events, labels = self._labeller.label(given)
        labels = with_trace(labels, self._services)
        if key is not None and decision is not None:
            labels = with_key(labels, key, decision)
        check_labels(self._services.journal, labels)
        state, wanted = evolved(self._fold, self._snapshots.retention, events, self._sequence_nr + 1)
        write = atomic_write(self.persistence_id, self._sequence_nr + 1, self._writer, events, labels)
        if self._orphans:  # of events that the journal lost: gone before their numbers are used again
            await self._services.delete_snapshots(self._orphans)
            self._orphans = ()
        rejection = await self._write(write)
        self._sequence_nr = write.last_sequence_nr
        if rejection is not None:
            reason = f"{rejection.reason}{advice_on(events)}"
            raise EventRejected(f"{printable(self.persistence_id)}: {reason}", rejection)
        self._fold.state, self._fold.sequence_nr = state, write.last_sequence_nr
        self._fold.keys.note(write.first_sequence_nr, labels[0].metadata)
        if self._snapshots.is_due(write.last_sequence_nr, wanted=wanted):
            self._snapshots.start(self._describe_snapshot(), state)
        return events

    async def _write(self, write: AtomicWrite) -> Rejection | None:
        try:
            (rejection,) = await self._services.journal.write([write])
        except (trio.Cancelled, BrokerError, StoreClosed):
            raise  # certainly not stored
        except BaseException as error:
            self._failure = error
            if isinstance(error, PersistenceError) or not isinstance(error, Exception):
                raise
            raise stopped(self.persistence_id, error) from error
        return rejection

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
        bookmark = self._services.journal.bookmark(self.persistence_id)
        return self._snapshots.describe(self._fold.sequence_nr, bookmark, **{KEYS: self._fold.keys.to_plain()})

    async def delete_events_to(self, sequence_nr: int) -> None:
        """Delete the events up to and including `sequence_nr`, forever. What no snapshot covers is refused.

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
            raise stopped(self.persistence_id, self._failure) from self._failure

    # --- for the registry ----------------------------------------------------------------------------------------

    async def look(self) -> tuple[S, int]:
        """Return the state, and the number of the last event in it.

        Raises:
            NotRun: the entity has stopped, so the state may not be the one that is stored.
        """
        await trio.lowlevel.checkpoint()
        if self._failure is not None:
            raise NotRun from stopped(self.persistence_id, self._failure)
        return self.state, self._fold.sequence_nr

    @property
    def has_stopped(self) -> bool:
        """Whether it stopped, so that only opening it again helps."""
        return self._failure is not None

    @property
    def can_close_at_once(self) -> bool:
        """Whether `passivate` would have nothing to wait for."""
        return not self._snapshots.saving and not self._wants_last_snapshot

    @property
    def _wants_last_snapshot(self) -> bool:
        asked = self._snapshots.retention.snapshot_on_passivation and self._failure is None
        return asked and self._fold.sequence_nr > (self.snapshot_sequence_nr or 0)

    async def passivate(self) -> None:
        """Save the last snapshot, if the retention asks for it, and close; nobody uses the entity any more."""
        try:
            await self._snapshots.wait_saved()
            if self._wants_last_snapshot:
                await self._snapshots.save_by_itself(self._describe_snapshot(), self.state)
        finally:
            self.close()


async def recover_entity(
    services: Services,
    fold: Fold[S],
    *,
    retention: Retention,
    labeller: Labeller,
    on_snapshot: OnSnapshot | None = None,
) -> Entity[S, Any]:
    """Load the snapshot, claim the id, replay; see `_entities.recovery`."""
    writer = uuid.uuid4()
    recovery = Recovery(
        services=services,
        fold=fold,
        snapshot_id=fold.persistence_id,
        view_of=None,
        begin=lambda: services.journal.claim(fold.persistence_id, writer),
    )
    with services.span("recover", persistence_id=fold.persistence_id):
        recovered = await recovery.run()
    snapshots = Snapshots(
        services, fold.persistence_id, retention=retention, newest=recovered.snapshot, on_snapshot=on_snapshot
    )
    return Entity(services, fold, writer, recovered, snapshots, labeller)
