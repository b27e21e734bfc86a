"""What a projection does with events that cannot be applied and records that cannot be read, and who waits for it."""

from __future__ import annotations

import logging

import pytest
import trio
from confluent_kafka import Producer

from kafka_persist import ErrorPolicy, MemoryProjectionStore, open_events, open_projection
from kafka_persist.errors import CorruptRecord, ProjectionFailed, StoredDataError, UnsupportedOperation, UsageError
from kafka_persist.projection import ProjectionStore

from .test_projection import World

POISON = 3


@pytest.fixture
def world(kafka_server, kafka_prefix, tmp_path):
    return World(kafka_server.bootstrap_servers, kafka_prefix, tmp_path)


class Failing:
    """Fails for the event with number 3, as often as it is told to."""

    def __init__(self, times=10**9):
        self.times = times
        self.tries = 0

    def __call__(self, model, event):
        if event.sequence_nr == POISON:
            self.tries += 1
            if self.tries <= self.times:
                raise LookupError("no such customer")
        return {**model, event.persistence_id: [*model.get(event.persistence_id, []), event.sequence_nr]}


def opened(world, store, **policy):
    return open_projection(world.config, world.topic, store, on_error=ErrorPolicy(first_pause=0.001, **policy))


@pytest.mark.broker
async def test_an_event_is_tried_again_until_it_is_applied(world):
    """A store that comes back loses nothing; the events before it are applied at once."""
    await world.write(5, "a")
    apply = Failing(times=4)
    store = MemoryProjectionStore({}, apply)
    async with opened(world, store, attempts=None) as projection:
        await projection.catch_up()
        assert (projection.applied, projection.skipped) == (5, 0)
    assert store.model == {"a": [1, 2, 3, 4, 5]}
    assert apply.tries == 5


@pytest.mark.broker
async def test_after_the_last_attempt_it_stops_at_the_event(world):
    """What came before it is applied, nothing after it, and the error names it."""
    await world.write(5, "a")
    apply = Failing()
    store = MemoryProjectionStore({}, apply)
    async with opened(world, store, attempts=3) as projection:
        with pytest.raises(ProjectionFailed, match="no such customer") as caught:
            await projection.catch_up()
    error = caught.value
    assert (error.topic, error.persistence_id, error.sequence_nr) == (world.topic, "a", POISON)
    assert isinstance(error.__cause__, LookupError)
    assert store.model == {"a": [1, 2]}
    assert apply.tries == 4  # once in the batch


def poison(world, partition=0):
    producer = Producer({"bootstrap.servers": world.servers})
    producer.produce(world.topic, value=b"no event", partition=partition)
    assert producer.flush(30) == 0


@pytest.mark.broker
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_cannot_be_applied_or_read_is_skipped_and_reported(world, caplog, kind):
    """It is counted and logged once; all others are applied, also in the next process, which does not meet it again."""
    await world.write(5, "a", "b")
    for partition in range(3):
        poison(world, partition)
    await world.write(1, "a")
    apply = Failing()

    def apply_to_sqlite(connection, event):
        apply({}, event)
        connection.execute("INSERT INTO balance VALUES (?, ?, 1)", (f"{event.persistence_id}{event.sequence_nr}", 1))

    store = MemoryProjectionStore({}, apply) if kind == "memory" else world.store(apply_to_sqlite)
    with caplog.at_level(logging.WARNING, "kafka_persist.projection"):
        async with opened(world, store, then="skip") as projection:
            await projection.catch_up()
            assert (projection.applied, projection.skipped) == (9, 5)
            await projection.wait_for("a", POISON)
    assert [record.event for record in caplog.records] == ["projection.skipped"] * 5
    assert sum("no such customer" in record.getMessage() for record in caplog.records) == 2
    async with opened(world, store) as projection:
        await projection.catch_up()
        assert (projection.applied, (await projection.lag()).records) == (0, 0)
    if kind == "memory":
        assert store.model == {"a": [1, 2, 4, 5, 6], "b": [1, 2, 4, 5]}
    else:
        assert store.last_applied("a") == 6
        store.connection.close()


class Unreachable(MemoryProjectionStore):
    def apply(self, events):
        raise ConnectionError("the database is down")


@pytest.mark.broker
async def test_a_store_that_cannot_be_reached_never_makes_events_be_skipped(world):
    """It is not the event's fault, and the next one would be skipped as well."""
    await world.write(2, "a")
    store = Unreachable({}, Failing())
    async with opened(world, store, attempts=2, then="skip") as projection:
        with pytest.raises(ProjectionFailed, match="the database is down"):
            await projection.catch_up()
        assert projection.skipped == 0
    assert store.positions() == {}


@pytest.mark.broker
async def test_what_is_left_out_goes_to_the_dead_letter_topic(world):
    """As it was, so that it can be looked at, and applied by hand."""
    await world.write(5, "a")
    dead = f"{world.prefix}dead"
    store = MemoryProjectionStore({}, Failing())
    async with opened(world, store, then="dead-letter", dead_letter_topic=dead) as projection:
        await projection.catch_up()
    assert store.model == {"a": [1, 2, 4, 5]}
    async with open_events(world.config, dead, group=f"{world.prefix}readers") as events:
        letter = await events.receive()
    assert (letter.persistence_id, letter.sequence_nr, letter.data) == ("a", POISON, POISON)


@pytest.mark.broker
async def test_a_record_that_cannot_be_read_stops_the_projection_by_default(world):
    """Trying again would not help."""
    await world.write(1, "a")
    poison(world)
    store = MemoryProjectionStore({}, Failing())
    async with opened(world, store, attempts=None) as projection:
        with pytest.raises(StoredDataError):
            await projection.catch_up()
    assert issubclass(CorruptRecord, StoredDataError)


@pytest.mark.broker
async def test_waiting_for_what_one_has_just_stored(world):
    """Who stores an event and then asks the read model finds it there."""
    await world.write(1, "a")
    store = MemoryProjectionStore({}, Failing(times=0))
    async with opened(world, store) as projection, trio.open_nursery() as nursery:
        nursery.start_soon(projection.run)
        await projection.wait_for("a", 1)
        with trio.move_on_after(0.05) as scope:
            await projection.wait_for("a", 2)
        assert scope.cancelled_caught
        await world.write(4, "a")
        await projection.wait_for("a", 5)
        assert store.model == {"a": [1, 2, 3, 4, 5]}
        nursery.cancel_scope.cancel()


class Bare(ProjectionStore):
    positions = apply = clear = None


def test_a_store_that_cannot_skip_says_so():
    """What a policy or `wait_for` needs beyond the first version of the interface is an error with a name."""
    with pytest.raises(UnsupportedOperation, match=r"Bare does not implement skip\(\)"):
        Bare().skip("topic", 0, 5, None)
    with pytest.raises(UnsupportedOperation, match=r"last_applied\(\)"):
        Bare().last_applied("a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"first_pause": 0}, "first_pause"),
        ({"longest_pause": float("inf")}, "longest_pause"),
        ({"then": "ignore"}, "then must be"),
        ({"then": "dead-letter"}, "dead_letter_topic"),
        ({"dead_letter_topic": "dead"}, "dead_letter_topic"),
        ({"then": "dead-letter", "dead_letter_topic": "no/topic"}, "dead_letter_topic"),
    ],
)
def test_a_policy_is_checked_when_it_is_made(options, message):
    """Not at the first event that fails."""
    with pytest.raises(UsageError, match=message):
        ErrorPolicy(**options)


def test_pauses_grow_up_to_a_limit():
    """Also after thousands of attempts."""
    policy = ErrorPolicy(attempts=None, first_pause=1, longest_pause=8)
    assert all(0.5 <= policy.pause(1) <= 1 for _ in range(20))
    assert all(4 <= policy.pause(number) <= 8 for number in (4, 5, 100, 100_000))
    assert policy.tries_again(10**9)
