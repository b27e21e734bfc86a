"""A kind of account, and a memory persistence with a registry."""

from __future__ import annotations

from contextlib import asynccontextmanager

import attrs
import pytest

from kafka_persist import (
    EntityType,
    Journal,
    MemoryBackend,
    Reply,
    Serializer,
    SnapshotStore,
    open_memory_journal,
    open_memory_snapshot_store,
    open_persistence_on,
)


@attrs.frozen
class Put:
    amount: int


@attrs.frozen
class Took:
    amount: int


class Refused(Exception):  # noqa: N818 - named as the state
    """What a command refuses with."""


def evolve(balance: int, event: Put | Took) -> int:
    return balance + event.amount if isinstance(event, Put) else balance - event.amount


def put(balance: int, amount: int) -> list[Put]:
    return [Put(amount)]


def take(balance: int, amount: int) -> Reply[int, Took]:
    if amount > balance:
        raise Refused(balance)
    return Reply(balance - amount, Took(amount))


def make_serializer():
    serializer = Serializer()
    serializer.register(Put)
    serializer.register(Took)
    return serializer


SERIALIZER = make_serializer()


def account_type(**options) -> EntityType[int, Put | Took]:
    return EntityType("account", initial=0, evolve=evolve, serializer=SERIALIZER, **options)


ACCOUNT = account_type()


class Faults:
    """What the next calls of a method do first or last: raise, or run an async function."""

    def __init__(self):
        self.before = []
        self.after = []
        self.calls = 0

    @asynccontextmanager
    async def around(self):
        self.calls += 1
        for steps in (self.before, self.after):
            if steps is self.after:
                yield
            step = steps.pop(0) if steps else None
            if callable(step):
                await step()
            elif step is not None:
                raise step


class FaultyJournal(Journal):
    def __init__(self, inner):
        self.inner = inner
        self.write_faults, self.claim_faults, self.delete_faults = Faults(), Faults(), Faults()
        self.replay, self.highest_sequence_nr = inner.replay, inner.highest_sequence_nr
        self.deleted_to = inner.deleted_to

    missing = frozenset()

    @property
    def capabilities(self):
        return frozenset(each for each in self.inner.capabilities if each.name not in self.missing)

    replay = highest_sequence_nr = None

    async def claim(self, persistence_id, writer):
        async with self.claim_faults.around():
            return await self.inner.claim(persistence_id, writer)

    async def write(self, writes):
        async with self.write_faults.around():
            return await self.inner.write(writes)

    async def delete_to(self, persistence_id, to_sequence_nr):
        async with self.delete_faults.around():
            await self.inner.delete_to(persistence_id, to_sequence_nr)


class FaultyStore(SnapshotStore):
    def __init__(self, inner):
        self.inner = inner
        self.save_faults = Faults()
        self.load, self.delete, self.delete_matching = inner.load, inner.delete, inner.delete_matching

    capabilities = property(lambda self: self.inner.capabilities)
    load = delete = delete_matching = None

    async def save(self, metadata, snapshot):
        async with self.save_faults.around():
            return await self.inner.save(metadata, snapshot)


class World:
    """Stores on one backend; `open` twice is what two processes do."""

    def __init__(self):
        self.backend = MemoryBackend()

    @asynccontextmanager
    async def open(self, serializer=SERIALIZER):
        async with (
            open_memory_journal(self.backend, serializer=serializer) as journal,
            open_memory_snapshot_store(self.backend, serializer=serializer) as store,
            open_persistence_on(FaultyJournal(journal), FaultyStore(store), serializer=serializer) as persistence,
        ):
            yield persistence

    def numbers(self, persistence_id="account-1"):
        return [event.fields.sequence_nr for event in self.backend.log(persistence_id).events]

    def snapshots(self, persistence_id="account-1"):
        return sorted(self.backend.snapshots.get(persistence_id, {}))


@pytest.fixture
def world():
    return World()
