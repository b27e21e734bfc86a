"""What the clients only offer as blocking calls: metadata, administration. In threads of their own limiter.

Each call has a deadline, and looks between short waits whether its caller was cancelled: so it ends with its caller, and no
thread outlives the driver.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final, TypeVar

import trio

T = TypeVar("T")

SLICE_SECONDS: Final = 0.1
PAUSE_SECONDS: Final = 0.05

THREADS: Final = 8
"""Blocking calls of one driver at the same time; those that wait for topics share requests, so these are few."""

TRY_SECONDS: Final = 1.0
"""What a request is given at least while there is time; half of the time that is left otherwise."""

LEAST_SECONDS: Final = 0.1
"""What a request is given when the time is over."""


class Blocking:
    """Runs blocking calls."""

    def __init__(self, threads: int = THREADS) -> None:
        self._limiter = trio.CapacityLimiter(threads)

    async def run(self, sync_fn: Callable[[], T]) -> T:
        """Call ``sync_fn()`` in a thread; it must end by a time limit of its own.

        Cancellation: as soon as the call looks for it (`wait_for`, `pause`), which is at least every `SLICE_SECONDS`.
        """
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)


class Until:
    """The deadline of a whole call: its requests share the time, so that their limits do not add up.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()

    @property
    def over(self) -> bool:
        """Nothing is asked again."""
        return self.left <= 0

    @property
    def share(self) -> float:
        """How long the next request may take: a broker that is silent must leave time to ask another one."""
        return max(LEAST_SECONDS, min(self.left, max(TRY_SECONDS, self.left / 2)))


def wait_for(answer: Future[T], seconds: float) -> T:
    """Wait in a thread for an answer of the client's; one that never comes is no reason to wait forever.

    Raises:
        TimeoutError: there was none.
        trio.Cancelled: the task that waits for this thread was cancelled.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            return answer.result(timeout=SLICE_SECONDS)
        except FutureTimeoutError:
            trio.from_thread.check_cancelled()
            if time.monotonic() > give_up:
                raise TimeoutError(f"the client gave no answer within {seconds:g} s") from None


def pause() -> None:
    """Wait a little before a broker is asked again.

    Raises:
        trio.Cancelled: the task that waits for this thread was cancelled.
    """
    time.sleep(PAUSE_SECONDS)  # in a worker thread: nothing there could wake it earlier
    trio.from_thread.check_cancelled()


class Users:
    """Counts the threads that are inside a client: it is closed by the last one to leave, never under somebody's hands.

    Args:
        close: closes the client; called once, in the thread that closes or in that of the last user.
    """

    def __init__(self, close: Callable[[], object]) -> None:
        self._close = close
        self._lock = threading.Lock()
        self._inside = 0
        self._closing = self._closed = False

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1

    def __exit__(self, *_exception: object) -> None:
        with self._lock:
            self._inside -= 1
        self._close_if_unused()

    def close(self) -> None:
        """Close now, or when the last user has left; idempotent."""
        self._closing = True
        self._close_if_unused()

    def _close_if_unused(self) -> None:
        with self._lock:
            if not self._closing or self._inside or self._closed:
                return
            self._closed = True
        self._close()
