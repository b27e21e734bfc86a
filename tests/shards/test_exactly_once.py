"""Every command takes effect exactly once, or is refused, and in the order of its asker: whatever happens to processes and group."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import trio
import trio.lowlevel

from kafka_persist.errors import BrokerError, CommandExpired, WriteOutcomeUnknown
from kafka_persist_testkit.sim import SeededNetwork

from .accounts import account, deposit
from .worlds import open_world

CERTAINLY_NOT = (BrokerError, CommandExpired)


class Crowd:
    """Askers, and what they were told."""

    def __init__(self, world, seed, ids):
        self.world, self.random, self.ids = world, random.Random(seed), ids
        self.told = {}
        self.asked = {}
        self.abandoned = set()
        self.running = 0

    async def ask(self, name, commands):
        """One asker: its commands one after the other, each at a process of its choice."""
        self.running += 1
        for number in range(commands):
            process = self.random.choice(self.world.living)
            id_, command = f"{self.random.randrange(self.ids)}", f"{name}/{number}"
            self.asked.setdefault((name, id_), []).append(command)
            self.told[command] = "unknown"  # also if the process is killed meanwhile
            answered = trio.Event()

            async def call(process=process, id_=id_, command=command, answered=answered):
                try:
                    await process.shards.ask(account, id_, deposit, 1, command)
                    self.told[command] = "done"
                except CERTAINLY_NOT:
                    self.told[command] = "not"
                except WriteOutcomeUnknown:
                    pass
                except trio.Cancelled:
                    self.abandoned.add(command)  # nobody waits for the end of its time before the next one
                    raise
                finally:
                    answered.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                nursery.start_soon(self._until, process.ended, nursery.cancel_scope)
                await answered.wait()
                nursery.cancel_scope.cancel()
        self.running -= 1

    async def _until(self, ended, scope):
        await ended.wait()
        scope.cancel()

    async def check(self):
        stored = await self.world.stored()
        commands = {name: [event[1] for event in events] for name, events in stored.items()}
        found = Counter(command for each in commands.values() for command in each)
        assert [command for command, count in found.items() if count > 1] == []
        assert [command for command, told in self.told.items() if told == "done" and not found[command]] == []
        assert [command for command, told in self.told.items() if told == "not" and found[command]] == []
        for (name, id_), asked in self.asked.items():
            known = [command for command in asked if command not in self.abandoned]
            in_order = [command for command in commands.get(f"account-{id_}", []) if command in known]
            assert in_order == [command for command in known if command in in_order], (name, id_)
        return found


async def disturb(world, chance, network, until):
    """Kill, add, rebalance, let a member believe nonsense, until all askers are done."""
    while not until():
        await trio.sleep(chance.uniform(0.01, 0.4))
        processes = world.living
        match chance.randrange(8):
            case 0 if len(processes) > 1:
                chance.choice(processes).kill()
            case 1 | 2 if len(processes) < 4:
                await world.start(network, patience=3.0)
                world.rebalance()
            case 3:
                world.rebalance()
            case 4 if len(processes) > 1:  # it does not hear of what it has lost
                deaf = chance.choice(processes)
                deaf.reader.deaf = True
                log = world.log(chance.randrange(world.partitions))
                world.group.give(log, chance.choice(processes).reader)
                await trio.sleep(chance.uniform(0, 1))
                deaf.reader.deaf = False
            case 5 if processes:  # two members with one partition
                log = world.log(chance.randrange(world.partitions))
                world.group.give(log, chance.choice(processes).reader, alone=False)
            case 6 if processes:  # another program, or an old process, takes a log
                await world.disturb_log(chance)
            case 7:
                world.broker.stop()
                await trio.sleep(chance.uniform(0, 0.5))
                world.broker.start()
        world.mend()
    network.calm = True


@pytest.mark.parametrize("seed", range(2))
async def test_commands_take_effect_exactly_once_and_in_order(seed, autojump_clock):
    """Three askers over a few ids, so that hot ones are among them, on up to four processes."""
    chance = random.Random(seed)
    async with open_world(partitions=2) as world:
        network = SeededNetwork(seed, timeout=2.0, trouble=0.05)
        for _ in range(2):
            await world.start(network, patience=3.0)
        world.rebalance()
        crowd = Crowd(world, seed, ids=6)
        crowd.running = 3
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(crowd.ask, f"a{number}", 20)
            crowd.running = 0
            await trio.lowlevel.checkpoint()
            nursery.start_soon(disturb, world, chance, network, lambda: crowd.running == 0)
        found = await crowd.check()
        assert sum(found.values()) > 40
