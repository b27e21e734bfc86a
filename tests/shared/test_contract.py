"""The shared layout keeps the journal's promises: the contract suite on simulated brokers."""

from contextlib import asynccontextmanager

import pytest
import trio

from compat_suite import JournalSpec
from compat_suite.capabilities import JOURNAL
from kafka_persist import JournalConfig
from kafka_persist._lifecycle import background
from kafka_persist.config import SharedConfig
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import SimBroker, open_sim_kafka

LIMIT = 256 * 1024


class TestSharedJournal(JournalSpec):
    capabilities = JOURNAL
    max_write_bytes = LIMIT
    largest_payload = LIMIT - 4_096
    examples = 20

    @pytest.fixture
    def open_journal(self):
        broker = SimBroker()
        config = JournalConfig(layout="shared", shared=SharedConfig(partitions=4), max_event_bytes=LIMIT)

        async def run():
            while True:  # several journals may be open, and the first one may be closed first: each drives the broker
                with trio.move_on_after(0.01):
                    await broker.clockwork.run()

        @asynccontextmanager
        async def opened():
            async with background("the broker") as tasks:
                tasks.spawn(run)
                async with open_sim_kafka(broker, config) as driver, open_journal_on(driver, config) as journal:
                    yield journal

        return opened
