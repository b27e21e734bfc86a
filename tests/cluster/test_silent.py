"""A broker that keeps its offices and answers nobody: silence is never an answer, and holds up only what is asked of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
from confluent_kafka.admin import AdminClient

from kafka_persist import Persistence, SelectionCriteria
from kafka_persist.errors import PersistenceError

from .load import append
from .times import Lateness

pytestmark = pytest.mark.broker

BROKERS_STAY_LEADERS = True

PIDS = [f"id-{number}" for number in range(24)]
EVENTS = [1, 2, 3, 4]
STALL = 12.0
AT_ONCE = 10.0
"""For answers that do not depend on the silent broker: less than waiting for it takes, and twenty times what they need. The
time in which this process did not run is not counted (`times`)."""


@attrs.frozen
class Scene:
    """Ids with snapshots, and which of them the broker leads that will be silent.

    Attributes:
        prefix: what their topics begin with.
        number: the broker's place in the list.
        journals, snapshots: whose journal or snapshot topic it leads.
    """

    prefix: str
    number: int
    journals: frozenset[str]
    snapshots: frozenset[str]


async def prepare(cluster, prefix) -> None:
    """Give every id events and a snapshot."""
    async with cluster.open(prefix) as home, trio.open_nursery() as nursery:
        for pid in PIDS:
            nursery.start_soon(work, home, pid)


async def work(home: Persistence, pid: str) -> None:
    """Store the events, if they are not, and a snapshot."""
    async with home.entity(pid, initial=[], evolve=append) as entity:
        await entity.persist(*EVENTS[entity.sequence_nr :])
        await entity.save_snapshot()


@pytest.fixture(scope="module")
def scene(servers) -> Scene:
    """The broker is none that decides about the others: the controller goes on."""
    prefix = "silent-"
    trio.run(prepare, servers, prefix)
    config = servers.config(prefix)
    with AdminClient(servers.server.client_config()) as client:
        metadata = client.list_topics(timeout=30)
    number = next(place for place, one in enumerate(servers.server.brokers) if one.broker_id != metadata.controller_id)
    broker_id = servers.server.brokers[number].broker_id

    def led(topic_name) -> frozenset[str]:
        return frozenset(pid for pid in PIDS if metadata.topics[topic_name(pid)].partitions[0].leader == broker_id)

    found = Scene(prefix, number, led(config.journal.topic_name), led(config.snapshot_store.topic_name))
    assert found.journals
    assert found.snapshots
    return found


@asynccontextmanager
async def silence(cluster, scene):
    """Inside, the broker is stopped."""
    await cluster.pause(scene.number)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await cluster.resume(scene.number)


@asynccontextmanager
async def opened_before(cluster, scene):
    """A persistence that knew the broker before it fell silent."""
    async with cluster.open(scene.prefix, stall=STALL) as home:
        for pid in PIDS:
            await snapshot_of(home, pid)
        async with silence(cluster, scene):
            yield home


@asynccontextmanager
async def opened_meanwhile(cluster, scene):
    """A persistence that never heard a word of the broker."""
    async with silence(cluster, scene), cluster.open(scene.prefix, stall=STALL) as home:
        yield home


@attrs.define(eq=False)
class Answers:
    """What calls for many ids at once gave, and when."""

    kinds: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    late: list[str] = attrs.field(factory=list)
    lateness: Lateness = attrs.field(factory=Lateness)

    async def ask(self, pid: str, async_fn, *, silent: bool) -> None:
        """Call, and expect the events or, of a silent leader, an error that passes."""
        began = trio.current_time() - self.lateness.seconds
        try:
            found = await async_fn(pid)
        except PersistenceError as error:
            self.kinds[f"{type(error).__name__}, {'silent' if silent else 'living'} leader"] += 1
            if not (error.retriable and silent):
                self.wrong.append(f"{pid}: {error!r}")
        else:
            self.kinds["answer"] += 1
            if found != EVENTS:
                self.wrong.append(f"{pid}: {found!r}")
        took = trio.current_time() - self.lateness.seconds - began
        if not silent and took > AT_ONCE:
            self.late.append(f"{pid} {took:.1f} s")


async def snapshot_of(home: Persistence, pid: str) -> object:
    found = await home.snapshot_store.load(pid)
    return None if found is None else found.snapshot


async def events_of(home: Persistence, pid: str) -> object:
    async with home.journal.replay(pid) as events:
        return [event.payload async for event in events]


@pytest.mark.parametrize("opened", [opened_before, opened_meanwhile])
async def test_no_answer_is_not_read_as_nothing_there_and_others_do_not_wait(cluster, scene, opened):
    """Rows 4 and 20: no snapshot is loaded as None, no log read as empty or truncated; what others lead is answered soon."""
    answers = Answers()
    async with opened(cluster, scene) as home, trio.open_nursery() as around:
        around.start_soon(answers.lateness.measure)
        async with trio.open_nursery() as nursery:
            for pid in PIDS:
                snapshot = partial(answers.ask, pid, partial(snapshot_of, home), silent=pid in scene.snapshots)
                events = partial(answers.ask, pid, partial(events_of, home), silent=pid in scene.journals)
                nursery.start_soon(snapshot)
                nursery.start_soon(events)
        around.cancel_scope.cancel()
    assert (answers.wrong, answers.late) == ([], []), answers.kinds


async def test_a_deletion_of_snapshots_that_returns_has_deleted(cluster, scene):
    """Row 4: no answer is not "nothing to delete"."""
    returned: list[str] = []

    async def delete(home: Persistence, pid: str) -> None:
        with contextlib.suppress(PersistenceError):
            await home.snapshot_store.delete_matching(pid, SelectionCriteria(max_sequence_nr=len(EVENTS)))
            returned.append(pid)

    async with opened_before(cluster, scene) as home, trio.open_nursery() as nursery:
        for pid in scene.snapshots:
            nursery.start_soon(delete, home, pid)
    async with cluster.open(scene.prefix) as home:
        left = [pid for pid in returned if await snapshot_of(home, pid) is not None]
        for pid in returned:
            await work(home, pid)  # the next test finds it as before
    assert left == []
