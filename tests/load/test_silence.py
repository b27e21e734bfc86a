"""A broker that answers nobody: every public call ends soon when it is cancelled, and says what it knows when it is not."""

from __future__ import annotations

import random
import uuid

import pytest
import trio

from kafka_persist import (
    AtomicWrite,
    Config,
    JournalConfig,
    PersistenceError,
    PersistentRepr,
    SelectionCriteria,
    SnapshotMetadata,
    open_persistence,
)
from kafka_persist_testkit import TestServer

pytestmark = pytest.mark.broker

SOON = 5.0
"""Seconds that guard against hanging; each call is to end within one, which a machine under load may not manage."""


@pytest.fixture(scope="module")
def server():
    with TestServer() as server:
        yield server


@pytest.fixture
def paused(server):
    """Pauses the broker on request, and lets it go on at the end."""
    yield server.broker.pause
    server.broker.resume()


def total(state: int, event: int) -> int:
    return state + event


async def claim(persistence, name):
    await persistence.journal.claim(name, uuid.uuid4())


async def claim_new(persistence, name):
    await persistence.journal.claim(name + "-new", uuid.uuid4())


async def highest(persistence, name):
    await persistence.journal.highest_sequence_nr(name)


async def replay(persistence, name):
    async with persistence.journal.replay(name) as events:
        async for _ in events:
            pass


async def delete(persistence, name):
    await persistence.journal.delete_to(name, 1)


async def prepare(persistence, name):
    await persistence.journal.prepare([f"{name}-{number}" for number in range(3)])


async def load(persistence, name):
    await persistence.snapshot_store.load(name)


async def load_missing(persistence, name):
    await persistence.snapshot_store.load(name + "-none")


async def save(persistence, name):
    await persistence.snapshot_store.save(SnapshotMetadata(persistence_id=name, sequence_nr=1), 1)


async def remove(persistence, name):
    await persistence.snapshot_store.delete_matching(name, SelectionCriteria(max_sequence_nr=1))


async def entity(persistence, name):
    async with persistence.entity(name, initial=0, evolve=total) as opened:
        await opened.persist(1)


async def view(persistence, name):
    async with persistence.view(name, view_id=f"view-of-{name}", initial=0, evolve=total) as opened:
        await opened.update()


async def events(persistence, name):
    async with persistence.events("events", group=f"group-{name}") as stream:
        await stream.receive()


async def sweep(persistence, name):
    await persistence.journal.publish_pending([name])


CALLS = [
    claim, claim_new, highest, replay, delete, prepare, load, load_missing, save, remove, entity, view, events, sweep,
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_a_call_that_is_cancelled_ends_soon(server, paused, call, kafka_prefix):
    """Leaving the block as well: what it must wait for has its own limits."""
    name, chances = kafka_prefix + "id", random.Random(call.__name__)
    config = Config(journal=JournalConfig(bootstrap_servers=server.bootstrap_servers, delivery_timeout=4.0))
    with trio.fail_after(110):
        async with open_persistence(config) as persistence:
            async with persistence.entity(name, initial=0, evolve=total) as opened:
                await opened.persist(1)
                await opened.save_snapshot()
            await trio.to_thread.run_sync(paused)
            for _ in range(3):
                with trio.move_on_after(chances.uniform(0.0, 1.0)) as scope:
                    try:
                        await call(persistence, name)
                    except PersistenceError as error:
                        assert error.retriable or call in (save, remove, claim, claim_new, entity), error  # noqa: PT017
                late = trio.current_time() - scope.deadline
                if call not in WAITS_FOR_ITS_RECORD:
                    assert late < SOON, f"{call.__name__} ended {late:.1f} s after its cancellation"
                if call in HANDS_NOTHING_OVER:
                    assert scope.cancelled_caught, f"{call.__name__} ended with something else than Cancelled"


WAITS_FOR_ITS_RECORD = {claim, delete, save, remove, entity, sweep}
"""What was handed over is waited for: at most the delivery timeout."""

HANDS_NOTHING_OVER = {claim_new, highest, replay, prepare, load, events}
"""A broker that does not answer gives them no reason to end before they are cancelled: topics and ends are asked for first."""


async def test_a_write_in_flight_is_waited_for_no_longer_than_the_delivery_timeout(server, paused, kafka_prefix):
    name, writer = kafka_prefix + "id", uuid.uuid4()
    config = Config(journal=JournalConfig(bootstrap_servers=server.bootstrap_servers, delivery_timeout=2.0))
    with trio.fail_after(110):
        async with open_persistence(config) as persistence:
            journal = persistence.journal
            await journal.claim(name, writer)
            await trio.to_thread.run_sync(paused)
            event = PersistentRepr(persistence_id=name, sequence_nr=1, payload=1, writer=writer)
            started = trio.current_time()
            with trio.move_on_after(0.5), pytest.raises(PersistenceError):
                await journal.write([AtomicWrite([event])])
            assert trio.current_time() - started < 2.0 + SOON
            started = trio.current_time()
        assert trio.current_time() - started < 2 * (2.0 + 1.0) + SOON


async def test_who_asks_for_topics_waits_no_longer_because_others_ask(server, paused, kafka_prefix):
    """One deadline over all requests of a call, and none for those of others: three calls, one after the other."""
    connect = 2.0
    config = Config(journal=JournalConfig(bootstrap_servers=server.bootstrap_servers, connect_timeout=connect))
    took = []

    async def timed(persistence, number):
        began = trio.current_time()
        with pytest.raises(PersistenceError) as caught:
            await prepare(persistence, f"{kafka_prefix}{number}")
        assert caught.value.retriable, caught.value
        took.append(trio.current_time() - began)

    with trio.fail_after(110):
        async with open_persistence(config) as persistence:
            await trio.to_thread.run_sync(paused)
            async with trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(timed, persistence, number)
                    await trio.sleep(0.1)  # the next one must not share the request
    assert max(took) < 2 * connect + SOON, took
