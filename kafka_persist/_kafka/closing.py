"""Closing clients: it blocks, and after broker faults it may never end (librdkafka issue 4884).

So it runs in a thread that is abandoned after a while, with a warning: the thread dies with the process, and the program
goes on. Nothing depends on what a client does while it is closed: what had no report is answered as unknown before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

_log = logging.getLogger("kafka_persist.client")

CLOSING_SECONDS: Final = 5.0
"""How long a client may take to end its threads and connections; idle ones take milliseconds."""


async def close_client(close: Callable[[], object], what: str, *, seconds: float = CLOSING_SECONDS) -> None:
    """Run a client's blocking ``close()``; give it up after `seconds`.

    Args:
        close: the call.
        what: names the client in the warning.
        seconds: how long it may take.

    Cancellation: takes no effect; it is bounded by `seconds`.
    """
    with trio.move_on_after(seconds, shield=True) as scope:
        await trio.to_thread.run_sync(
            close, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1), thread_name=f"closing {what}"
        )
    if scope.cancelled_caught:
        _log.warning(
            "%s did not end within %g s; its thread is left behind until the process ends",
            what,
            seconds,
            extra={"event": "client.left-behind"},
        )
