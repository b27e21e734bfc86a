"""What travels with events, and commands that clients repeat, from end to end on a real broker."""

from __future__ import annotations

import attrs
import pytest
import trio

from kafka_persist import (
    EventTopicMapper,
    MemoryProjectionStore,
    Reply,
    Tagged,
    caused_by,
    event_context,
    open_persistence,
    open_projection,
)
from kafka_persist.config import SharedConfig

from .conftest import ACCOUNT, SERIALIZER, Put, account_type
from .kind import config_of

pytestmark = pytest.mark.broker


def put_large(balance: int, amount: int) -> Reply[int, Put]:
    return Reply(balance + amount, Tagged(Put(amount), tags={"large"}, metadata={"who": "command"}))


@pytest.fixture(params=["topic-per-id", "shared"])
def config(request, kafka_server, kafka_prefix):
    made = config_of(kafka_server.bootstrap_servers, kafka_prefix)
    return attrs.evolve(
        made, journal=attrs.evolve(made.journal, layout=request.param, shared=SharedConfig(partitions=2))
    )


def opened(config, mapper=None):
    return open_persistence(config, serializer=SERIALIZER, event_topic_mapper=mapper)


async def test_a_command_that_is_repeated_in_another_process_takes_effect_once(config):
    """Whether its key is found in the events or in a snapshot; what it returned is returned again."""
    kind = account_type(snapshot_every=3)
    for _ in range(2):
        async with opened(config) as persistence, persistence.entities() as entities:
            for number in range(1, 5):
                assert await entities.execute_once(kind, "1", f"request-{number}", put_large, number) == sum(
                    range(number + 1)
                )
            assert await entities.state(kind, "1") == 10
            assert await entities.sequence_nr(kind, "1") == 4


async def test_two_processes_run_the_same_command_at_once(config):
    """Clients send a request again while its first run is still under way: one of the two has the effect."""
    async with opened(config) as one, one.entities() as first, opened(config) as two, two.entities() as second:
        replies = []

        async def run(entities):
            for number in range(1, 6):
                replies.append(await entities.execute_once(ACCOUNT, "1", f"request-{number}", put_large, number))  # noqa: PERF401

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, first)
            nursery.start_soon(run, second)
    async with opened(config) as persistence, persistence.entities() as entities:
        assert await entities.state(ACCOUNT, "1") == 15
        assert await entities.sequence_nr(ACCOUNT, "1") == 5
    assert sorted(replies) == sorted([1, 3, 6, 10, 15] * 2)


async def test_views_see_tags_and_ids(config):
    """And so does a replay: the context's, the command's, and the cause's."""

    def note(events, envelope):
        return [*events, envelope]

    async with opened(config) as persistence:
        async with persistence.entities() as entities:
            with event_context(tags={"web"}, correlation_id="request-18", causation_id="click"):
                await entities.execute_once(ACCOUNT, "1", "key", put_large, 5)
            async with persistence.view("account-1", view_id="v", initial=[], evolve=note, envelopes=True) as view:
                (event,) = view.state
            with caused_by(event):
                await entities.execute(ACCOUNT, "2", put_large, 6)
        async with persistence.journal.replay("account-2") as replayed:
            (second,) = [each async for each in replayed]
    assert event.tags == {"large", "web"}
    kept = {key: value for key, value in event.metadata.items() if key != "idempotency"}
    assert kept == {"who": "command", "correlation-id": "request-18", "causation-id": "click"}
    assert second.tags == {"large"}
    assert second.metadata == {"who": "command", "correlation-id": "request-18", "causation-id": "account-1#1"}


class To(EventTopicMapper):
    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


async def test_a_request_is_followed_through_consumers_and_projections(kafka_server, kafka_prefix):
    """A consumer causes the next command; the projection sees both events, and one correlation id."""
    config = config_of(kafka_server.bootstrap_servers, f"{kafka_prefix}j-")
    topic = f"{kafka_prefix}published"
    store = MemoryProjectionStore([], lambda model, event: [*model, event])
    async with opened(config, To(topic)) as persistence, persistence.entities() as entities:
        with event_context(correlation_id="request-18"):
            await entities.execute_once(ACCOUNT, "1", "key", put_large, 5)
        async with persistence.events(topic, group=f"{kafka_prefix}readers") as events:
            received = await events.receive()
            with caused_by(received):
                # The event's name is a key that a repeated delivery has again.
                key = f"{received.persistence_id}#{received.sequence_nr}"
                for _ in range(2):
                    assert await entities.execute_once(ACCOUNT, "2", key, put_large, 6) == 6
        async with (
            open_projection(config.journal, topic, store, serializer=SERIALIZER) as projection,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(projection.run)
            await projection.wait_for("account-2", 1)
            await projection.wait_for("account-1", 1)
            nursery.cancel_scope.cancel()
    assert received.tags == {"large"}
    found = {event.persistence_id: event for event in store.model}
    assert {name: event.tags for name, event in found.items()} == {"account-1": {"large"}, "account-2": {"large"}}
    ids = {
        name: (event.metadata["correlation-id"], event.metadata.get("causation-id")) for name, event in found.items()
    }
    assert ids == {"account-1": ("request-18", None), "account-2": ("request-18", "account-1#1")}
