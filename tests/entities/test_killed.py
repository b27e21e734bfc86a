"""Retention on a real broker, killed between any two of its steps."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio

import kafka_persist
from kafka_persist import SelectionCriteria, open_persistence

from .kind import ACCOUNT, SERIALIZER, STEPS, config_of, put

pytestmark = pytest.mark.broker

VICTIM = Path(__file__).with_name("victim.py")


async def run_victim(config, step, acknowledged):
    """Run a process until it dies at a step of retention; note how many commands it saw succeed."""
    paths = os.pathsep.join([str(Path(kafka_persist.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(VICTIM), config.journal.bootstrap_servers, config.journal.prefix, step, step]
    ended = await trio.run_process(
        command, capture_stdout=True, capture_stderr=True, check=False, env=os.environ | {"PYTHONPATH": paths}
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    acknowledged[step] = 5 + ended.stdout.count(b"stored\n")


async def test_killed_between_any_two_steps_of_retention(kafka_server, kafka_prefix):
    """No acknowledged event is lost, the id opens at once, and the next snapshot removes what the crash left behind."""
    config = config_of(kafka_server.bootstrap_servers, kafka_prefix)
    acknowledged = {}
    for step in STEPS:
        await run_victim(config, step, acknowledged)
    async with open_persistence(config, serializer=SERIALIZER) as persistence:
        for step in STEPS:
            persistence_id = ACCOUNT.persistence_id(step)
            async with persistence.entities() as entities:
                balance = await entities.state(ACCOUNT, step)
                assert acknowledged[step] <= balance <= acknowledged[step] + 1, step
                for _ in range(4):
                    await entities.execute(ACCOUNT, step, put, 1)
                assert await entities.state(ACCOUNT, step) == balance + 4
            newest = await persistence.snapshot_store.load(persistence_id)
            number = newest.metadata.sequence_nr
            assert newest.snapshot == number > acknowledged[step] - 4, step
            older = SelectionCriteria(max_sequence_nr=number - 1)
            assert await persistence.snapshot_store.load(persistence_id, older) is None, step
            async with persistence.journal.replay(persistence_id) as events:
                left = [event.sequence_nr async for event in events]
            assert left == list(range(number, balance + 5)), step  # keep_events=1: the snapshot's own event stays
