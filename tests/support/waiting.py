"""Waiting for what no event tells."""

from __future__ import annotations

import trio


async def until(condition, seconds=60):
    """Wait until a condition holds that only the broker's answers bring about."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - statistics have no event to wait for
            await trio.sleep(0.01)
