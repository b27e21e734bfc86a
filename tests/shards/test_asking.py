"""Asking for commands: here, elsewhere, refused, too late, with a key."""

from __future__ import annotations

import pytest
import trio

from kafka_persist import EntityType
from kafka_persist.errors import CommandExpired, CommandRefused, SerializationError, UsageError, WriteOutcomeUnknown

from .accounts import (
    Unregistered,
    account,
    balance,
    blame_it_late,
    blame_the_broker,
    deposit,
    evolve,
    give_back_unregistered,
    store_unregistered,
    withdraw,
)
from .worlds import open_world


async def test_a_command_is_executed_by_whoever_has_the_shard(autojump_clock):
    """As a call where the shard is here, as a command elsewhere, with the same results."""
    async with open_world() as world:
        one, other = await world.start(), await world.start()
        world.rebalance()
        await one.shards.wait_here()
        await other.shards.wait_here()
        for number in range(20):
            assert await one.shards.ask(account, f"{number}", deposit, 5) == ([5, ""],)
            assert await other.shards.ask(account, f"{number}", withdraw, 2) == 3
        assert {name: len(events) for name, events in (await world.stored()).items()} == {
            f"account-{number}": 2 for number in range(20)
        }
        for process in (one, other):
            found = process.shards.statistics()
            assert found.called > 0
            assert found.sent > 0
            assert found.executed > 0
            assert found.here == 1
            assert process.shards.health().healthy


async def test_a_refusal_is_the_same_here_and_elsewhere(autojump_clock):
    """Nothing is stored, its kind and its reason are told, and the next command goes on."""
    async with open_world(partitions=1) as world:
        one, other = await world.start(), await world.start()
        world.group.give(world.log(0), one.reader)
        await one.shards.wait_here()
        for process in (one, other):
            with pytest.raises(CommandRefused, match="InsufficientFunds: 0 is less than 7") as caught:
                await process.shards.ask(account, "a", withdraw, 7)
            assert (caught.value.kind, caught.value.reason) == ("InsufficientFunds", "0 is less than 7")
            assert caught.value.persistence_id == "account-a"
        for process in (one, other):
            with pytest.raises(CommandRefused, match="not registered"):
                await process.shards.ask(account, "a", give_back_unregistered)
            with pytest.raises(CommandRefused, match="register its type"):
                await process.shards.ask(account, "a", store_unregistered)
        assert await other.shards.ask(account, "a", deposit, 7) == ([7, ""],)
        assert await one.shards.ask(account, "a", balance) == 7


@pytest.mark.parametrize("command", [blame_the_broker, blame_it_late], ids=lambda command: command.__name__)
async def test_whatever_a_command_raises_refuses_it(autojump_clock, command):
    """Also what says of a journal's call that it may succeed later: the command is not executed again and again."""
    async with open_world(partitions=1) as world:
        one, other = await world.start(), await world.start()
        world.group.give(world.log(0), one.reader)
        await one.shards.wait_here()
        for process in (one, other):
            with trio.fail_after(20), pytest.raises(CommandRefused, match="what another service of the program said"):
                await process.shards.ask(account, "a", command)
            assert await process.shards.ask(account, "a", balance) == 0
        assert one.shards.statistics().failures == 0


async def test_a_command_that_cannot_be_stored_does_not_hold_others_up(autojump_clock):
    """It is refused, and those of the same batch take effect."""
    async with open_world(partitions=1) as world:
        one, other = await world.start(), await world.start()
        refusals = []

        async def ask(number):
            try:
                command = store_unregistered if number % 3 == 0 else deposit
                await other.shards.ask(account, f"{number}", command, *(() if number % 3 == 0 else (1,)))
            except CommandRefused as error:
                refusals.append((number, error.kind))

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(ask, number)
            await trio.sleep(0.1)  # all of them wait for an owner
            world.group.give(world.log(0), one.reader)
        assert sorted(refusals) == [(number, "EventRejected") for number in (0, 3, 6, 9)]
        assert len(await world.stored()) == 8
        assert one.shards.statistics().batches < 8


async def test_a_command_whose_time_is_up_is_not_executed(autojump_clock):
    """It waits in the topic while nobody has the shard; the owner that comes tells the asker, if that still waits."""
    async with open_world(partitions=1) as world:
        one, other = await world.start(patience=2.0), await world.start(patience=2.0)
        with pytest.raises(WriteOutcomeUnknown, match="not begun any more"):
            await other.shards.ask(account, "a", deposit, 7)
        world.group.give(world.log(0), one.reader)
        await one.shards.wait_here()
        assert await other.shards.ask(account, "a", balance) == 0
        world.group.give(world.log(0), other.reader)
        await other.shards.wait_here()
        world.group.members[1].told.clear()
        await trio.sleep(0.2)
        async with trio.open_nursery() as nursery:

            async def late():
                with pytest.raises(CommandExpired):
                    await one.shards.ask(account, "a", deposit, 7)

            nursery.start_soon(late)
            await trio.sleep(2.3)
            world.group.give(world.log(0), other.reader)
        assert await other.shards.ask(account, "a", balance) == 0


async def test_a_key_makes_asking_again_safe(autojump_clock):
    """The first answer comes again, here and elsewhere, and the command takes effect once."""
    async with open_world(partitions=1) as world:
        one, other = await world.start(), await world.start()
        world.group.give(world.log(0), one.reader)
        await one.shards.wait_here()
        await one.shards.ask(account, "a", deposit, 10)
        answers = [
            await process.shards.ask_once(account, "a", "request-1", withdraw, 4) for process in (other, one, other)
        ]
        assert answers == [6, 6, 6]
        assert await one.shards.ask(account, "a", balance) == 6
        events = await other.shards.ask_once(account, "a", "request-2", deposit, 4)
        assert events == await other.shards.ask_once(account, "a", "request-2", deposit, 4)


async def test_a_damaged_command_is_left_out(autojump_clock):
    """Whatever another program writes to the topic, the commands behind it are executed."""
    async with open_world(partitions=1) as world:
        one, other = await world.start(), await world.start()
        world.group.give(world.log(0), one.reader)
        await one.shards.wait_here()
        log = world.broker.log(world.config.command_topic)
        for value in (None, b"", b"\xff", b"\x81\x02", b"\x8b\x01" + b"\x00" * 10):
            log.append(b"", value)
        assert await other.shards.ask(account, "a", deposit, 7) == ([7, ""],)
        assert one.shards.statistics().failures == 0


async def test_a_call_does_not_overtake_a_command(autojump_clock):
    """As long as a question of this process is on its way to a shard, those after it go the same way."""
    async with open_world(partitions=1) as world:
        one = await world.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.shards.ask, account, "a", deposit, 1, "first")
            await trio.sleep(0.1)
            world.group.give(world.log(0), one.reader)
            await one.shards.wait_here()
            nursery.start_soon(one.shards.ask, account, "a", deposit, 1, "second")
        assert (await world.stored())["account-a"] == [[1, "first"], [1, "second"]]


async def test_what_cannot_be_asked_is_said_at_once(autojump_clock):
    """A type or a command that other processes would not know, an argument without a stored form."""
    async with open_world(partitions=1) as world:
        one = await world.start()
        with pytest.raises(UsageError, match="commands=\\["):
            await one.shards.ask(account, "a", evolve, 1)
        with pytest.raises(UsageError, match="not opened with the type"):
            await one.shards.ask(EntityType("other", initial=0, evolve=evolve), "a", deposit, 1)
        with pytest.raises(SerializationError, match="not registered"):
            await one.shards.ask(account, "a", deposit, Unregistered())


async def test_an_owner_gives_its_address(autojump_clock):
    """Who forwards requests learns where to: of the last one that claimed the log."""
    async with open_world(partitions=2) as world:
        one, other = await world.start(address="http://one:80"), await world.start()
        world.group.give(world.log(0), one.reader)
        world.group.give(world.log(1), one.reader)
        await one.shards.wait_here(2)
        for process in (one, other):
            assert await process.shards.owner(account, "a") == "http://one:80"
            assert await process.shards.map() == {0: "http://one:80", 1: "http://one:80"}
        world.group.give(world.log(0), other.reader)
        await other.shards.wait_here()
        assert await one.shards.map() == {0: "", 1: "http://one:80"}


async def test_who_leaves_hands_over_at_once(autojump_clock):
    """Its entities are closed, its batch is completed, and what it stored is there for the next one."""
    async with open_world(partitions=1) as world:
        one, other = await world.start(), await world.start()
        world.group.give(world.log(0), one.reader)
        await one.shards.wait_here()
        await other.shards.ask(account, "a", deposit, 7)
        world.group.give(world.log(0), other.reader)
        await other.shards.wait_here()
        assert await other.shards.ask(account, "a", withdraw, 2) == 5
        assert await one.shards.ask(account, "a", withdraw, 2) == 3
        assert one.shards.here == frozenset()
