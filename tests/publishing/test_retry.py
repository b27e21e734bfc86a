"""Ids whose publishing failed are tried again: each after its own pause, the longer the more often it failed."""

from __future__ import annotations

import pytest
import trio

from kafka_persist._core.chain import Chain
from kafka_persist._publishing.context import Flow
from kafka_persist._publishing.retry import LONGEST_PAUSE, Retries
from kafka_persist._publishing.transaction_queue import TransactionQueue


class Log:
    def __init__(self, name):
        self.chain, self.published = Chain(name), 0


@pytest.fixture
def retries(nursery):
    resumed = []

    def spawn(async_fn):
        nursery.start_soon(async_fn)
        return True

    found = Retries(spawn, lambda queue: resumed.append((queue, trio.current_time())))
    found.resumed = resumed
    return found


def queue(name, failures=0):
    return TransactionQueue(idlog=Log(name), flow=Flow(10), failures=failures)


async def test_pauses_grow_and_are_bounded(retries, autojump_clock):
    """Each failure in a row doubles the pause, up to five seconds."""
    one, lengths = queue("a"), []
    for _ in range(14):
        retries.add(one, "no")
        lengths.append(one.due - trio.current_time())
        await trio.sleep(LONGEST_PAUSE + 1)
    assert len(retries.resumed) == 14
    assert lengths[0] <= 0.1 < lengths[4] < lengths[7]
    assert max(lengths) <= LONGEST_PAUSE


async def test_a_long_pause_delays_nobody_else(retries, autojump_clock):
    """An id that failed for the first time is tried again soon, beside one that keeps failing."""
    old, new = queue("old", failures=20), queue("new")
    retries.add(old, "no")
    await trio.sleep(1)
    retries.add(new, "no")
    await trio.sleep(1)
    assert [each for each, _ in retries.resumed] == [new]
    await trio.sleep(LONGEST_PAUSE)
    assert [each for each, _ in retries.resumed] == [new, old]


async def test_a_pause_can_be_ended(retries, autojump_clock):
    """Somebody who waits for an id does not wait for its pause."""
    one = queue("a", failures=20)
    retries.add(one, "no")
    await trio.sleep(1)
    assert (retries.end(one), one.put_off, len(retries), retries.end(one)) == (True, False, 0, False)
    await trio.sleep(2 * LONGEST_PAUSE)
    assert retries.resumed == []


class Counted:
    """An id that counts how often somebody asks when its pause ends."""

    def __init__(self, name):
        self.idlog, self.failures, self.put_off, self.asked, self._due = Log(name), 0, False, 0, 0.0

    @property
    def due(self):
        self.asked += 1
        return self._due

    @due.setter
    def due(self, time):
        self._due = time


async def test_an_outage_of_all_ids_costs_the_same_for_each(retries, autojump_clock):
    """Thousands of ids fail at once and come back one by one; none of them looks at all the others."""
    ids = [Counted(str(number)) for number in range(1_000)]
    for each in ids:
        retries.add(each, "no")
    await trio.sleep(LONGEST_PAUSE)
    assert len(retries.resumed) == len(ids)
    assert max(each.asked for each in ids) < 10


async def test_a_pause_that_was_ended_does_not_end_the_next_one(retries, autojump_clock):
    """An id that is tried early and fails again waits for its new pause, not for what was left of the old one."""
    one = queue("a", failures=2)
    retries.add(one, "no")
    first = one.due
    assert retries.end(one)
    one.failures = 20
    retries.add(one, "no")
    await trio.sleep(LONGEST_PAUSE)
    ((_, when),) = retries.resumed
    assert when >= one.due > first
    assert (len(retries), one.put_off) == (0, False)
