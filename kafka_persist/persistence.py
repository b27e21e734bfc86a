"""`open_persistence`: a journal, a snapshot store, and the entities and views that live on them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Literal, TypeVar, Unpack, overload

import attrs
import trio

from ._config.describing import describe
from ._entities.fold import Fold
from ._entities.keys import check_remembered
from ._entities.retention import Retention
from ._entities.services import Services, open_services
from ._lifecycle import require_trio
from ._live.registry import AnyEntity, AnyType
from ._live.tally import Tally
from ._shards.opening import Opening
from .abc import Journal, SnapshotStore
from .config import Config, JournalConfig
from .consuming import EventStream, OnUndecodable, open_events
from .entities import Entities, ReopenPolicy, open_entities
from .entity import Entity, recover_entity
from .entity_type import plain_fold
from .errors import EntityAlreadyOpen, UnsupportedOperation, UsageError, printable
from .journal import KafkaJournal, open_journal
from .model import PersistentRepr, check_persistence_id
from .publishing import EventTopicMapper
from .serialization import Serializer, default_serializer
from .shards import OpeningShards, ShardOptions, open_kafka_shards
from .snapshots import open_snapshot_store
from .tagging import Labeller
from .tracing import Tracing
from .view import View, recover_view

S = TypeVar("S")
E = TypeVar("E")


@asynccontextmanager
async def open_persistence(
    config: Config | None = None,
    *,
    serializer: Serializer | None = None,
    event_topic_mapper: EventTopicMapper | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[KafkaPersistence]:
    """Open journal and snapshot store in Kafka, and entities and views on them.

    Args:
        config: where and how (`load_config` reads a file); by default the reference configuration.
        serializer: the registry of event and state types; by default plain data only.
        event_topic_mapper: which user-defined topics an event goes to; by default the one that `config` names.
        tracing: is told of spans (`kafka_persist.otel.OpenTelemetryTracing`); None for nobody, which costs nothing.

    Raises:
        ConnectError, AuthenticationError: see `open_journal`.

    Leaving the block ends every task, thread and connection; writes that were handed over are waited for.
    """
    require_trio()
    config = config or Config()
    serializer = serializer or default_serializer()
    ignore_orphan = config.snapshot_store.ignore_orphan
    async with (
        open_journal(
            config.journal, serializer=serializer, event_topic_mapper=event_topic_mapper, tracing=tracing
        ) as journal,
        open_snapshot_store(config.snapshot_store, serializer=serializer) as snapshot_store,
        open_services(journal, snapshot_store, serializer, ignore_orphan=ignore_orphan, tracing=tracing) as services,
    ):
        persistence = KafkaPersistence(services, config.journal.max_concurrent_recoveries, config)
        persistence.events_from(config.journal, serializer)
        yield persistence


@asynccontextmanager
async def open_persistence_on(
    journal: Journal,
    snapshot_store: SnapshotStore,
    *,
    serializer: Serializer | None = None,
    max_concurrent_recoveries: int = 50,
    ignore_orphan: bool = True,
    tracing: Tracing | None = None,
) -> AsyncIterator[Persistence]:
    """Open entities and views on any open journal and snapshot store: in memory, or a third party's.

    Args:
        journal: stays open; its owner closes it.
        snapshot_store: the same.
        serializer: the one that the stores use; only so that the types of an `EntityType` can be looked up in it.
        max_concurrent_recoveries: entities and views that recover at the same time; further ones wait, in the order in
            which they came.
        ignore_orphan: whether a snapshot that is newer than the journal's last event is skipped.
        tracing: is told of spans (`kafka_persist.otel.OpenTelemetryTracing`); None for nobody, which costs nothing.
    """
    require_trio()
    async with open_services(
        journal, snapshot_store, serializer, ignore_orphan=ignore_orphan, tracing=tracing
    ) as services:
        yield Persistence(services, max_concurrent_recoveries)


class Persistence:
    """Opens entities and views; made by `open_persistence_on`, and by `open_persistence` as a `KafkaPersistence`."""

    def __init__(self, services: Services, max_concurrent_recoveries: int, settings: Config | None = None) -> None:
        self._services = services
        self._settings = settings
        self._permits = trio.CapacityLimiter(max_concurrent_recoveries)
        self._names: set[str] = set()
        self._open_events: Callable[..., AbstractAsyncContextManager[EventStream]] | None = None

    def __repr__(self) -> str:
        life = "closed" if self._services.closed else "open"
        permits = self._permits.statistics()
        return (
            f"<Persistence {life}, {len(self._names)} entities and views, {permits.borrowed_tokens} recovering, "
            f"{permits.tasks_waiting} waiting>"
        )

    @property
    def journal(self) -> Journal:
        """Where the events are."""
        return self._services.journal

    @property
    def snapshot_store(self) -> SnapshotStore:
        """Where the snapshots are."""
        return self._services.snapshot_store

    def describe(self) -> dict[str, str]:
        """Return the effective settings, by name, as text without secrets: for a log line at the start of a program.

        A persistence that was not opened by `open_persistence` knows its stores and its limit of recoveries only.
        """
        found = {
            "journal": type(self._services.journal).__name__,
            "snapshot_store": type(self._services.snapshot_store).__name__,
            "max_concurrent_recoveries": str(self._permits.total_tokens),
        }
        if self._settings is not None:
            found |= describe(self._settings.journal, "journal")
            found |= describe(self._settings.snapshot_store, "snapshot_store")
        return found

    def events_from(self, config: JournalConfig, serializer: Serializer) -> None:
        """Say where `events` reads; `open_persistence` does it."""
        self._open_events = partial(open_events, config, serializer=serializer)

    def events(
        self,
        topics: str | Sequence[str],
        *,
        group: str,
        start: Literal["earliest", "latest"] = "earliest",
        on_undecodable: OnUndecodable = "stop",
        dead_letter_topic: str | None = None,
    ) -> AbstractAsyncContextManager[EventStream]:
        """Open the events of user-defined topics, with this persistence's brokers and types; see `open_events`.

        Raises:
            UnsupportedOperation: this persistence was not opened by `open_persistence`, so it knows no brokers.
        """
        if self._open_events is None:
            raise UnsupportedOperation(
                "events() needs brokers: use open_persistence, or open_events with a configuration"
            )
        return self._open_events(
            topics, group=group, start=start, on_undecodable=on_undecodable, dead_letter_topic=dead_letter_topic
        )

    def entity(
        self,
        persistence_id: str,
        *,
        initial: S,
        evolve: Callable[[S, E], S],
        snapshot_every: int | None = None,
        skip_deleted: bool = False,
        allow_none_state: bool = False,
        remember_keys: int = 100,
    ) -> AbstractAsyncContextManager[Entity[S, E]]:
        """Open an entity: take the id over from whoever wrote before, and recover its state.

        Args:
            persistence_id: its name, forever.
            initial: the state before the first event.
            evolve: makes the next state of a state and an event. A pure function: same result for the same arguments,
                no side effects, and it leaves the old state as it was.
            snapshot_every: save a snapshot in the background whenever so many events came since the last one.
            skip_deleted: go on with what is left where events were deleted that no snapshot covers.
            allow_none_state: None is a state that `evolve` may return after another one. Otherwise it is
                `EvolveFailed`, since a function without a ``return``, or a ``match`` without the event's case, gives
                None. (``initial`` may be None either way.)
            remember_keys: how many idempotency keys the entity remembers; see `Entity.execute_once`.

        Raises (on entry):
            EntityAlreadyOpen: this id is open in this `Persistence`.
            WriterFenced: other processes keep claiming the id.
            WriteOutcomeUnknown: the claim may or may not have landed; open it again.
            EventsDeleted, SnapshotUnreadable, JournalHeadLost and other StoredDataError: the state cannot be restored.
            EvolveFailed: `evolve` refuses a stored event.
            BrokerError: the backend did not answer.

        Leaving the block closes the entity, after the automatic snapshot that may be under way; after an exception it
        does not wait for that.

        Cancellation: of a recovery: the claim may have landed, so that a previous writer is fenced.
        """
        fold = plain_fold(persistence_id, initial, evolve, skip_deleted=skip_deleted, allow_none_state=allow_none_state)
        fold.keys.limit = check_remembered(remember_keys)
        return self._entity(fold, Retention(snapshot_every=snapshot_every))

    @asynccontextmanager
    async def _entity(self, fold: Fold[S], retention: Retention) -> AsyncIterator[Entity[S, Any]]:
        with self._name(fold.persistence_id):
            async with self._permits:
                entity: Entity[S, Any] = await recover_entity(
                    self._services, fold, retention=retention, labeller=Labeller()
                )
            try:
                yield entity
                entity.close()
                await entity.wait_snapshot_saved()
            finally:
                entity.close()

    def entities(
        self,
        *,
        idle_after: float | None = 60.0,
        limit: int = 10_000,
        reopen: ReopenPolicy | None = None,
    ) -> AbstractAsyncContextManager[Entities]:
        """Open a registry of live entities: opens them on demand, shares them between tasks, closes idle ones.

        One registry for a program is enough: an id that is open in one is `EntityAlreadyOpen` in another.

        Args:
            idle_after: seconds after which an entity that nobody uses is closed; None never closes one for its age.
            limit: how many may be open at once. One more, and the entity that has been idle longest is closed; while
                all are in use, calls for further ones wait, in the order in which they came.
            reopen: how often a command that is certainly not stored is tried again after its entity was taken over by
                another process; see `Entities`.

        Raises:
            UsageError: an argument is out of its range.

        Leaving the block closes all entities, after their last snapshots; after an exception it does not wait for those.
        """
        if idle_after is not None and not 0 < idle_after < math.inf:
            raise UsageError(f"idle_after must be a positive number of seconds, or None; not {idle_after!r}")
        if type(limit) is not int or limit < 1:
            raise UsageError(f"limit must be a whole number from 1 on, not {limit!r}")
        self._services.check_open()
        return open_entities(
            self._recover,
            self._names.discard,
            serializer=self._services.serializer,
            idle_after=idle_after,
            limit=limit,
            reopen=reopen or ReopenPolicy(),
            tracing=self._services.tracing,
        )

    async def _recover(self, type_: AnyType, id_: str, tally: Tally, journal: Journal | None = None) -> AnyEntity:
        """Open an entity for a registry, which gives the name back when it has closed it."""
        services = self._services if journal is None else attrs.evolve(self._services, journal=journal)
        with self._name(id_) as held:
            async with self._permits:
                entity = await recover_entity(
                    services,
                    type_.fold(id_),
                    retention=type_.retention,
                    labeller=type_.labeller,
                    on_snapshot=tally.count_snapshot,
                )
            held.pop_all()
        return entity

    @overload
    def view(
        self,
        persistence_id: str,
        *,
        view_id: str,
        initial: S,
        evolve: Callable[[S, E], S],
        envelopes: Literal[False] = False,
        snapshot_every: int | None = None,
        poll_every: float = 0.1,
        skip_deleted: bool = False,
        allow_none_state: bool = False,
    ) -> AbstractAsyncContextManager[View[S]]: ...

    @overload
    def view(
        self,
        persistence_id: str,
        *,
        view_id: str,
        initial: S,
        evolve: Callable[[S, PersistentRepr], S],
        envelopes: Literal[True],
        snapshot_every: int | None = None,
        poll_every: float = 0.1,
        skip_deleted: bool = False,
        allow_none_state: bool = False,
    ) -> AbstractAsyncContextManager[View[S]]: ...

    def view(
        self,
        persistence_id: str,
        *,
        view_id: str,
        initial: S,
        evolve: Callable[[S, Any], S],
        envelopes: bool = False,
        snapshot_every: int | None = None,
        poll_every: float = 0.1,
        skip_deleted: bool = False,
        allow_none_state: bool = False,
    ) -> AbstractAsyncContextManager[View[S]]:
        """Open a view: a read-only follower of an entity's events. It has read all of them once when it opens.

        Args:
            persistence_id: whose events.
            view_id: under which id its snapshots are saved; not a persistence id, nor another view's.
            initial: the state before the first event.
            evolve: as for `entity`, with a state of the view's own.
            envelopes: give `evolve` the whole `PersistentRepr` instead of the event, with number, time, tags and metadata.
            snapshot_every: save a snapshot in the background whenever so many events came since the last one.
            poll_every: seconds between two looks at the journal in `View.wait_for` and `View.follow`.
            skip_deleted: go on with what is left where events were deleted that the view has not seen.
            allow_none_state: as for `entity`.

        Raises (on entry):
            EntityAlreadyOpen: an entity or view with this name is open in this `Persistence`.
            UsageError: the snapshots under `view_id` belong to somebody else.
            EventsDeleted, StoredDataError, EvolveFailed, BrokerError: as for `entity`.
        """
        if check_persistence_id(view_id) == persistence_id:
            raise UsageError(
                f"view_id must differ from the persistence id, {printable(view_id)}: it names the snapshots"
            )
        if not 0 < poll_every < math.inf:
            raise UsageError(f"poll_every must be a positive number of seconds, not {poll_every!r}")
        fold = plain_fold(persistence_id, initial, evolve, skip_deleted=skip_deleted, allow_none_state=allow_none_state)
        fold.envelopes = envelopes
        return self._view(fold, view_id, Retention(snapshot_every=snapshot_every), poll_every)

    @asynccontextmanager
    async def _view(
        self, fold: Fold[S], view_id: str, retention: Retention, poll_every: float
    ) -> AsyncIterator[View[S]]:
        with self._name(view_id):
            async with self._permits:
                view = await recover_view(self._services, fold, view_id, retention=retention, poll_every=poll_every)
            try:
                yield view
                view.close()
                await view.wait_snapshot_saved()
            finally:
                view.close()

    @contextmanager
    def _name(self, name: str) -> Iterator[ExitStack]:
        """Hold a name, for the block or until it is given back: two would overwrite each other's snapshots."""
        self._services.check_open()
        if name in self._names:
            raise EntityAlreadyOpen(
                f"{printable(name)} is already open in this persistence; share that entity or view between tasks instead"
            )
        self._names.add(name)
        with ExitStack() as held:
            held.callback(self._names.discard, name)
            yield held


class KafkaPersistence(Persistence):
    """A `Persistence` whose stores are in Kafka, so that a type checker knows what only they can do."""

    @property
    def journal(self) -> KafkaJournal:
        """Where the events are, with `KafkaJournal.prepare` and what it tells about publishing."""
        found = self._services.journal
        assert isinstance(found, KafkaJournal)
        return found

    def shards(self, group: str, *types: AnyType, **options: Unpack[ShardOptions]) -> OpeningShards:
        """Share the entities of these types with the other processes of `group`; see `kafka_persist.shards`."""
        settings, serializer = self._settings.journal if self._settings else JournalConfig(), self._services.serializer
        opening = Opening(settings, self.journal, serializer, self._recover, self._names.discard)
        return open_kafka_shards(opening, group, types, options)
