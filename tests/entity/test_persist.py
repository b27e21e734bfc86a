"""What `persist` and `execute` promise, in memory and in Kafka."""

from __future__ import annotations

import attrs
import pytest
import trio

from kafka_persist import EventRejected, EvolveFailed, Serializer, UsageError


class RefusedError(Exception):
    """A command's own refusal."""


async def test_events_come_back_when_the_entity_is_opened_again(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a")
        await account.persist("b", "c")
    async with world.open() as persistence, entity(persistence) as account:
        assert (account.state, account.sequence_nr) == (["a", "b", "c"], 3)


async def test_several_events_are_one_write_with_ascending_numbers(world, entity, stored):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a", "b", "c")
        assert await stored(persistence) == [(1, "a"), (2, "b"), (3, "c")]


async def test_no_events_are_no_write(memory, entity):
    async with memory.open() as persistence, entity(persistence) as account:
        await account.persist()
        assert (account.sequence_nr, persistence.journal.before_write.calls) == (0, 0)


async def test_the_state_changes_only_when_the_events_are_durable(memory, entity, nursery):
    async with memory.open() as persistence, entity(persistence) as account:
        gate = trio.Event()
        persistence.journal.after_write.steps = [gate]
        nursery.start_soon(account.persist, "a")
        await trio.testing.wait_all_tasks_blocked()
        assert (account.state, account.sequence_nr) == ([], 0)
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert (account.state, account.sequence_nr) == (["a"], 1)


async def test_each_incarnation_is_a_writer_of_its_own(world, entity):
    for _ in range(2):
        async with world.open() as persistence, entity(persistence) as account:
            await account.persist("a")
            await account.persist("b")
    async with world.open() as persistence, persistence.journal.replay("account") as events:
        writers = [event.writer async for event in events]
    assert writers[0] == writers[1] != writers[2] == writers[3]


async def test_an_event_that_cannot_be_stored_is_rejected_and_the_entity_goes_on(world, entity, stored):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a")
        with pytest.raises(EventRejected, match="object") as caught:
            await account.persist("b", object())
        assert "object" in caught.value.rejection.reason
        assert (account.state, account.sequence_nr) == (["a"], 3)
        await account.persist("d")
        assert (account.state, account.sequence_nr) == (["a", "d"], 4)
        assert await stored(persistence) == [(1, "a"), (4, "d")]


async def test_an_event_that_is_too_large_is_rejected_with_its_size(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        with pytest.raises(EventRejected, match=r"2000\d\d\d"):
            await account.persist(b"x" * 2_000_000)


async def test_an_event_that_evolve_refuses_is_not_stored(world, entity, stored):
    def evolve(state, event):
        return state / event

    async with world.open() as persistence, entity(persistence, initial=12, evolve=evolve) as account:
        with pytest.raises(EvolveFailed, match="event 2") as caught:
            await account.persist(2, 0)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        await account.persist(3)
        assert (account.state, await stored(persistence)) == (4, [(1, 3)])


async def test_concurrent_calls_take_effect_in_the_order_in_which_they_were_made(world, entity, stored):
    async with world.open() as persistence, entity(persistence) as account:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(account.persist, number)
                await trio.lowlevel.checkpoint()
        assert account.state == list(range(20))
        assert await stored(persistence) == list(enumerate(range(20), start=1))


async def test_a_command_sees_the_state_and_its_events_are_stored(world, entity):
    async with world.open() as persistence, entity(persistence) as account:
        await account.persist("a")
        events = await account.execute(lambda state, sign, times: [f"{state[-1]}{sign}"] * times, "!", 2)
        assert events == ("a!", "a!")
        assert account.state == ["a", "a!", "a!"]


async def test_a_command_that_refuses_raises_its_own_error_and_stores_nothing(world, entity):
    def refuse(state):
        raise RefusedError(f"after {len(state)} events")

    async with world.open() as persistence, entity(persistence) as account:
        with pytest.raises(RefusedError, match="after 0 events"):
            await account.execute(refuse)
        await account.persist("a")
        assert account.sequence_nr == 1


async def test_no_event_comes_between_a_commands_look_and_its_own_events(world, entity):
    def take_one(balance):
        return [-1] if balance > 0 else []

    async with (
        world.open() as persistence,
        entity(persistence, initial=0, evolve=lambda balance, change: balance + change) as account,
    ):
        await account.persist(5)
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(account.execute, take_one)
        assert (account.state, account.sequence_nr) == (0, 6)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "None"),
        ("event", "an object of type str"),
        (b"event", "an object of type bytes"),
        ({"type": "event"}, "an object of type dict"),
        (7, "an object of type int"),
    ],
)
async def test_a_command_that_returns_no_collection_of_events_is_refused(memory, entity, answer, words):
    async with memory.open() as persistence, entity(persistence) as account:
        with pytest.raises(UsageError, match=f"returned {words}; a command returns a list"):
            await account.execute(lambda _: answer)
        assert account.sequence_nr == 0


async def test_a_command_that_is_a_coroutine_function_is_refused(memory, entity):
    async def decide(state):
        await trio.lowlevel.checkpoint()
        return [1]

    async with memory.open() as persistence, entity(persistence) as account:
        with pytest.raises(UsageError, match="decide returned a coroutine"):
            await account.execute(decide)


@pytest.mark.parametrize("several", [list, tuple, set, frozenset, iter])
async def test_events_in_one_collection_are_refused_with_the_advice_to_unpack_them(memory, entity, several):
    """`persist([e1, e2])` in place of `persist(e1, e2)`."""

    @attrs.frozen
    class Added:
        what: str

    serializer = Serializer()
    serializer.register(Added)
    events = several([Added("a"), Added("b")])
    async with memory.open(serializer=serializer) as persistence, entity(persistence) as account:
        with pytest.raises(EventRejected, match=r"pass them one by one: persist\(\*events\)"):
            await account.persist(events)

    def evolve(state, event):
        return [*state, event.what]

    async with memory.open(serializer=serializer) as persistence, entity(persistence, evolve=evolve) as account:
        with pytest.raises(EvolveFailed, match=r"pass them one by one: persist\(\*events\)") as raised:
            await account.persist(events)
        assert isinstance(raised.value.__cause__, AttributeError)


async def test_a_list_of_plain_data_is_an_event(memory, entity, stored):
    async with memory.open() as persistence, entity(persistence) as account:
        await account.persist(["a", "b"])
        assert await stored(persistence) == [(1, ["a", "b"])]
