"""Ids whose publishing failed are tried again: each after its own pause, the longer the more often it failed."""

from __future__ import annotations

import pytest
import trio

from kafka_persist._core.chain import Chain
from kafka_persist._publishing.flow import Flow
from kafka_persist._publishing.ledger import Ledger
from kafka_persist._publishing.pauses import LONGEST_PAUSE, Pauses


class Log:
    def __init__(self, name):
        self.chain, self.published = Chain(name), 0


@pytest.fixture
def pauses(nursery):
    resumed = []

    def spawn(async_fn):
        nursery.start_soon(async_fn)
        return True

    found = Pauses(spawn, lambda ledger: resumed.append((ledger, trio.current_time())))
    found.resumed = resumed
    return found


def ledger(name, failures=0):
    return Ledger(idlog=Log(name), flow=Flow(10), failures=failures)


async def test_pauses_grow_and_are_bounded(pauses, autojump_clock):
    """Each failure in a row doubles the pause, up to half a minute."""
    one, lengths = ledger("a"), []
    for _ in range(14):
        pauses.add(one, "no")
        lengths.append(one.due - trio.current_time())
        await trio.sleep(LONGEST_PAUSE + 1)
    assert len(pauses.resumed) == 14
    assert lengths[0] <= 0.1 < lengths[4] < lengths[7]
    assert max(lengths) <= LONGEST_PAUSE


async def test_a_long_pause_delays_nobody_else(pauses, autojump_clock):
    """An id that failed for the first time is tried again soon, beside one that keeps failing."""
    old, new = ledger("old", failures=20), ledger("new")
    pauses.add(old, "no")
    await trio.sleep(1)
    pauses.add(new, "no")
    await trio.sleep(1)
    assert [each for each, _ in pauses.resumed] == [new]
    await trio.sleep(LONGEST_PAUSE)
    assert [each for each, _ in pauses.resumed] == [new, old]


async def test_a_pause_can_be_ended(pauses, autojump_clock):
    """Somebody who waits for an id does not wait for its pause."""
    one = ledger("a", failures=20)
    pauses.add(one, "no")
    await trio.sleep(1)
    assert (pauses.end(one), one.put_off, len(pauses), pauses.end(one)) == (True, False, 0, False)
    await trio.sleep(2 * LONGEST_PAUSE)
    assert pauses.resumed == []
