"""What an operator sees of an outage: a line when the brokers are gone, one when they are back, not one for each attempt."""

from __future__ import annotations

import logging

import pytest
import trio

from kafka_persist import PersistenceError
from kafka_persist.driver import Fate, Log

from .conftest import Kafka, append

pytestmark = pytest.mark.broker


async def test_an_outage_is_two_lines(kafka_server_factory, caplog):
    server = kafka_server_factory()
    kafka = Kafka(server.bootstrap_servers)
    kafka.create("t")
    caplog.set_level(logging.INFO, "kafka_persist")
    async with kafka.driver(recovery_stall_timeout=2.0, delivery_timeout=60.0) as driver:
        assert (await append(driver, "t")).fate is Fate.STORED
        await trio.to_thread.run_sync(server.broker.kill)
        with pytest.raises(PersistenceError, match="no broker answers") as caught:
            await driver.scan(Log("t"), None, None)
        assert caught.value.retriable
        await trio.to_thread.run_sync(server.broker.start)
        assert (await append(driver, "t")).fate is Fate.STORED
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("kafka_persist")]
    assert len([line for line in lines if line.startswith("no broker answers")]) == 1, lines
    assert lines.count("brokers answer again") == 1, lines
    assert len(lines) == 2, lines
