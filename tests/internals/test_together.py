"""Questions that share requests, and requests that nobody answers."""

from __future__ import annotations

import trio

from kafka_persist._kafka.together import AT_ONCE, PATIENCE, Together
from kafka_persist._lifecycle import background


async def test_a_request_that_takes_long_does_not_hold_up_the_next_one(autojump_clock):
    """Whoever asks for something that is answered at once waits for no silent broker; requests are few all the same."""
    requests = []

    async def ask(keys):
        requests.append(list(keys))
        if "silent" in keys:
            await trio.sleep(100)
        return dict.fromkeys(keys, 1)

    async with background("the test") as tasks, trio.open_nursery() as nursery:
        together = Together(ask, tasks, 10)
        nursery.start_soon(together, "silent")
        await trio.sleep(0.01)
        began = trio.current_time()
        assert await together.all([f"key-{number}" for number in range(10)]) == [1] * 10
        assert trio.current_time() - began <= PATIENCE
        assert len(requests) == 2
        nursery.cancel_scope.cancel()


async def test_requests_have_a_bound(autojump_clock):
    under_way, most = 0, 0

    async def ask(keys):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await trio.sleep(10)
        under_way -= 1
        return dict.fromkeys(keys, 1)

    async with background("the test") as tasks:
        together = Together(ask, tasks, 1)
        assert await together.all(list(range(3 * AT_ONCE))) == [1] * 3 * AT_ONCE
    assert (most, under_way) == (AT_ONCE, 0)
