"""Processes that are stopped, killed and raced for an id, on a real broker."""

from __future__ import annotations

import signal
from contextlib import ExitStack

import pytest
import trio

from kafka_persist import WriterFenced
from lab.soak.crash import POINTS
from tests.support.writer import Writer

from .conftest import running

pytestmark = pytest.mark.broker


def numbers_of_pairs(events) -> list[int]:
    """The numbers; of each pair, both events are there, by the same writer."""
    numbers = [event.sequence_nr for event in events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [event.writer for event in events[::2]] == [event.writer for event in events[1::2]]
    return numbers


async def test_a_stopped_process_that_goes_on_is_fenced_and_nothing_of_it_appears(calm, kafka_prefix):
    """Row 31: SIGSTOP in the middle of its writes, another process takes over, SIGCONT; five times."""
    pid = f"{kafka_prefix}id"
    with running(calm, pid) as zombie:
        for _ in range(5):
            for _ in range(20):
                assert (await zombie.line()).startswith("stored")
            zombie.process.send_signal(signal.SIGSTOP)
            async with calm.open() as journal:
                heir = Writer(pid)
                highest = await journal.claim(pid, heir.uuid)
                await journal.write([heir.write(highest + 1, "new", "owner")])
                zombie.process.send_signal(signal.SIGCONT)
                assert await zombie.error() == "WriterFenced"
                assert zombie.stored <= highest
                await journal.write([heir.write(highest + 3, "still", "owner")])
                assert len(numbers_of_pairs(await calm.events(pid))) == highest + 4
            zombie.go_on()


async def test_a_process_killed_at_any_point_of_a_write_leaves_it_whole_or_not_at_all(calm, kafka_prefix):
    """Row 30: SIGKILL before and behind the hand-over, before and behind the answer, in the 12th append."""
    with ExitStack() as stack:
        programs = {point: stack.enter_context(running(calm, kafka_prefix + point, point, 12)) for point in POINTS}
        for point, program in programs.items():
            assert await program.error() == ""
            assert program.process.wait(10) == -signal.SIGKILL
            assert program.stored == 20
            numbers = numbers_of_pairs(await calm.events(kafka_prefix + point))
            assert len(numbers) in {"before submit": (20,), "behind submit": (20, 22)}.get(point, (22,))
            async with calm.open() as journal:
                heir = Writer(kafka_prefix + point)
                assert await journal.claim(heir.persistence_id, heir.uuid) == len(numbers)


async def test_of_two_live_writers_one_goes_on_in_each_round(calm, kafka_prefix):
    """Row 32: both claim and write at once; the events of both together have no gap and no double."""
    pid, rounds, writes = f"{kafka_prefix}id", 10, 60
    outcomes: list[list[str]] = []

    async def compete(journal, outcome: list[str]) -> None:
        writer = Writer(pid)
        number = await journal.claim(pid, writer.uuid)
        try:
            for place in range(1, writes + 1):
                await journal.write([writer.write(number + place, str(writer.uuid))])
        except WriterFenced:
            outcome.append("fenced")
        else:
            outcome.append("stored")

    async with calm.open() as one, calm.open() as other:
        for _ in range(rounds):
            outcomes.append([])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(compete, one, outcomes[-1])
                nursery.start_soon(compete, other, outcomes[-1])
    assert all("stored" in outcome for outcome in outcomes), "somebody goes on"
    assert any("fenced" in outcome for outcome in outcomes), "they did compete"
    numbers = [event.sequence_nr for event in await calm.events(pid)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= writes * sum(outcome.count("stored") for outcome in outcomes)
