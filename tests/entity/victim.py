"""Works on entities until Ctrl-C, and says what is stored: python victim.py BOOTSTRAP_SERVERS PREFIX WORK.

It catches nothing and has no nursery of its own: how the program ends is how the library lets it end.
"""

import sys
import time

import attrs
import trio

from kafka_persist import Config, JournalConfig, Serializer, SnapshotStoreConfig, open_persistence

SERIALIZER = Serializer()


@SERIALIZER.register_type()
@attrs.frozen
class Put:
    """Large enough that much of the time goes into encoding it."""

    number: int
    words: list[str]


@SERIALIZER.register_type()
@attrs.frozen
class State:
    count: int
    last: list[str]


def evolve(state, event):
    return State(state.count + 1, event.words)


def open_entity(persistence, persistence_id):
    return persistence.entity(persistence_id, initial=State(0, []), evolve=evolve, snapshot_every=7)


def view_of(persistence, persistence_id):
    name = f"{persistence_id}-view"
    return persistence.view(persistence_id, view_id=name, initial=State(0, []), evolve=evolve, snapshot_every=5)


async def write(persistence):
    """Persist on one entity, which saves snapshots in the background, beside a view of it; events are published."""
    async with open_entity(persistence, "written") as entity, view_of(persistence, "written") as view:
        while True:
            await entity.persist(*[Put(number, ["word"] * 20) for number in range(20)])
            print("stored", entity.sequence_nr, flush=True)
            await view.update()


async def visit(persistence):
    """Open, write to and leave one new entity after the other."""
    number = 0
    while True:
        number += 1
        async with open_entity(persistence, f"visited-{number % 20}") as entity:
            await entity.persist(Put(number, ["word"]))
            print("stored", entity.sequence_nr, flush=True)


async def work(servers, prefix, kind):
    config = Config(
        journal=JournalConfig(bootstrap_servers=servers, prefix=prefix),
        snapshot_store=SnapshotStoreConfig(bootstrap_servers=servers, prefix=f"snapshot-{prefix}"),
    )
    begun = False
    while True:
        async with open_persistence(config, serializer=SERIALIZER) as persistence:
            if not begun:
                print("begun", flush=True)
                begun = True
            if kind == "write":
                await write(persistence)
            if kind == "visit":
                await visit(persistence)
            # With any other kind of work it is opened and closed, again and again.


try:
    trio.run(work, *sys.argv[1:])
finally:
    print("ended", time.monotonic(), flush=True)
