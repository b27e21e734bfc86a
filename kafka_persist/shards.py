"""Shards: one service on many processes, by Kafka's own consumer groups.

Each process opens ``persistence.shards(...)`` with the same group and types, and asks: ``await shards.ask(account, "4711",
withdraw, 50)``. If the shard of that id is here, it is a call; otherwise a command goes to the process that has it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar, overload

import trio

from ._entities.keys import check_key
from ._lifecycle import background
from ._live.policy import ReopenPolicy
from ._live.registry import AnyType, Registry
from ._live.tally import Health, Tally
from ._shards.asking import Asker, Request
from ._shards.executing import RETRIED, Decider, Executor, Raised
from ._shards.guarding import ShardJournal
from ._shards.member import Member, holds
from ._shards.opening import Opening, ShardOptions, ShardStatistics, check_opening, types_by_name, wall_clock
from ._shards.ports import Connections
from ._shards.records import Answer, Outcome, dump_payload, load_payload
from ._shards.worker import Counters, Parts, Phase
from ._shared.commands import CommandLog
from ._shared.place import partition_of
from .command import Reply
from .entities import Entities
from .entity_type import EntityType
from .errors import CommandExpired, CommandRefused, UsageError, WriterFenced, printable
from .serialization import Serializer, default_serializer
from .tagging import Tagged

__all__ = ["ShardOptions", "ShardStatistics", "Shards"]

ShardOptions.__module__ = ShardStatistics.__module__ = __name__  # where users import them from

S = TypeVar("S")
E = TypeVar("E")
R = TypeVar("R")
P = ParamSpec("P")

LOCAL_POLICY: Final = ReopenPolicy(attempts=3, first_pause=0.01, longest_pause=0.05)
"""A call that finds its entity stopped tries again at once; one whose shard has gone becomes a command."""

MOST_IN_BATCH: Final = 256
"""Commands in one batch."""


class Shards:
    """The entities of a journal, wherever they are; opened by `KafkaPersistence.shards`. Any number of tasks may use it."""

    def __init__(
        self,
        entities: Entities,
        asker: Asker,
        member: Member,
        types: Mapping[str, AnyType],
        serializer: Serializer,
        counters: Counters,
        logs: Sequence[CommandLog],
    ) -> None:
        self._entities = entities
        self._asker = asker
        self._member = member
        self._types = types
        self._serializer = serializer
        self._counters = counters
        self._logs = logs
        self._partitions = len(logs)
        self._called = self._sent = 0

    def __repr__(self) -> str:
        found = self.statistics()
        return f"<Shards: {found.here} of {found.partitions} here, {found.moving} moving, {found.asking} questions on their way>"

    @overload
    async def ask(
        self,
        type_: EntityType[S, E],
        id_: str,
        command: Callable[Concatenate[S, P], Reply[R, E]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    async def ask(
        self,
        type_: EntityType[S, E],
        id_: str,
        command: Callable[Concatenate[S, P], Iterable[E | Tagged[E]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[E, ...]: ...

    async def ask(self, type_: AnyType, id_: str, command: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Have a command executed on an entity, by whoever has its shard; as `Entities.execute`.

        A command takes effect at most once, and those that a task asks for one after the other take effect in this order.

        Args:
            type_: its kind, one of those that the shards were opened with.
            id_: which one.
            command: one of the type's `commands`; ``command(state, *args, **kwargs)`` returns events or a `Reply`, or refuses
                by raising. It may be called again, where what it decided before is certainly not stored.
            args: for `command`: plain data, or objects of registered types.
            kwargs: the same.

        Returns:
            The events, without their tags; or the value of the `Reply`.

        Raises:
            CommandRefused: the command raised, or what it decided cannot be stored; certainly nothing is stored.
            CommandExpired: its time was up before the owner came to it; certainly not executed.
            WriteOutcomeUnknown: no reply in time. It may have taken effect, once; its execution is not begun any more.
            BrokerError: it was not sent; certainly not executed.
            UsageError: the type or the command is not known here, or an argument has no stored form.

        Cancellation: before the command is sent: not executed. After that: at once, and it may take effect, once; a deadline
            of the caller's travels with it.
        """
        return await self._ask("", type_, id_, command, args, kwargs)

    @overload
    async def ask_once(
        self,
        type_: EntityType[S, E],
        id_: str,
        key: str,
        command: Callable[Concatenate[S, P], Reply[R, E]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    async def ask_once(
        self,
        type_: EntityType[S, E],
        id_: str,
        key: str,
        command: Callable[Concatenate[S, P], Iterable[E | Tagged[E]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[E, ...]: ...

    async def ask_once(
        self, type_: AnyType, id_: str, key: str, command: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Have a command executed unless one with this key has taken effect on the entity; see `Entity.execute_once`.

        After `WriteOutcomeUnknown`, or in another process after a crash, ask again with the same key: the first answer
        comes, or the command is executed now.

        Raises, and cancellation: as `ask`.
        """
        return await self._ask(check_key(key), type_, id_, command, args, kwargs)

    async def _ask(
        self, key: str, type_: AnyType, id_: str, command: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        name, persistence_id = self._name(type_, command), type_.persistence_id(id_)
        dump = self._serializer
        request = Request(
            type=type_.name,
            id=id_,
            name=name,
            arguments=[dump_payload(dump, value) for value in args],
            named={each: dump_payload(dump, value) for each, value in kwargs.items()},
            key=key,
        )
        partition = partition_of(persistence_id, self._partitions)
        if self._member.is_here(partition) and not self._asker.is_asking(partition):
            try:
                self._called += 1
                return await self._call(key, type_, id_, command, args, kwargs)
            except WriterFenced:  # certainly not stored: the shard has gone, or is just being claimed again
                pass
        self._sent += 1
        answer = await self._asker.ask(partition, persistence_id, request)
        return self._result(answer, persistence_id)

    async def _call(
        self, key: str, type_: AnyType, id_: str, command: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        decider = Decider(command, self._serializer)
        try:
            if key:
                return await self._entities.execute_once(type_, id_, key, decider, *args, **kwargs)
            return await self._entities.execute(type_, id_, decider, *args, **kwargs)
        except Raised as raised:
            raise _refused(type_.persistence_id(id_), raised.error) from raised.error
        except RETRIED:
            raise
        except Exception as error:
            raise _refused(type_.persistence_id(id_), error) from error

    def _name(self, type_: AnyType, command: Callable[..., Any]) -> str:
        self._check_known(type_)
        return type_.command_name(command)

    def _check_known(self, type_: AnyType) -> None:
        name = getattr(type_, "name", None)
        if not isinstance(name, str) or self._types.get(name) is not type_:
            raise UsageError(
                f"the shards were not opened with the type {type_!r:.200}: persistence.shards(group, {name}, ...)"
            )

    def _result(self, answer: Answer, persistence_id: str) -> Any:
        match answer.outcome:
            case Outcome.EVENTS:
                return tuple(load_payload(self._serializer, payload) for payload in answer.content)
            case Outcome.VALUE:
                return load_payload(self._serializer, answer.content)
            case Outcome.REFUSED:
                raise _refusal(persistence_id, *answer.content)
            case Outcome.EXPIRED:
                raise CommandExpired(f"{printable(persistence_id)}: {answer.content[1]}").about(persistence_id)

    # --- what is where -------------------------------------------------------------------------------------------

    @property
    def here(self) -> frozenset[int]:
        """The shards that take commands in this process, by the numbers of their partitions."""
        return frozenset(worker.partition.partition for worker in self._member.workers if worker.here)

    async def wait_here(self, count: int = 1) -> None:
        """Wait until at least so many shards take commands in this process: to say that it is ready, or in tests."""
        await trio.lowlevel.checkpoint()
        while len(self.here) < count:
            await self._member.changed.wait()

    async def owner(self, type_: AnyType, id_: str) -> str:
        """Look for the address that the owner of an id's shard gave; "" if it gave none, or nobody has the shard.

        For those who forward requests. By the time that it is used the shard may have moved. It reads what is new in the
        shard's log: where this process has never read it, all of it, unless its index is on disk.

        Raises:
            UsageError: the shards were not opened with the type.
            BrokerError: the broker did not answer.
            StoredDataError: the log is damaged.
        """
        self._check_known(type_)
        return await self._owner_of(partition_of(type_.persistence_id(id_), self._partitions))

    async def map(self) -> Mapping[int, str]:
        """Look who has which shard: the addresses by the numbers of the shards; as `owner`, for all of them."""
        await trio.lowlevel.checkpoint_if_cancelled()
        return {partition: await self._owner_of(partition) for partition in range(self._partitions)}

    async def _owner_of(self, partition: int) -> str:
        holder = await self._logs[partition].holder()
        return "" if holder is None else holder.address

    def statistics(self) -> ShardStatistics:
        """What is here now, and what was done so far."""
        workers, counters = self._member.workers, self._counters
        return ShardStatistics(
            partitions=self._partitions,
            here=sum(worker.here for worker in workers),
            moving=sum(worker.phase is not Phase.HERE for worker in workers),
            waiting=sum(len(worker.waiting) for worker in workers),
            asking=self._asker.questions,
            executed=counters.executed,
            batches=counters.batches,
            claims=counters.claims,
            failures=counters.failures,
            called=self._called,
            sent=self._sent,
        )

    def health(self) -> Health:
        """Whether the group is served, and entities can be opened, written and saved; if not, what is the matter."""
        problems = self._entities.health().problems
        if self._member.problem:
            problems = (f"the group cannot be served: {self._member.problem}", *problems)
        return Health(not problems, problems)


def _refused(persistence_id: str, error: Exception) -> CommandRefused:
    return _refusal(persistence_id, type(error).__name__, str(error))


def _refusal(persistence_id: str, kind: str, reason: str) -> CommandRefused:
    told = f"{kind}: {reason}" if reason else kind
    return CommandRefused(f"{printable(persistence_id)} refused the command: {told}", kind, reason).about(
        persistence_id
    )


OpeningShards: TypeAlias = AbstractAsyncContextManager[Shards]
"""What `KafkaPersistence.shards` returns: use it with ``async with``."""


def open_kafka_shards(opening: Opening, group: str, types: Iterable[AnyType], options: ShardOptions) -> OpeningShards:
    """Open shards on Kafka; `KafkaPersistence.shards` is for programs."""
    return _open_kafka_shards(opening, group, tuple(types), options)


@asynccontextmanager
async def _open_kafka_shards(
    opening: Opening, group: str, types: tuple[AnyType, ...], options: ShardOptions
) -> AsyncIterator[Shards]:
    from ._kafka.shard_connections import open_shard_connections

    async with (
        open_shard_connections(opening.config) as connections,
        open_shards(connections, opening, group, types, **options) as shards,
    ):
        yield shards


@asynccontextmanager
async def open_shards(
    connections: Connections,
    opening: Opening,
    group: str,
    types: Iterable[AnyType],
    *,
    address: str = "",
    idle_after: float | None = 60.0,
    limit: int = 10_000,
    patience: float = 30.0,
    clock: Callable[[], int] = wall_clock,
) -> AsyncIterator[Shards]:
    """Open shards on connections of one's own, to a simulated Kafka for example; otherwise as `KafkaPersistence.shards`.

    Args:
        connections: to Kafka.
        opening: what is needed of the persistence.
        group: the consumer group.
        types: the kinds of entities.
        address: see `ShardOptions`, also for the following.
        idle_after: for how long an entity stays open.
        limit: how many.
        patience: of a question.
        clock: milliseconds since 1970, the same in all processes as far as clocks are.

    Raises:
        UsageError: no group, no types, an argument out of its range, or a journal that is not of the shared layout.
    """
    serializer, config = opening.serializer or default_serializer(), opening.config
    known = types_by_name(types, serializer)
    journal = check_opening(opening.journal, group, known, address, limit, patience)
    partitions = config.shared.partitions
    members: list[Member] = []
    guarded = ShardJournal(journal, lambda name: members[0].may_open(partition_of(name, partitions)))
    place = secrets.randbelow(partitions)
    asker = Asker(
        connections,
        commands=config.command_topic,
        replies=config.reply_topic,
        place=place,
        patience=patience,
        clock=clock,
    )
    tally = Tally()
    async with AsyncExitStack() as stack:
        reply_reader = await stack.enter_async_context(connections.open_replies(place))
        reader = await stack.enter_async_context(connections.open_commands(group))
        tasks = await stack.enter_async_context(background("the shards"))
        registry = Registry(
            lambda type_, name: opening.recover(type_, name, tally, guarded),
            opening.release,
            limit=limit,
            idle_after=idle_after,
            tasks=tasks,
            tally=tally,
        )
        stack.callback(registry.close_now)
        parts = Parts(
            registry=registry,
            answer=asker.send_answer,
            address=address,
            batch=max(1, min(MOST_IN_BATCH, limit // (2 * partitions))),
            make_executor=lambda log: Executor(
                log=log, registry=registry, types=known, serializer=serializer, clock=clock
            ),
            holds=holds(partitions),
        )
        logs = [journal.command_log(partition) for partition in range(partitions)]
        member = Member(reader, config.command_topic, logs, parts, tasks)
        members.append(member)
        tasks.spawn(registry.passivate_idle)
        tasks.spawn(asker.run, reply_reader)
        tasks.spawn(member.run)
        entities = Entities(registry, tally, LOCAL_POLICY, serializer, limit)
        yield Shards(entities, asker, member, known, serializer, parts.counters, logs)
        await member.leave()
        await registry.close()
