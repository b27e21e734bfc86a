"""Stores events of one entity until retention comes to a certain step, and dies there: SIGKILL, no handler, no cleanup.

``python victim.py SERVERS PREFIX ID STEP``; STEP is one of `STEPS`, "before" or "after" one of retention's three calls.
"""

from __future__ import annotations

import os
import signal
import sys

import trio
from kind import ACCOUNT, SERIALIZER, config_of, put

from kafka_persist import Journal, SnapshotStore, open_journal, open_persistence_on, open_snapshot_store


def die_at(step, current):
    if step == current:
        os.kill(os.getpid(), signal.SIGKILL)


class DyingJournal(Journal):
    def __init__(self, inner, step):
        self.inner, self.step = inner, step
        for name in ("claim", "write", "replay", "highest_sequence_nr", "deleted_to", "bookmark", "resume_from"):
            setattr(self, name, getattr(inner, name))

    capabilities = property(lambda self: self.inner.capabilities)
    claim = write = replay = highest_sequence_nr = None

    async def delete_to(self, persistence_id, to_sequence_nr):
        die_at(self.step, "before-events")
        await self.inner.delete_to(persistence_id, to_sequence_nr)
        die_at(self.step, "after-events")


class DyingStore(SnapshotStore):
    def __init__(self, inner, step):
        self.inner, self.step = inner, step
        self.load, self.delete = inner.load, inner.delete

    capabilities = property(lambda self: self.inner.capabilities)
    load = delete = None

    async def save(self, metadata, snapshot):
        die_at(self.step, "before-save")
        saved = await self.inner.save(metadata, snapshot)
        die_at(self.step, "after-save")
        return saved

    async def delete_matching(self, persistence_id, criteria):
        await self.inner.delete_matching(persistence_id, criteria)
        die_at(self.step, "after-snapshots")


async def main(servers, prefix, id_, step):
    config = config_of(servers, prefix)
    async with (
        open_journal(config.journal, serializer=SERIALIZER) as journal,
        open_snapshot_store(config.snapshot_store, serializer=SERIALIZER) as store,
    ):
        # The first snapshots are saved, and retention runs, as always; at the second one the process dies.
        async with open_persistence_on(journal, store) as persistence, persistence.entities() as entities:
            for _ in range(5):
                await entities.execute(ACCOUNT, id_, put, 1)
        dying = open_persistence_on(DyingJournal(journal, step), DyingStore(store, step))
        async with dying as persistence, persistence.entities() as entities:
            while True:
                await entities.execute(ACCOUNT, id_, put, 1)
                print("stored", flush=True)


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
