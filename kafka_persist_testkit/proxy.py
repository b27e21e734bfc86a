"""A TCP proxy that mistreats what goes through it: slow, cut, silent, damaged or late connections to a broker, on purpose.

One thread with an event loop of its own (`selectors`) serves all connections of one proxy, so that tests of any kind (synchronous,
Trio, asyncio) can use it, and a test that blocks does not stop it. The thread alone touches sockets and connections (`_links`);
the test's threads set plain attributes, or have the thread do something and wait until it has.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from ._links import Faults, Link, close_hard
from ._ports import LOOPBACK

_CONNECT_WITHIN = 1.0


class TcpProxy:
    """Stands before one port of the loopback address, from its making until `close`; also a context manager.

    Its attributes and methods are faults. Attributes hold for all connections, from the moment on in which they are set, and may
    be changed at any time from any thread.

    Args:
        target: The port that connections are passed on to; it may be down at times.
        port: Where to listen; 0 takes a free one.
        seed: Where jitter and flipped bits come from.
    """

    def __init__(self, target: int, *, port: int = 0, seed: int = 1) -> None:
        self._target = target
        self._faults = Faults(chance=random.Random(seed))  # noqa: S311 - no secret
        self._holding = False
        self._links: set[Link] = set()
        self._errands: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server((LOOPBACK, port))
        self._port: int = self._listener.getsockname()[1]
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for one in (self._listener, self._wake_reader, self._wake_writer):
            one.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._run_errands)
        self._thread = threading.Thread(target=self._run, name=f"kafka-proxy-{self._port}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<TcpProxy {self._port} to {self._target} connections={self.connections} {self._faults}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._links)

    @property
    def cuts(self) -> int:
        """How many connections `cut_after` has broken."""
        return self._faults.cuts

    @property
    def flips(self) -> int:
        """How many bits `flip` has changed."""
        return self._faults.flips

    @property
    def latency(self) -> float:
        """Seconds that everything is late, in each direction."""
        return self._faults.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self._faults.latency = seconds

    @property
    def jitter(self) -> float:
        """Up to so many seconds more, by chance; what is sent later never arrives earlier."""
        return self._faults.jitter

    @jitter.setter
    def jitter(self, seconds: float) -> None:
        self._faults.jitter = seconds

    @property
    def bandwidth(self) -> float | None:
        """Bytes per second of each connection in each direction; None: no limit."""
        return self._faults.bandwidth

    @bandwidth.setter
    def bandwidth(self, bytes_per_second: float | None) -> None:
        self._faults.bandwidth = bytes_per_second

    @property
    def cut_after(self) -> int | None:
        """After so many more bytes to the broker, over all connections, a connection is closed; then it is None again.

        That may be in the middle of a request. None: not at all.
        """
        return self._faults.cut_after

    @cut_after.setter
    def cut_after(self, count: int | None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"cut_after must be at least 1, got {count}")
        self._faults.cut_after = count

    @property
    def deaf(self) -> bool:
        """Whether requests come through and answers are lost (a one-way cut)."""
        return self._faults.deaf

    @deaf.setter
    def deaf(self, on: bool) -> None:
        self._faults.deaf = on

    @property
    def black_hole(self) -> bool:
        """Whether everything is lost, in both directions, while connections stay open and can be made."""
        return self._faults.black_hole

    @black_hole.setter
    def black_hole(self, on: bool) -> None:
        self._faults.black_hole = on

    @property
    def flip(self) -> bytes | None:
        """Where these bytes first stand in what comes from the broker at a time, one bit of them is changed; None: not at all.

        Choose bytes of your records: a client may not survive a bit that changes in the protocol's own framing.
        """
        return self._faults.flip

    @flip.setter
    def flip(self, where: bytes | None) -> None:
        self._faults.flip = where

    @property
    def refuse(self) -> bool:
        """Whether new connections are reset, as those to a broker that is down."""
        return self._faults.refuse

    @refuse.setter
    def refuse(self, on: bool) -> None:
        self._faults.refuse = on

    def deafen(self) -> None:
        """Lose all answers on the connections of now; those that are made later are sound."""
        self._do(lambda: self._each(lambda link: link.deafen(True)))

    def hold(self) -> None:
        """Keep back what clients send, also on new connections, until `release`: requests that arrive after their deadline."""

        def hold() -> None:
            self._holding = True
            self._each(lambda link: link.hold(True))

        self._do(hold)

    def admit(self) -> None:
        """Let connections through that are made from now on, while those of now are still held."""

        def admit() -> None:
            self._holding = False

        self._do(admit)

    def release(self) -> None:
        """Pass on what was held, in its order, also that of clients that have gone away meanwhile."""

        def release() -> None:
            self._holding = False
            self._each(lambda link: link.hold(False))

        self._do(release)

    def reset(self) -> None:
        """Break all connections of now with a TCP reset, on both sides; returns when that is done."""
        self._do(lambda: self._each(Link.reset))

    def heal(self) -> None:
        """Take all faults back; what was held goes on, what was lost stays lost."""
        self.latency = self.jitter = 0.0
        self.bandwidth = self.cut_after = self.flip = None
        self.deaf = self.black_hole = self.refuse = False
        self.release()
        self._do(lambda: self._each(lambda link: link.deafen(False)))

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Inside the block no connection is open, and none can be made."""
        self.refuse = True
        self.reset()
        try:
            yield
        finally:
            self.refuse = False

    def close(self) -> None:
        """Close all connections and end the thread. Idempotent."""
        if not self._closed:
            self._closed = True
            self._wake()
            self._thread.join()
            for one in (self._listener, self._wake_reader, self._wake_writer, self._selector):
                one.close()

    def _do(self, errand: Callable[[], None]) -> None:
        """Have the thread do something, and wait until it has; nothing happens after `close`."""
        done = threading.Event()

        def run() -> None:
            errand()
            done.set()

        with self._lock:
            if self._closed:
                return
            self._errands.append(run)
        self._wake()
        while not done.wait(_CONNECT_WITHIN) and self._thread.is_alive():
            pass

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it has not read the last one yet, so it will wake
            self._wake_writer.send(b"\0")

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closed:
                for key, mask in self._selector.select(self._seconds_to_wait()):
                    key.data(mask)
                self._each(Link.move)
        finally:
            self._each(Link.end)

    def _each(self, call: Callable[[Link], None]) -> None:
        for link in list(self._links):
            call(link)

    def _seconds_to_wait(self) -> float | None:
        due = [moment for link in self._links if (moment := link.next_due()) is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _run_errands(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)
        with self._lock:
            errands, self._errands = self._errands, []
        for errand in errands:
            errand()

    def _accept(self, _: int) -> None:
        try:
            client, _address = self._listener.accept()
        except OSError:
            return  # who called has hung up
        try:
            if self._faults.refuse:
                raise ConnectionRefusedError
            broker = socket.create_connection((LOOPBACK, self._target), timeout=_CONNECT_WITHIN)
        except OSError:
            close_hard(client)  # what a client sees of a broker that is down
            return
        link = Link(self._faults, self._selector, client, broker, self._links.discard, held=self._holding)
        self._links.add(link)


TcpProxy.__module__ = "kafka_persist_testkit"  # where users find it: in tracebacks and in the documentation
