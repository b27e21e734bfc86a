"""What goes in with an event: tags, metadata, correlation and causation."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import Reply, Tagged, UsageError, caused_by, event_context

from .conftest import ACCOUNT, Put, account_type, put


async def stored(persistence, persistence_id="account-1"):
    async with persistence.journal.replay(persistence_id) as events:
        return [event async for event in events]


def put_tagged(balance: int, amount: int) -> list[Tagged[Put]]:
    return [Tagged(Put(amount), tags={"large"}, metadata={"who": "command"})]


async def test_tags_and_metadata_are_stored_beside_the_event(world):
    """The command returns bare events, and `evolve` gets them bare."""
    async with world.open() as persistence, persistence.entities() as entities:
        assert await entities.execute(ACCOUNT, "1", put_tagged, 5) == (Put(5),)
        assert await entities.execute(ACCOUNT, "1", lambda balance: Reply(balance, Tagged(Put(1), tags=["small"]))) == 5
        assert await entities.state(ACCOUNT, "1") == 6
        first, second = await stored(persistence)
    assert (first.payload, first.tags, first.metadata) == (Put(5), frozenset({"large"}), {"who": "command"})
    assert (second.tags, second.metadata) == (frozenset({"small"}), None)


async def test_what_is_nearer_to_the_event_wins(world):
    """The event's own before the type's, the type's before the inner block's, that before the outer block's."""
    kind = account_type(tagger=lambda _event: ["account"], metadata=lambda _event: {"who": "type", "version": 3})
    outer = event_context(tags=["all"], metadata={"who": "outer", "where": "outer"}, correlation_id="request-1")
    with outer, event_context(metadata={"where": "inner", "version": 1}, causation_id="click"):
        async with world.open() as persistence, persistence.entities() as entities:
            await entities.execute(kind, "1", put_tagged, 5)
            (event,) = await stored(persistence)
    assert event.tags == {"account", "all", "large"}
    assert event.metadata == {
        "who": "command",
        "version": 3,
        "where": "inner",
        "correlation-id": "request-1",
        "causation-id": "click",
    }


async def test_the_context_is_that_of_the_task_which_calls(world):
    """Requests that share an entity do not get each other's correlation id."""
    async with world.open() as persistence, persistence.entities() as entities:

        async def request(number):
            with event_context(correlation_id=f"request-{number}"):
                await trio.lowlevel.checkpoint()
                await entities.execute(ACCOUNT, "1", put, number)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(request, number)
        assert all(
            event.metadata["correlation-id"] == f"request-{event.payload.amount}" for event in await stored(persistence)
        )


async def test_a_cause_is_named_in_what_it_leads_to(world):
    """The causation id is the event's name; the correlation id goes on from event to event."""
    async with world.open() as persistence, persistence.entities() as entities:
        await entities.execute(ACCOUNT, "1", put, 1)
        (first,) = await stored(persistence)
        with caused_by(first):
            await entities.execute(ACCOUNT, "2", put, 1)
        (second,) = await stored(persistence, "account-2")
        with caused_by(second):
            await entities.execute(ACCOUNT, "3", put, 1)
        (third,) = await stored(persistence, "account-3")
    assert second.metadata == {"correlation-id": "account-1#1", "causation-id": "account-1#1"}
    assert third.metadata == {"correlation-id": "account-1#1", "causation-id": "account-2#1"}


@pytest.mark.parametrize(
    "options",
    [
        {"tags": "large"},
        {"tags": [1]},
        {"metadata": {1: "a"}},
        {"metadata": "text"},
        {"metadata": {"idempotency": 1}},
    ],
)
def test_what_cannot_be_stored_is_refused_where_it_is_given(options):
    """A text is no collection of tags, and the library's own key is taken."""
    with pytest.raises(UsageError):
        Tagged(Put(1), **options)
    with pytest.raises(UsageError), event_context(**options):
        pass


def test_an_event_is_tagged_once():
    """Of two sets of tags nobody could say which one counts."""
    with pytest.raises(UsageError, match="once"):
        Tagged(Tagged(Put(1)))


def test_tagged_events_and_replies_compare_by_what_they_hold():
    """Tests of commands compare them."""
    assert Tagged(Put(1), tags=["a"]) == Tagged(Put(1), tags={"a"}) != Tagged(Put(1))
    assert Reply(1, Put(1)) == Reply(1, Put(1)) != Reply(2, Put(1))
    assert repr(Reply(1, Tagged(Put(1), tags=["a"]))) == "Reply(1, Tagged(Put(amount=1), tags=['a'], metadata={}))"
