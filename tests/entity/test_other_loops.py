"""Under another event loop each entry point says in one sentence what the library needs."""

from __future__ import annotations

import asyncio
import inspect

import pytest

import kafka_persist
from kafka_persist import Config, JournalConfig, MemoryBackend, UsageError
from kafka_persist.journal import open_journal_on
from kafka_persist.snapshots import open_snapshot_store_on

NOWHERE = JournalConfig(bootstrap_servers="127.0.0.1:1", connect_timeout=0.5)
OPENERS = {
    "open_events": lambda: kafka_persist.open_events(NOWHERE, "topic", group="group"),
    "open_journal": lambda: kafka_persist.open_journal(NOWHERE),
    "open_journal_on": lambda: open_journal_on(None),
    "open_memory_journal": lambda: kafka_persist.open_memory_journal(MemoryBackend()),
    "open_memory_persistence": kafka_persist.open_memory_persistence,
    "open_memory_snapshot_store": lambda: kafka_persist.open_memory_snapshot_store(MemoryBackend()),
    "open_persistence": lambda: kafka_persist.open_persistence(Config(journal=NOWHERE)),
    "open_persistence_on": lambda: kafka_persist.open_persistence_on(None, None),
    "open_projection": lambda: kafka_persist.open_projection(NOWHERE, "topic", None),
    "open_snapshot_store": kafka_persist.open_snapshot_store,
    "open_snapshot_store_on": lambda: open_snapshot_store_on(None),
}


def test_no_entry_point_is_forgotten():
    public = {name for name, each in inspect.getmembers(kafka_persist) if name.startswith("open_") and callable(each)}
    assert public <= OPENERS.keys()


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
def test_asyncio_is_told_that_the_library_needs_trio(opener):
    """In place of an AttributeError about a RunContext."""

    async def main():
        async with opener():
            pass

    with pytest.raises(UsageError, match=r"needs Trio: start the program with trio\.run"):
        asyncio.run(main())
