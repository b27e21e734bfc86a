"""Shards on a real broker: a real group, a process that leaves, one that comes."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from kafka_persist import Config, JournalConfig, open_persistence
from kafka_persist.config import EventProducerConfig, SharedConfig
from kafka_persist.errors import CommandRefused

from .accounts import account, balance, deposit, withdraw

pytestmark = pytest.mark.broker

NOTHING = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")


@pytest.fixture
def config(kafka_server, kafka_prefix):
    journal = JournalConfig(
        bootstrap_servers=kafka_server.bootstrap_servers,
        prefix=kafka_prefix,
        layout="shared",
        shared=SharedConfig(partitions=2),
        event_producer=NOTHING,
        consumer={"session.timeout.ms": 6000, "heartbeat.interval.ms": 200},
    )
    return Config(journal=journal)


@asynccontextmanager
async def process(config, **options):
    async with (
        open_persistence(config) as persistence,
        persistence.shards(f"{config.journal.prefix}service", account, **options) as shards,
    ):
        yield shards


async def test_two_processes_share_the_shards_and_one_takes_over(config):
    """Each has one shard; commands reach both from both; when one leaves, the other has all, with all that was stored."""
    with trio.fail_after(90):
        async with process(config) as one:
            await one.wait_here(2)
            assert await one.ask(account, "0", deposit, 5, "first") == ([5, "first"],)
            async with process(config) as other:
                await other.wait_here(1)
                for number in range(20):
                    await one.ask(account, f"{number}", deposit, 10)
                    await other.ask(account, f"{number}", withdraw, 3)
                with pytest.raises(CommandRefused, match="InsufficientFunds: 7 is less than 100"):
                    await other.ask(account, "1", withdraw, 100)
                assert one.statistics().sent > 0
                assert other.statistics().executed + one.statistics().executed > 0
            await one.wait_here(2)
            for number in range(20):
                assert await one.ask(account, f"{number}", balance) == (12 if number == 0 else 7)
