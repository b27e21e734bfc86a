"""The connections through a `TcpProxy`, and what its faults do to their bytes. All of it runs in the proxy's thread.

Each connection has two directions. What arrives in one of them is queued with the time at which it is due; faults decide about the
time, about whether it goes on at all, and about its bytes. A direction whose queue is full is not read from, so it pushes back on
its sender, as a slow network does.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable

import attrs

_CHUNK = 65_536
_MOST_QUEUED = 1 << 20
_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing then sends a reset instead of an end."""


@attrs.define(eq=False, kw_only=True)
class Faults:
    """What happens to the bytes; one object for all connections of a proxy. See `TcpProxy`."""

    chance: random.Random = attrs.field(repr=False)
    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    cut_after: int | None = None
    deaf: bool = False
    black_hole: bool = False
    flip: bytes | None = None
    refuse: bool = False
    cuts: int = 0
    flips: int = 0


class Link:
    """One connection.

    Args:
        faults: What happens to its bytes.
        selector: Tells when its sockets are ready.
        client: The connection that was made to the proxy.
        broker: The connection that the proxy made.
        on_end: Called when it has ended.
        held: Whether what the client sends is kept back.
    """

    def __init__(
        self,
        faults: Faults,
        selector: selectors.BaseSelector,
        client: socket.socket,
        broker: socket.socket,
        on_end: Callable[[Link], None],
        *,
        held: bool,
    ) -> None:
        self._faults = faults
        self._selector = selector
        self._client = client
        self._broker = broker
        self._on_end = on_end
        self._requests = _Flow(faults, client, broker, is_answers=False)
        self._answers = _Flow(faults, broker, client, is_answers=True)
        self._requests.held = held
        for one in (client, broker):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hold(self, held: bool) -> None:
        """Keep back what the client sends, or no longer."""
        self._requests.held = held

    def deafen(self, deaf: bool) -> None:
        """Lose what the broker answers, or no longer."""
        self._answers.deaf = deaf

    def move(self) -> None:
        """Send what is due, and say what to wait for next."""
        for flow in (self._requests, self._answers):
            flow.write()
        if self._requests.is_cut:
            self._faults.cuts += 1
            self.end()  # not a reset, which would take back what has arrived
        elif self._requests.broken or self._answers.broken or self._requests.done or self._answers.done:
            self.end()
        else:
            self._listen(self._client, self._requests, self._answers)
            self._listen(self._broker, self._answers, self._requests)

    def next_due(self) -> float | None:
        """When something has to be sent; None if only a socket can tell."""
        due = [moment for flow in (self._requests, self._answers) if (moment := flow.next_due()) is not None]
        return min(due, default=None)

    def reset(self) -> None:
        """Break it, on both sides."""
        self._forget()
        close_hard(self._client)
        close_hard(self._broker)

    def end(self) -> None:
        """Close it, on both sides."""
        self._forget()
        self._client.close()
        self._broker.close()

    def _forget(self) -> None:
        for one in (self._client, self._broker):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(one)
        self._on_end(self)

    def _listen(self, one: socket.socket, reading: _Flow, writing: _Flow) -> None:
        """Wait for what `one` can give or take; a socket that is waited for in vain would keep the thread awake."""
        wanted = (selectors.EVENT_READ if reading.wants_more else 0) | (selectors.EVENT_WRITE if writing.blocked else 0)
        known = self._selector.get_map().get(one)
        if known is None and wanted:
            self._selector.register(one, wanted, lambda mask: _read_if(mask, reading))
        elif known is not None and not wanted:
            self._selector.unregister(one)
        elif known is not None and known.events != wanted:
            self._selector.modify(one, wanted, known.data)


def _read_if(mask: int, flow: _Flow) -> None:
    if mask & selectors.EVENT_READ:
        flow.read()


class _Flow:
    """One direction: what has arrived and is not sent on yet."""

    def __init__(self, faults: Faults, source: socket.socket, sink: socket.socket, *, is_answers: bool) -> None:
        self._faults = faults
        self._source = source
        self._sink = sink
        self._is_answers = is_answers
        self._queue: deque[tuple[float, bytes]] = deque()  # the due times ascend
        self._queued = 0
        self._last_due = 0.0
        self._line_is_free = 0.0
        self._ended = False
        self.broken = self.blocked = self.is_cut = False
        self.held = self.deaf = False

    @property
    def wants_more(self) -> bool:
        """Whether there is room for more."""
        return not self._ended and self._queued < _MOST_QUEUED

    @property
    def done(self) -> bool:
        """Whether its source has ended and all of it is sent on."""
        return self._ended and not self._queue

    def read(self) -> None:
        """Take in what has arrived."""
        try:
            data = self._source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended = True
        elif not self._is_lost():
            self._queue_up(self._flipped(data))

    def write(self) -> None:
        """Send on what is due."""
        self.blocked = False
        while self._queue and self._queue[0][0] <= time.monotonic() and not self.held:
            due, data = self._queue.popleft()
            self._queued -= len(data)
            if self._is_lost():
                continue
            allowed = data if self._is_answers else data[: self._faults.cut_after]
            sent = self._send(allowed)
            if self.broken or self._is_cut_after(sent):
                return
            if sent < len(data):
                self._queue.appendleft((due, data[sent:]))
                self._queued += len(data) - sent
                self.blocked = True
                return

    def next_due(self) -> float | None:
        """When its next bytes are to be sent; None if there are none, or something else has to happen first."""
        return None if not self._queue or self.blocked or self.held else self._queue[0][0]

    def _send(self, data: bytes) -> int:
        try:
            return self._sink.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.broken = True
            return 0

    def _is_cut_after(self, sent: int) -> bool:
        """Whether that was all that may go on."""
        faults = self._faults
        if self._is_answers or faults.cut_after is None:
            return False
        faults.cut_after -= sent
        if faults.cut_after > 0:
            return False
        faults.cut_after, self.is_cut = None, True
        return True

    def _is_lost(self) -> bool:
        return self._faults.black_hole or (self._is_answers and (self.deaf or self._faults.deaf))

    def _queue_up(self, data: bytes) -> None:
        faults, now = self._faults, time.monotonic()
        due = max(now + faults.latency + faults.chance.uniform(0.0, faults.jitter), self._last_due)
        if faults.bandwidth is not None:
            self._line_is_free = max(self._line_is_free, now) + len(data) / faults.bandwidth
            due = max(due, self._line_is_free)
        self._last_due = due
        self._queued += len(data)
        self._queue.append((due, data))

    def _flipped(self, data: bytes) -> bytes:
        faults = self._faults
        if not self._is_answers or faults.flip is None or (place := data.find(faults.flip)) < 0:
            return data
        changed = bytearray(data)
        changed[place + faults.chance.randrange(len(faults.flip))] ^= 1 << faults.chance.randrange(8)
        faults.flips += 1
        return bytes(changed)


def close_hard(one: socket.socket) -> None:
    """Close a socket with a reset."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    one.close()
