"""Readers of many topics do not wait for librdkafka's timers: it is asked for each leader that it does not know."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

from kafka_persist._kafka import fetcher
from kafka_persist.driver import Log

from .conftest import numbers

pytestmark = pytest.mark.broker

TOPICS, READERS = 30, 16


async def test_each_unknown_leader_is_asked_for_at_once(kafka, kafka_prefix, monkeypatch):
    """Without that a topic waits for a timer of a second, and with 16 readers again and again (measured: 3 replays a second)."""
    steps: list[tuple[str, str]] = []

    class Noted(fetcher.Consumer):
        def incremental_assign(self, partitions: Any) -> None:
            steps.extend(("assigned", partition.topic) for partition in partitions)
            super().incremental_assign(partitions)

    def ask(client: Any, topic: str) -> None:
        steps.append(("asked", topic))
        fetcher_ask(client, topic)

    fetcher_ask = fetcher.ask_for_topic
    monkeypatch.setattr(fetcher, "Consumer", Noted)
    monkeypatch.setattr(fetcher, "ask_for_topic", ask)
    topics = [f"{kafka_prefix}{number}" for number in range(TOPICS)]
    kafka.create(*topics)
    left, chances, found = iter(range(4 * TOPICS)), random.Random(1), []

    async def read(driver: Any) -> None:
        for number in left:
            topic = topics[number] if number < TOPICS else chances.choice(topics)
            found.append(numbers(await driver.scan(Log(topic), None, None)))

    with trio.fail_after(60):
        async with kafka.driver() as driver, trio.open_nursery() as nursery:
            for _ in range(READERS):
                nursery.start_soon(read, driver)
    assert found == [[]] * 4 * TOPICS
    for topic in topics:
        assert [step for step, name in steps if name == topic][:2] == ["assigned", "asked"], topic
