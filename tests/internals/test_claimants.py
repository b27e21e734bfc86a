"""Who has an id is told to whoever lost it."""

from __future__ import annotations

import os
import socket
import uuid

import pytest

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr, WriterFenced
from kafka_persist._core.claimant import Claimant
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import open_sim_broker, open_sim_kafka

OLD, NEW = uuid.UUID(int=1), uuid.UUID(int=2)


def atomic(number: int, writer: uuid.UUID) -> AtomicWrite:
    return AtomicWrite([PersistentRepr(persistence_id="id", sequence_nr=number, payload=number, writer=writer)])


async def refusal(old: JournalConfig, new: JournalConfig) -> str:
    """What a writer is told whose id another process has taken over."""
    async with (
        open_sim_broker() as broker,
        open_sim_kafka(broker, old) as first,
        open_sim_kafka(broker, new) as second,
        open_journal_on(first, old) as loser,
        open_journal_on(second, new) as winner,
    ):
        await loser.claim("id", OLD)
        await winner.claim("id", NEW)
        with pytest.raises(WriterFenced, match="not stored") as caught:
            await loser.write([atomic(1, OLD)])
        return str(caught.value)


async def test_the_error_names_host_and_process_and_time(autojump_clock):
    told = await refusal(JournalConfig(host_name="host-a"), JournalConfig(host_name="host-b"))
    assert f"taken over by process {os.getpid()} on host-b at 20" in told


async def test_the_host_is_this_one_unless_it_is_configured(autojump_clock):
    told = await refusal(JournalConfig(host_name="host-a"), JournalConfig())
    assert f"process {os.getpid()} on {socket.gethostname()[:100]} at 20" in told


async def test_the_host_may_be_kept_back(autojump_clock):
    told = await refusal(JournalConfig(host_name="host-a"), JournalConfig(host_name=""))
    assert f"taken over by process {os.getpid()} at 20" in told


async def test_one_process_that_claims_twice_is_told_that_it_was_itself(autojump_clock):
    """Two entities of one id in one program: nobody else is to be looked for."""
    async with open_sim_broker() as broker, open_sim_kafka(broker) as driver, open_journal_on(driver) as journal:
        with pytest.raises(WriterFenced, match="nobody has ever claimed"):
            await journal.write([atomic(1, OLD)])
        await journal.claim("id", OLD)
        await journal.claim("id", NEW)
        with pytest.raises(WriterFenced, match=f"taken over by this process {os.getpid()} on"):
            await journal.write([atomic(1, OLD)])


@pytest.mark.parametrize(
    ("claimant", "told"),
    [
        (Claimant("host", 4711, 1_764_038_592_123), "process 4711 on host at 2025-11-25T02:43:12.123Z"),
        (Claimant("a\nb", 1, 0), r"process 1 on a\nb at 1970-01-01T00:00:00.000Z"),
        (Claimant("", 1, 1 << 62), f"process 1 at {1 << 62} ms"),
    ],
)
def test_a_claimant_is_one_line_whatever_it_holds(claimant, told):
    assert str(claimant) == told
