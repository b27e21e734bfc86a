"""A simulated consumer group, and what shards need of Kafka on a simulated broker.

The group's coordinator is the test: it says which member is given which partition, and may as well give one to two members, or take
one from a member that does not hear of it. A member learns of changes when it reads, as real ones do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import attrs
import trio

from kafka_persist.config import JournalConfig
from kafka_persist.driver import Ack, Log, TopicSpec

from .broker import SimBroker
from .kafka import SimKafka

TICK: Final = 0.1
"""Seconds for which a reading waits for a record."""

BATCH: Final = 100
"""Records of one reading."""


class SimRecord(NamedTuple):
    """A record, and the assignment that it came with."""

    log: Log
    offset: int
    key: bytes | None
    value: bytes | None
    assignment: int


@attrs.define(eq=False)
class SimReader:
    """A consumer on a simulated broker: a member of a group, or with a position of its own.

    Attributes:
        deaf: it does not hear what the group tells it.
        told: what the group says belongs here.
    """

    broker: SimBroker
    deaf: bool = False
    told: set[Log] = attrs.field(factory=set)
    _owned: dict[Log, int] = attrs.field(factory=dict)
    _next: dict[Log, int] = attrs.field(factory=dict)
    _number: int = 0
    _unplaced: trio.Event = attrs.field(factory=trio.Event)

    @property
    def assigned(self) -> Mapping[Log, int]:
        """What it believes to have."""
        return self._owned.copy()

    def subscribe(self, topics: Sequence[str]) -> None:
        """Nothing to do: the coordinator knows its members."""

    def assign(self, log: Log, offset: int) -> None:
        """Read one partition from an offset on, in no group."""
        self.told.add(log)
        self._hear()
        self._next[log] = offset

    async def place(self, find: Callable[[Sequence[Log]], Awaitable[Mapping[Log, int]]]) -> None:
        """Ask where new partitions begin, and read them from there on; a task."""
        while True:
            await self._unplaced.wait()
            self._unplaced = trio.Event()
            wanted = {log: number for log, number in self._owned.items() if log not in self._next}
            if not wanted:
                continue
            for log, offset in (await find(list(wanted))).items():
                if self._owned.get(log) == wanted[log]:
                    self._next[log] = offset

    async def read(self, *, wanted: bool) -> Sequence[SimRecord]:
        """Take what has come; shortly wait for the first record."""
        found: list[SimRecord] = []
        with trio.move_on_after(TICK):
            while True:
                self._hear()
                if wanted and (found := self._take()):
                    break
                await trio.sleep(TICK / 2)
        await trio.lowlevel.checkpoint()
        return found

    def owns(self, record: SimRecord) -> bool:
        """Whether its partition has stayed here since it was read."""
        return self._owned.get(record.log) == record.assignment

    def finish(self, record: SimRecord) -> None:
        """Nobody asks for the group's positions."""

    def read_again(self, logs: Sequence[Log]) -> None:
        """Begin these anew."""
        for log in logs:
            if log in self._owned:
                self._own(log)

    def _hear(self) -> None:
        if self.deaf:
            return
        for log in [log for log in self._owned if log not in self.told]:
            del self._owned[log]
            self._next.pop(log, None)
        for log in sorted(self.told, key=str):
            if log not in self._owned:
                self._own(log)
        if len(self._next) < len(self._owned):
            self._unplaced.set()

    def _own(self, log: Log) -> None:
        self._number += 1
        self._owned[log] = self._number
        self._next.pop(log, None)
        self._unplaced.set()

    def _take(self) -> list[SimRecord]:
        found: list[SimRecord] = []
        for log, offset in list(self._next.items()):
            there = self.broker.find(log)
            if there is None or self.broker.down:
                continue
            for record in there.records(offset, offset + BATCH - len(found)):
                found.append(SimRecord(log, record.offset, record.key, record.value, self._owned[log]))
                self._next[log] = record.offset + 1
        return found


@attrs.define(eq=False)
class SimGroup:
    """The members of one group, in the order in which they joined."""

    members: list[SimReader] = attrs.field(factory=list)

    def rebalance(self, topic: str, partitions: int) -> None:
        """Spread the partitions evenly over the members."""
        for member in self.members:
            member.told.clear()
        for partition in range(partitions):
            if self.members:
                self.members[partition % len(self.members)].told.add(Log(topic, partition))

    def give(self, log: Log, member: SimReader, *, alone: bool = True) -> None:
        """Give a partition to a member; not `alone`: whoever has it keeps it."""
        for other in self.members if alone else ():
            other.told.discard(log)
        member.told.add(log)


@attrs.frozen(eq=False)
class SimConnections:
    """What shards of one simulated process need of Kafka.

    Attributes:
        driver: the process's, for commands and replies: made with ``idempotent=True``, as a command must not land twice.
        config: the journal's.
        group: the group that it joins.
    """

    driver: SimKafka
    config: JournalConfig
    group: SimGroup

    def submit(self, log: Log, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """Send a record."""
        self.driver.submit(log, key + value, value, on_ack)  # a simulated broker knows repeated records by their keys

    @asynccontextmanager
    async def open_commands(self, group: str) -> AsyncIterator[SimReader]:
        """Join the group; it is for the test to give partitions."""
        await self._ensure(self.config.command_topic)
        reader = SimReader(self.driver.broker)
        self.group.members.append(reader)
        try:
            yield reader
        finally:
            self.group.members.remove(reader)

    @asynccontextmanager
    async def open_replies(self, place: int) -> AsyncIterator[SimReader]:
        """Read a partition of the reply topic from its end on."""
        await self._ensure(self.config.reply_topic)
        reader = SimReader(self.driver.broker)
        log = Log(self.config.reply_topic, place)
        reader.assign(log, self.driver.broker.log(log.topic, place).end)
        yield reader

    async def _ensure(self, topic: str) -> None:
        spec = TopicSpec(topic, self.config.shared.partitions, {"cleanup.policy": "delete"}, role="events")
        await self.driver.ensure_topics([spec])
