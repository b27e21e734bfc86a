"""What only a real broker shows of a view."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

pytestmark = pytest.mark.broker


async def test_a_view_of_an_unknown_id_creates_no_topic(kafka_world, view, kafka_prefix):
    async with kafka_world.open() as persistence, view(persistence, "nobody") as statement:
        await statement.update()
    admin = AdminClient({"bootstrap.servers": kafka_world.config.journal.bootstrap_servers})
    assert not [topic for topic in admin.list_topics(timeout=10).topics if kafka_prefix in topic]


async def test_the_snapshot_topic_is_named_after_the_view(kafka_world, entity, view, kafka_prefix):
    async with kafka_world.open() as persistence, entity(persistence) as account, view(persistence) as statement:
        await account.persist("a")
        await statement.update()
        await statement.save_snapshot()
    admin = AdminClient({"bootstrap.servers": kafka_world.config.journal.bootstrap_servers})
    assert f"snapshot-{kafka_prefix}statement" in admin.list_topics(timeout=10).topics


async def test_following_reads_each_record_once_and_not_the_whole_log_again(kafka_world, entity, view):
    async with kafka_world.open() as here, kafka_world.open() as there, entity(here) as account:
        for number in range(30):
            await account.persist(number)
        async with view(there) as statement:
            positions = []
            driver = there.journal._driver
            scan = driver.scan

            async def noting(log, start, stop):
                positions.append(start)
                return await scan(log, start, stop)

            driver.scan = noting
            for number in range(5):
                await account.persist(number)
                await statement.update()
    assert statement.sequence_nr == 35
    assert positions
    assert all(position is not None and position > 30 for position in positions), positions


async def test_a_view_with_a_snapshot_does_not_read_what_is_before_it(kafka_world, entity, view):
    async with kafka_world.open() as persistence, entity(persistence) as account:
        for number in range(30):
            await account.persist(number)
        async with view(persistence) as statement:
            await statement.save_snapshot()
        await account.persist("x")
    async with kafka_world.open() as persistence:
        positions = []
        driver = persistence.journal._driver
        scan = driver.scan

        async def noting(log, start, stop):
            positions.append(start)
            return await scan(log, start, stop)

        driver.scan = noting
        async with view(persistence) as statement:
            assert statement.sequence_nr == 31
    assert all(position is not None and position >= 30 for position in positions), positions
