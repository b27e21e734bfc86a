"""librdkafka tells Trio that a queue has something, by a file descriptor: no thread of ours waits for it.

``rd_kafka_queue_io_event_enable`` writes to a descriptor when a queue goes from empty to not empty; for event loops, say
its authors, that is "exactly the use case". The Python client does not expose it; ctypes reaches it (`handle`).

Theory of operation
===================

`Waiting.poll` calls a function that takes what has come and never blocks. If nothing has come, it waits for the
descriptor and calls again. Three things make that right:

* The descriptor is emptied *before* the function is called. What comes during the call writes again.
* librdkafka writes once for all that comes until the queue is served. So as long as the function brings something, it is
  called again without waiting.
* Nothing depends on the descriptor alone: after `TICK_SECONDS` the function is called anyway.

Where the handle cannot be had, `ThreadWaiting` is used: the same interface, where a plain thread sits in the client's own
blocking call for short times.
"""

from __future__ import annotations

import abc
import ctypes
import functools
import logging
import socket
from collections.abc import Callable, Sized
from typing import Any, Final, Literal, TypeVar

import trio

from .handle import HandleUnavailable, handle_of, library

T = TypeVar("T", bound="Sized | int")

_log = logging.getLogger("kafka_persist.client")

TICK_SECONDS: Final = 0.5
"""How long a wait lasts at most, should a wake-up get lost: librdkafka's timers are served by polling, too."""

THREAD_POLL_SECONDS: Final = 0.02
"""How long the thread of `ThreadWaiting` holds the client: other calls of a consumer wait behind it."""

QueueName = Literal["main", "consumer"]


class Waiting(abc.ABC):
    """Waits until a client's queue may have something."""

    @abc.abstractmethod
    async def poll(self, take: Callable[[float], T], seconds: float = TICK_SECONDS) -> T:
        """Return what ``take(patience)`` gives as soon as that is something; nothing after `seconds` at the latest.

        Args:
            take: takes what has come from the client, without waiting longer than `patience` seconds. Its result is
                "something" where it is true.
            seconds: how long to wait; at most `TICK_SECONDS` makes sense, as nothing depends on the descriptor alone.

        Cancellation: what `take` gave is never lost; it is a checkpoint.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End the wake-ups; call it before the client is closed. Idempotent."""


class DescriptorWaiting(Waiting):
    """Woken by librdkafka's own descriptor event; `take` runs on Trio's thread."""

    def __init__(self, library: ctypes.CDLL, queue: int) -> None:
        self._library = library
        self._queue: int | None = queue
        self._brought = False
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)  # librdkafka must never wait for us: a full buffer is a wake-up, too
        library.rd_kafka_queue_io_event_enable(queue, self._theirs.fileno(), b"1", 1)

    async def poll(self, take: Callable[[float], T], seconds: float = TICK_SECONDS) -> T:
        """See `Waiting.poll`."""
        if (
            self._brought
        ):  # other tasks first; what was taken is with the caller already, so a cancellation loses nothing
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
        self._drain()
        found = take(0)
        if not found:
            with trio.move_on_after(seconds):
                await trio.lowlevel.wait_readable(self._ours)
            self._drain()
            found = take(0)
        self._brought = bool(found)
        return found

    def _drain(self) -> None:
        try:
            while len(self._ours.recv(4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        """See `Waiting.close`."""
        queue, self._queue = self._queue, None
        if queue is None:
            return
        self._library.rd_kafka_queue_io_event_enable(queue, -1, None, 0)
        self._library.rd_kafka_queue_destroy(queue)  # our reference to it, not the client's
        self._ours.close()
        self._theirs.close()


class ThreadWaiting(Waiting):
    """Where the descriptor cannot be had: a thread waits in the client's own call."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def poll(self, take: Callable[[float], T], seconds: float = TICK_SECONDS) -> T:
        """See `Waiting.poll`."""
        return await trio.to_thread.run_sync(take, min(seconds, THREAD_POLL_SECONDS), limiter=self._limiter)

    def close(self) -> None:
        """See `Waiting.close`; nothing is held."""


def wait_on(client: Any, queue: QueueName) -> Waiting:
    """Wait for a queue of `client`: "main" (delivery reports and errors) or "consumer" (messages too)."""
    try:
        functions = library()
        found = getattr(functions, f"rd_kafka_queue_get_{queue}")(handle_of(client))
        if not found:
            raise HandleUnavailable(f"the client has no {queue} queue")
    except (HandleUnavailable, OSError, AttributeError) as error:
        _warn_once(str(error))
        return ThreadWaiting()
    return DescriptorWaiting(functions, found)


@functools.cache
def _warn_once(reason: str) -> None:
    _log.warning(
        "librdkafka's descriptor events cannot be used (%s): a thread waits in their place, which is slower. "
        "confluent-kafka 2.16.1 is the version that was tested",
        reason,
        extra={"event": "client.thread-waits"},
    )
