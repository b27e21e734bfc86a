"""Free loopback ports, chosen where nobody takes them by accident.

Kafka must tell clients its port, so it cannot bind port 0 and we have to choose one. Ports that the kernel hands out (bind to
port 0 and close) lie in the range of *outgoing* connections: between our choice and the broker's bind any client on the
machine may get the same port, and while a killed broker is down its own clients, which try to connect again and again,
may even connect to themselves and so occupy its port. Hence we choose below that range. What remains is another program
that binds the same number just then; the server finds out when its process ends, and starts again with other ports.
"""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 10_000
_TRIES = 200
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def choose(count: int) -> list[int]:
    """Return `count` different ports of the loopback address that nobody listens on.

    Args:
        count: How many.
    """
    with contextlib.ExitStack() as held:
        return [_bind_one(held) for _ in range(count)]


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address now.

    It tries, so it must not be asked while a server of ours is about to listen there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        return _try_bind(candidate, port)


def is_answering(port: int) -> bool:
    """Whether somebody listens on `port` of the loopback address. Unlike `is_free` this takes the port from nobody."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


def _bind_one(held: contextlib.ExitStack) -> int:
    """Bind one port and hold it until all are chosen, so that they differ."""
    for port in _candidates():
        candidate = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        if _try_bind(candidate, port):
            chosen: int = candidate.getsockname()[1]
            return chosen
    raise OSError("no free loopback port found")


def _candidates() -> list[int]:
    """Return random ports below the range of outgoing connections, and 0 (the kernel chooses) as the last resort."""
    highest = _first_ephemeral_port()
    if highest - _LOWEST < _TRIES:
        return [0]
    return [*(random.randrange(_LOWEST, highest) for _ in range(_TRIES)), 0]  # noqa: S311 - no secret


def _first_ephemeral_port() -> int:
    try:
        return int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768  # Linux' default; others start at 49,152


def _try_bind(candidate: socket.socket, port: int) -> bool:
    """Bind as the JVM does: with SO_REUSEADDR, which ignores connections that are closing, but not listeners."""
    candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        candidate.bind((LOOPBACK, port))
        candidate.listen(1)
    except OSError:
        return False
    return True
