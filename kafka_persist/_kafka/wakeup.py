"""librdkafka tells Trio that a queue has something, by a file descriptor: no thread of ours waits for it.

``rd_kafka_queue_io_event_enable`` writes to a descriptor when a queue goes from empty to not empty; for event loops, say
its authors, that is "exactly the use case". The Python client does not expose it. ctypes reaches it: the client's
extension module exports librdkafka's functions, and the ``rd_kafka_t*`` is the first field of a `Producer` or `Consumer`.

Theory of operation
===================

`Waiting.poll` calls a function that takes what has come and never blocks. If nothing has come, it waits for the
descriptor and calls again. Three things make that right:

* The descriptor is emptied *before* the function is called. What comes during the call writes again.
* librdkafka writes once for all that comes until the queue is served. So as long as the function brings something, it is
  called again without waiting.
* Nothing depends on the descriptor alone: after `TICK_SECONDS` the function is called anyway.

The guard: what ctypes reads is believed only if the pointer lies in mapped memory and the client behind it gives the name
of a client of its kind. Otherwise `ThreadWaiting` is used: the same interface, where a plain thread sits in the client's
own blocking call for short times.
"""

from __future__ import annotations

import abc
import ctypes
import functools
import logging
import socket
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import trio
from confluent_kafka import cimpl

T = TypeVar("T", bound="Sized | int")

_log = logging.getLogger("kafka_persist.client")

TICK_SECONDS: Final = 0.5
"""How long a wait lasts at most, should a wake-up get lost: librdkafka's timers are served by polling, too."""

THREAD_POLL_SECONDS: Final = 0.02
"""How long the thread of `ThreadWaiting` holds the client: other calls of a consumer wait behind it."""

_POINTER_BYTES: Final = ctypes.sizeof(ctypes.c_void_p)

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
        library = _library()
        handle = _handle_of(client, library)
        found = getattr(library, f"rd_kafka_queue_get_{queue}")(handle)
        if not found:
            raise DescriptorUnavailable(f"the client has no {queue} queue")
    except (DescriptorUnavailable, OSError, AttributeError) as error:
        _warn_once(str(error))
        return ThreadWaiting()
    return DescriptorWaiting(library, found)


class DescriptorUnavailable(Exception):  # noqa: N818 - a state of the installation; never leaves this module
    """This build of the client does not look as expected."""


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(cimpl.__file__)
    for name in ("rd_kafka_queue_get_main", "rd_kafka_queue_get_consumer"):
        function = getattr(library, name)
        function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    library.rd_kafka_name.restype, library.rd_kafka_name.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
    library.rd_kafka_queue_destroy.restype, library.rd_kafka_queue_destroy.argtypes = None, [ctypes.c_void_p]
    enable = library.rd_kafka_queue_io_event_enable
    enable.restype = None
    enable.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    return library


def _handle_of(client: Any, library: ctypes.CDLL) -> int:
    """The client's ``rd_kafka_t*``.

    Raises:
        DescriptorUnavailable: what stands there is no such pointer.
    """
    address = id(client) + object.__basicsize__
    if type(client).__basicsize__ < object.__basicsize__ + _POINTER_BYTES:
        raise DescriptorUnavailable(f"{type(client).__name__} is not an object of the client's extension module")
    handle = ctypes.c_void_p.from_address(address).value
    if not handle or not _is_mapped(handle):
        raise DescriptorUnavailable("the client's first field is not a pointer to mapped memory")
    name = library.rd_kafka_name(handle) or b""
    if b"#producer-" not in name and b"#consumer-" not in name:
        raise DescriptorUnavailable(f"what stands in the client's first field calls itself {name[:40]!r}")
    return handle


def _is_mapped(address: int) -> bool:
    """Whether the address may be read and written: reading elsewhere would end the process."""
    try:
        lines = Path("/proc/self/maps").read_text("ascii", errors="replace").splitlines()
    except OSError:
        return False
    for line in lines:
        bounds, access, *_ = line.split(maxsplit=2)
        first, last = (int(part, 16) for part in bounds.split("-"))
        if first <= address < last:
            return access.startswith("rw")
    return False


@functools.cache
def _warn_once(reason: str) -> None:
    _log.warning(
        "librdkafka's descriptor events cannot be used (%s): a thread waits in their place, which is slower. "
        "confluent-kafka 2.16.1 is the version that was tested",
        reason,
    )
