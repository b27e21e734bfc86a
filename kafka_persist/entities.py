"""The registry of live entities: the only thing that most programs touch.

``async with persistence.entities() as entities``, and then ``await entities.execute(account, "4711", withdraw, 50)``, from any
task, at any time, for any id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import trio

from ._entities.keys import check_key
from ._entities.log import INFO, WARNING, tell
from ._entities.stopping import NotRun
from ._lifecycle import background
from ._live.latency import Latency
from ._live.policy import ReopenPolicy
from ._live.registry import AnyEntity, AnyType, Registry
from ._live.tally import EntityStatistics, Health, Tally
from .command import Reply
from .entity_type import EntityType
from .errors import (
    BrokerError,
    ClaimOutcomeUnknown,
    PersistenceError,
    SequenceNrConflict,
    UsageError,
    WriteOutcomeUnknown,
    WriterFenced,
    printable,
)
from .serialization import Serializer
from .tagging import Tagged
from .tracing import Tracing, span_of

__all__ = ["Entities", "EntityStatistics", "Health", "Latency", "ReopenPolicy", "open_entities"]

for _each in (EntityStatistics, Health, Latency, ReopenPolicy):
    _each.__module__ = __name__  # where users import them from
del _each

S = TypeVar("S")
E = TypeVar("E")
R = TypeVar("R")
P = ParamSpec("P")


class Entities:
    """A registry of live entities; opened by `Persistence.entities`.

    Any number of tasks may use it. An entity is opened when it is first needed, shared by all tasks that use it, and
    closed (*passivated*) when nobody has used it for ``idle_after`` seconds, or when another one needs its place.

    When an entity stops, the registry opens it again, and decides by what is certain:

    * Fenced (another process has taken the id over): the command is certainly not stored. It is tried again on the state as it
      is then, after a pause, at most ``attempts`` times; then `WriterFenced` is raised.
    * Outcome unknown: the command may be stored, so it is **never** run a second time. `WriteOutcomeUnknown` is raised, and the
      next use of the id opens it again, which decides what is stored. With `execute_once` running it again is safe,
      and is done.
    * Stopped by another task's command: this one has not run; it is tried again.
    * The claim's outcome unknown: nothing of a command is at stake; the opening is tried again.
    """

    def __init__(
        self,
        registry: Registry,
        tally: Tally,
        policy: ReopenPolicy,
        serializer: Serializer | None,
        limit: int,
        tracing: Tracing | None = None,
    ) -> None:
        self._registry = registry
        self._tally = tally
        self._policy = policy
        self._serializer = serializer
        self._limit = limit
        self._tracing = tracing
        self._types: dict[str, AnyType] = {}

    def __repr__(self) -> str:
        life = "closed" if self._registry.closed else "open"
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self._registry.counts().items())
        return f"<Entities {life}: {counts}; at most {self._limit}>"

    @overload
    async def execute(
        self,
        type_: EntityType[S, E],
        id_: str,
        decide: Callable[Concatenate[S, P], Reply[R, E]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    async def execute(
        self,
        type_: EntityType[S, E],
        id_: str,
        decide: Callable[Concatenate[S, P], Iterable[E | Tagged[E]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[E, ...]: ...

    async def execute(self, type_: AnyType, id_: str, decide: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run a command on an entity, and store the events that it returns; see `Entity.execute`.

        The entity is opened if it is not open, or waited for if it is just being opened or closed.

        Args:
            type_: its kind.
            id_: which one.
            decide: ``decide(state, *args, **kwargs)`` returns events, or a `Reply`, or refuses by raising. It may be called
                again, on a newer state, where the first call's events are certainly not stored.
            args: for `decide`.
            kwargs: for `decide`.

        Returns:
            The events, without their tags; or the value of the `Reply`.

        Raises:
            WriteOutcomeUnknown: the events may or may not be stored. Look at `state` before repeating the command.
            WriterFenced: other processes keep taking the id over; certainly not stored.
            EventRejected, EvolveFailed, BrokerError, UsageError: certainly not stored.
            EntityAlreadyOpen: the id is open in another registry, or by `Persistence.entity`.
            StoredDataError: what is stored of this id is damaged, or missing; other ids are not affected.
            StoreClosed: the registry's block has ended.
            Exception: whatever `decide` raised, as it is.

        Cancellation: before the write is handed over it means "not stored". After that the call waits, shielded, for the
        journal's answer and returns it.
        """
        return await self._execute(None, type_, id_, decide, args, kwargs)

    @overload
    async def execute_once(
        self,
        type_: EntityType[S, E],
        id_: str,
        key: str,
        decide: Callable[Concatenate[S, P], Reply[R, E]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    async def execute_once(
        self,
        type_: EntityType[S, E],
        id_: str,
        key: str,
        decide: Callable[Concatenate[S, P], Iterable[E | Tagged[E]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[E, ...]: ...

    async def execute_once(
        self, type_: AnyType, id_: str, key: str, decide: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Run a command unless one with this key has taken effect on the entity; see `Entity.execute_once`.

        Where the outcome is unknown, the registry opens the entity again and repeats the call: it then finds the key if
        the first attempt was stored. So `WriteOutcomeUnknown` comes out only after all attempts.

        Raises, and cancellation: as `execute` and `Entity.execute_once`.
        """
        return await self._execute(check_key(key), type_, id_, decide, args, kwargs)

    async def state(self, type_: EntityType[S, Any], id_: str, /) -> S:
        """Return an entity's state; the initial one if it has no events. Treat it as read-only.

        It holds everything that was acknowledged to this process. While another process has the id, it may be old: a
        process learns of that when it writes.

        Raises:
            PersistenceError: the entity cannot be opened; see `Persistence.entity`.
        """
        state: S
        state, _ = await self._with_entity(type_, id_, lambda entity: entity.look(), repeatable=True)
        return state

    async def sequence_nr(self, type_: EntityType[Any, Any], id_: str, /) -> int:
        """Return the number of an entity's last event; 0 if it has none.

        After a command it is what `View.wait_for` and `Projection.wait_for` take, to find there what was just stored.

        Raises:
            PersistenceError: the entity cannot be opened; see `Persistence.entity`.
        """
        number: int
        _, number = await self._with_entity(type_, id_, lambda entity: entity.look(), repeatable=True)
        return number

    def statistics(self) -> EntityStatistics:
        """What is open now, and what was done so far."""
        tally = self._tally
        names = ("opened", "failed_openings", "passivated", "commands", "refused", "fenced", "unknown", "retried")
        counters = {name: getattr(tally, name) for name in (*names, "snapshots", "failed_snapshots")}
        return EntityStatistics(
            limit=self._limit,
            execute=tally.execute.latency(),
            recovery=tally.recovery.latency(),
            **self._registry.counts(),
            **counters,
        )

    def health(self) -> Health:
        """Whether the last opening, write and snapshot succeeded, and if not, what is the matter."""
        return self._tally.health()

    # --- trying again --------------------------------------------------------------------------------------------

    async def _execute(
        self, key: str | None, type_: AnyType, id_: str, decide: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        began = trio.current_time()
        try:
            with span_of(self._tracing, "execute", persistence_id=self._known(type_).persistence_id(id_)):
                result = await self._with_entity(
                    type_, id_, lambda entity: entity.attempt(key, decide, args, kwargs), repeatable=key is not None
                )
        except (BrokerError, WriteOutcomeUnknown) as error:
            self._tally.writes.failed(error)
            raise
        except PersistenceError:
            raise
        except Exception:
            self._tally.refused += 1
            raise
        self._tally.count_command(trio.current_time() - began)
        return result

    async def _with_entity(
        self, type_: AnyType, id_: str, work: Callable[[AnyEntity], Awaitable[Any]], *, repeatable: bool
    ) -> Any:
        """Do `work` with an open entity; again, where it is certain that nothing was stored, or it does not matter."""
        persistence_id = self._known(type_).persistence_id(id_)
        failures = 0
        while True:
            try:
                async with self._registry.use(type_, persistence_id) as entity:
                    return await work(entity)
            except NotRun as not_run:
                error: BaseException = not_run.__cause__ or not_run
                pause = False
            except (WriterFenced, SequenceNrConflict, ClaimOutcomeUnknown) as stopped:
                error, pause = stopped, True
                self._note_fenced(persistence_id, stopped)
            except WriteOutcomeUnknown as unknown:
                error, pause = unknown, True
                self._note_unknown(persistence_id, unknown)
                if not repeatable:
                    raise
            failures += 1
            if failures >= self._policy.attempts:
                raise error
            self._tally.retried += 1
            await trio.sleep(self._policy.pause(failures) if pause else 0)

    def _note_fenced(self, persistence_id: str, error: PersistenceError) -> None:
        if isinstance(error, WriterFenced):
            self._tally.fenced += 1
            text = f"{printable(persistence_id)} was taken over by another writer; it is opened again: {error}"
            tell(INFO, "entity.fenced", text, persistence_id=persistence_id)

    def _note_unknown(self, persistence_id: str, error: WriteOutcomeUnknown) -> None:
        self._tally.unknown += 1
        error.add_note("The registry opens the entity again at its next use, which decides what is stored.")
        text = f"{printable(persistence_id)}: the outcome of a write is unknown; the next use of the id decides it: {error}"
        tell(WARNING, "entity.unknown", text, persistence_id=persistence_id)

    def _known(self, type_: AnyType) -> AnyType:
        """Check a type when it is first used.

        Raises:
            UsageError: not an `EntityType`, another one has its name, or its types are not registered.
        """
        name = getattr(type_, "name", None)
        found = self._types.get(name) if isinstance(name, str) else None
        if found is type_:
            return type_
        if not isinstance(type_, EntityType):
            raise UsageError(f"the first argument is an EntityType, not {type(type_).__name__}")
        if found is not None:
            raise UsageError(
                f"two entity types are named {type_.name!r}: their entities would have the same persistence ids. Make "
                "one for each kind, at the top of a module"
            )
        if self._serializer is not None:
            type_.check_types(self._serializer)
        self._types[type_.name] = type_
        return type_


@asynccontextmanager
async def open_entities(
    recover: Callable[[AnyType, str, Tally], Awaitable[AnyEntity]],
    release: Callable[[str], None],
    *,
    serializer: Serializer | None,
    idle_after: float | None,
    limit: int,
    reopen: ReopenPolicy,
    tracing: Tracing | None = None,
) -> AsyncIterator[Entities]:
    """Open a registry; `Persistence.entities` calls it with its own parts."""
    tally = Tally()
    async with background("the registry of entities") as tasks:
        registry = Registry(
            lambda type_, persistence_id: recover(type_, persistence_id, tally),
            release,
            limit=limit,
            idle_after=idle_after,
            tasks=tasks,
            tally=tally,
        )
        tasks.spawn(registry.passivate_idle)
        try:
            yield Entities(registry, tally, reopen, serializer, limit, tracing)
            await registry.close()
        finally:
            registry.close_now()
