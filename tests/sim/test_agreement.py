"""The simulated broker and a real one give the same answers."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from . import journal_cases  # noqa: F401 - registers its cases
from .cases import CASES
from .stages import real_stage, sim_stage


@pytest.fixture
def clock():
    return MockClock(autojump_threshold=0)


@pytest.mark.parametrize("name", CASES)
async def test_the_simulated_broker_does(clock, name):
    fn, expected = CASES[name]
    async with sim_stage("topic") as stage:
        assert await fn(stage) == expected


@pytest.mark.broker
@pytest.mark.parametrize("name", CASES)
async def test_a_real_broker_does(kafka_server, kafka_prefix, name):
    fn, expected = CASES[name]
    async with real_stage(f"{kafka_prefix}topic", kafka_server.bootstrap_servers) as stage:
        assert await fn(stage) == expected
