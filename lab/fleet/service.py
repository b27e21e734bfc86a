"""One process of the fleet: `python -m lab.fleet.service BOOTSTRAP PREFIX NAME SEED COMMANDS IDS`.

It prints one line of JSON for each command, before it asks and after it was told, so that a process that is killed has said what it
was at. SIGTERM ends it in order.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time

import trio

from kafka_persist import Config, EntityType, JournalConfig, open_persistence
from kafka_persist.config import EventProducerConfig, SharedConfig
from kafka_persist.errors import BrokerError, CommandRefused, StoreClosed, WriteOutcomeUnknown
from kafka_persist.shards import Shards

PARTITIONS = 6
ASKERS = 8


def evolve(state: int, _event: str) -> int:
    """Count the commands."""
    return state + 1


def note(_state: int, command: str) -> list[str]:
    """Store which command it was."""
    return [command]


counter = EntityType("counter", initial=0, evolve=evolve, commands=[note])


def config_of(bootstrap: str, prefix: str) -> Config:
    """The configuration of all processes."""
    nothing = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")
    journal = JournalConfig(
        bootstrap_servers=bootstrap,
        prefix=prefix,
        layout="shared",
        shared=SharedConfig(partitions=PARTITIONS),
        event_producer=nothing,
        consumer={"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
    )
    return Config(journal=journal)


def say(**what: object) -> None:
    """Print a line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def ask(shards: Shards, name: str, asker: int, seed: int, commands: int, ids: int) -> None:
    """One asker: its commands one after the other."""
    chance = random.Random(f"{seed}/{asker}")  # noqa: S311 - chances, not secrets
    for number in range(commands):
        id_, command = str(chance.randrange(ids)), f"{name}/{asker}/{number}"
        say(asked=command, id=id_)
        begun = time.monotonic()
        try:
            await shards.ask(counter, id_, note, command)
            outcome = "done"
        except WriteOutcomeUnknown:
            outcome = "unknown"
        except (BrokerError, CommandRefused):
            outcome = "not"
        except StoreClosed:
            return  # told to end: this one is unknown
        say(told=command, outcome=outcome, seconds=round(time.monotonic() - begun, 4))


async def watch(scope: trio.CancelScope) -> None:
    """End at SIGTERM."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


async def main(bootstrap: str, prefix: str, name: str, seed: int, commands: int, ids: int) -> None:
    """Ask all commands, then stay for the others until told to end."""
    async with (
        open_persistence(config_of(bootstrap, prefix)) as persistence,
        persistence.shards(f"{prefix}fleet", counter, patience=20.0) as shards,
    ):
        say(ready=name)
        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, scope)
            with scope:
                async with trio.open_nursery() as askers:
                    for asker in range(ASKERS):
                        askers.start_soon(ask, shards, name, asker, seed, commands // ASKERS, ids)
                say(finished=name, statistics=repr(shards.statistics()))
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
    say(left=name)


if __name__ == "__main__":
    words = sys.argv
    trio.run(main, words[1], words[2], words[3], int(words[4]), int(words[5]), int(words[6]))
