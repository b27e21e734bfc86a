"""Read models: published events, each applied once to a store of one's own.

A projection reads user-defined topics, all their partitions or, as a member of a group, some of them. Where it stands is kept in the read model's own store, in
the same transaction as what an event changed there, so a crash neither loses nor repeats an event. The topic itself may
hold an event twice (``mode = "at-least-once"``); the store also remembers the last sequence number of each persistence
id, and leaves out what is not above it.

Theory of operation: the store's transaction ``(changes, position, sequence number)`` is the only truth. The projection
claims its partitions in the store, reads from the stored positions on and hands over batches; the store checks, inside
the transaction, that nobody has claimed a partition since, and that each position is the one that it expects. So a second
process on the same read model takes it over, and the first one stops instead of applying events twice. With a group, they
share the partitions (`_consuming.group_member`).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import trio

from ._consuming.applying import Applier
from ._consuming.decoding import EventDecoder
from ._consuming.failing import ErrorPolicy, apply_failed
from ._consuming.group_member import GroupMember
from ._consuming.projection_store import Place, ProjectionStore, beginnings
from ._lifecycle import require_trio
from .config import Config, JournalConfig
from .driver import Log, TopicSpec
from .errors import RecoveryStalled, UnsupportedOperation, UsageError
from .naming import is_legal_topic_name
from .serialization import Serializer
from .tracing import Tracing

if TYPE_CHECKING:
    from ._kafka.dead_letters import SendDeadLetter
    from ._kafka.group import EventReader

__all__ = ["ErrorPolicy", "Lag", "Projection", "ProjectionStore", "apply_failed", "open_projection"]

ErrorPolicy.__module__ = ProjectionStore.__module__ = apply_failed.__module__ = __name__  # where users import them from

T = TypeVar("T")

BATCH: Final = 500
"""Events in one transaction at most."""

LOOK_SECONDS: Final = 0.25
"""How often `wait_for` looks into the store at least: another member of the group may have applied the event."""


@attrs.frozen
class Lag:
    """How far a projection is behind.

    Attributes:
        records: records between the stored positions and the ends of the topics; offsets, so markers count as well.
        partitions: the same for each (topic, partition).
    """

    records: int
    partitions: Mapping[tuple[str, int], int]


@asynccontextmanager
async def open_projection(
    config: Config | JournalConfig,
    topics: str | Sequence[str],
    store: ProjectionStore,
    *,
    group: str | None = None,
    serializer: Serializer | None = None,
    on_error: ErrorPolicy | None = None,
    tracing: Tracing | None = None,
) -> AsyncIterator[Projection]:
    """Open a projection of user-defined topics into `store`.

    Args:
        config: the program's, or its journal's part: brokers, security, creation of topics.
        topics: one or several; missing ones are created unless ``config.topics.create`` is false.
        store: the read model; stays open.
        group: the name of the projection, where several processes share one read model: Kafka gives each of them a part of
            the partitions, and another one when a process comes or goes. It is the name of a consumer group, which
            nothing else may use. Without it, this process reads all partitions.
        serializer: the registry of payload types; by default plain data only.
        on_error: what happens with an event that cannot be applied; by default the projection stops there.
        tracing: is told of spans (`kafka_persist.otel.OpenTelemetryTracing`); None for nobody, which costs nothing.

    Raises:
        UsageError: no topic, an illegal name, or an empty group.
        UnsupportedOperation: `store` cannot be shared (it has no `ProjectionStore.claim`).
        TopicMissing: a topic is missing, and creation is not allowed.
        BrokerError: the broker did not answer, or refused.
    """
    require_trio()
    config = config.journal if isinstance(config, Config) else config
    names = [topics] if isinstance(topics, str) else list(topics)
    if not names or not all(is_legal_topic_name(name) for name in names):
        raise UsageError(f"topics must be one or more names of topics, not {topics!r}")
    if group is not None:
        _check_group(group, store)
    from ._kafka.consumers import open_event_reader

    settings = config.event_topic_settings()
    specs = [TopicSpec(name, config.event_producer.partitions, settings, role="events") for name in names]
    policy = on_error or ErrorPolicy()
    async with AsyncExitStack() as stack:
        send: SendDeadLetter | None = None
        if policy.dead_letter_topic is not None:
            from ._kafka.dead_letters import open_dead_letter_producer

            send = await stack.enter_async_context(open_dead_letter_producer(config, policy.dead_letter_topic))
        reader = await stack.enter_async_context(open_event_reader(config, specs, group=group or "", start="earliest"))
        applier = Applier(store, EventDecoder(serializer), policy, send, tracing)
        member = None if group is None else GroupMember(reader, names, store, applier, batch=BATCH)
        yield Projection(reader, names, store, applier, member, stall_seconds=config.recovery_stall_timeout)


def _check_group(group: str, store: ProjectionStore) -> None:
    if not group:
        raise UsageError("group must be the name of the projection, the same one in all its processes")
    if type(store).claim is ProjectionStore.claim:
        store.claim(())  # says that it cannot


class Projection:
    """Applies published events to a store; opened by `open_projection`.

    One task at a time runs it; any number of others may call `wait_for`.
    """

    def __init__(
        self,
        reader: EventReader,
        topics: Sequence[str],
        store: ProjectionStore,
        applier: Applier,
        member: GroupMember | None,
        *,
        stall_seconds: float,
    ) -> None:
        self._reader = reader
        self._topics = topics
        self._store = store
        self._applier = applier
        self._member = member
        self._stall_seconds = stall_seconds
        self._next: dict[Log, int] | None = None
        self._passed: dict[tuple[str, int], int] = {}

    @property
    def applied(self) -> int:
        """Events that changed the read model, since it was opened."""
        return self._applier.applied

    @property
    def skipped(self) -> int:
        """Records that were left out (`ErrorPolicy`), since it was opened."""
        return self._applier.skipped

    @property
    def partitions(self) -> Sequence[Place]:
        """Each (topic, partition) whose events are applied here now."""
        if self._member is not None:
            return self._member.partitions
        return sorted((log.topic, log.partition) for log in self._next or ())

    def __repr__(self) -> str:
        return f"<Projection of {', '.join(self._topics)}, {self.applied} events applied>"

    async def run(self) -> None:
        """Apply events as they come, forever.

        With a group, it takes part in it from now on until the block of `open_projection` is left. Whoever is fenced, since
        the group gave its partitions to another process, goes on with those that it has.

        Raises: as `catch_up`.

        Cancellation: a batch is applied completely or not at all.
        """
        if self._member is not None:
            await self._member.run()
        while True:
            await self._step()

    async def catch_up(self) -> None:
        """Apply everything that is in the topics now, and return.

        Raises:
            UsageError: the projection has a group, so nobody knows who applies what.
            StoredDataError: a value cannot be decoded; everything before it was applied.
            JournalHeadLost: events were removed from a topic (retention) before they were applied: `rebuild`, or
                restore the topic.
            ConnectError, BrokerError: the broker did not answer, or refused.
            RecoveryStalled: no record came for ``recovery_stall_timeout``, and there are more.
            ProjectionFailed: the store or the user's function raised; the batch was not applied.
            ProjectionFenced: another process has taken the read model over. The next call takes it back.
            ReadModelUnavailable, ReadModelRefused: the read model's database cannot be reached, or refuses.

        Cancellation: a batch is applied completely or not at all.
        """
        self._alone("catch_up")
        ends = await self._look_up(partial(self._reader.ends, list(await self._positions())))
        moved = trio.current_time()
        while not _reached(positions := await self._positions(), ends):
            if await self._step():
                moved = trio.current_time()
            elif trio.current_time() > moved + self._stall_seconds:
                raise self._stalled(positions, ends)
        await self._advance()

    def _alone(self, what: str) -> None:
        if self._member is not None:
            raise UsageError(
                f"{what} is for one process that reads all partitions: stop the projection's other processes, and open it "
                "without group="
            )

    def _stalled(self, positions: Mapping[Log, int], ends: Mapping[Log, int]) -> RecoveryStalled:
        log, end = next((log, end) for log, end in ends.items() if positions[log] < end)
        return RecoveryStalled(
            f"{log} has records up to {end}, and the read model has read up to {positions[log]}; no progress for "
            f"{self._stall_seconds:g} s (recovery-stall-timeout). Is the partition's leader reachable?"
        ).about(topic=log.topic, offset=positions[log])

    async def wait_for(self, persistence_id: str, sequence_nr: int) -> None:
        """Return when the read model holds this event: what a program has just stored can be found from then on.

        Another task has to run the projection meanwhile (`run`), or another member of its group, whose work is looked for
        four times a second. To give up after some time, put it into
        ``trio.fail_after(...)``. An event that was left out by the `ErrorPolicy` is not waited for.

        Raises:
            UnsupportedOperation: the store does not tell (`ProjectionStore.last_applied`).
        """
        while True:
            moved = self._applier.moved  # before the look: what is applied meanwhile wakes us
            if await self._applier.in_store(partial(self._store.last_applied, persistence_id)) >= sequence_nr:
                return
            with trio.move_on_after(math.inf if self._member is None else LOOK_SECONDS):
                await moved.wait()

    async def rebuild(self) -> None:
        """Empty the read model, then apply everything from the beginning of the topics.

        Raises: as `catch_up`.
        """
        self._alone("rebuild")
        await self._applier.in_store(self._store.clear)
        self._next = None
        await self.catch_up()

    async def lag(self) -> Lag:
        """How far the stored positions are behind the ends of the topics.

        Raises:
            ConnectError, BrokerError: the broker did not answer, or refused.
        """
        known = await self._applier.in_store(self._store.positions)
        logs = await self._look_up(partial(self._reader.partitions_of, self._topics))
        starts = await self._look_up(partial(self._reader.starts, logs))
        ends = await self._look_up(partial(self._reader.ends, logs))
        reached = self._next or {}  # ends of transactions may have been passed that are not noted in the store yet
        behind = {
            (log.topic, log.partition): end
            - max(known.get((log.topic, log.partition), starts[log]), reached.get(log, 0))
            for log, end in ends.items()
        }
        return Lag(sum(behind.values()), behind)

    async def _positions(self) -> dict[Log, int]:
        """Where to read on, as the store says; the first call, and each one after a failure, assigns the partitions."""
        await trio.lowlevel.checkpoint()
        if self._next is None:
            self._next = await self._assign()
        return self._next

    async def _assign(self) -> dict[Log, int]:
        logs = await self._look_up(partial(self._reader.partitions_of, self._topics))
        await self._claim(logs)
        known = await self._applier.in_store(self._store.positions)  # behind the claim: nobody moves them any more
        found = beginnings(known, await self._look_up(partial(self._reader.starts, logs)))
        self._reader.assign(found)
        return found

    async def _claim(self, logs: Iterable[Log]) -> None:
        """Fence whoever had the partitions, if the store can; if not, its positions alone must do."""
        await trio.lowlevel.checkpoint()
        places = [(log.topic, log.partition) for log in logs]
        with suppress(UnsupportedOperation):
            await self._applier.in_store(partial(self._store.claim, places))

    async def _step(self) -> bool:
        """Read what has come, and apply it; False if nothing came."""
        positions = await self._positions()
        try:
            return await self._apply_next(positions)
        except BaseException:
            self._next = None  # what was taken from the client may not be applied: it is read again
            raise

    async def _apply_next(self, positions: dict[Log, int]) -> bool:
        records = await self._reader.read(wanted=True)
        fresh = [record for record in records if record.offset >= positions[record.log]]
        for start in range(0, len(fresh), BATCH):
            await self._applier.apply(fresh[start : start + BATCH], positions)
        passed = {log: end for log, end in self._reader.ends_reached.items() if end > positions[log]}
        for log, end in passed.items():  # after the last event come ends of transactions
            positions[log] = self._passed[log.topic, log.partition] = end
        if not records:
            await self._advance()
        return bool(fresh or passed)

    async def _advance(self) -> None:
        """Note in the store what was passed and brought no event; not for each batch: it is a transaction of its own."""
        await trio.lowlevel.checkpoint()
        passed, self._passed = self._passed, {}
        if passed:
            await self._applier.in_store(partial(self._store.advance, passed))

    async def _look_up(self, question: Callable[[], T]) -> T:
        """Ask the brokers, in a thread that a cancellation leaves to its own time limit."""
        return await self._reader.look_up(question)


def _reached(positions: Mapping[Log, int], ends: Mapping[Log, int]) -> bool:
    return all(positions[log] >= end for log, end in ends.items())
