"""A server that a keeper (`_keeper`) keeps for several processes of this user: found again, or started."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pickle
import select
import socket
import stat
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from kafka_persist_testkit import errors
from kafka_persist_testkit.errors import InvalidSettings, ServerFailed, ServerStateError, ServerUnavailable
from kafka_persist_testkit.security import ADMIN

from .base import Cluster, Request, go_on

IDLE_SECONDS = {"reuse": 600.0}
"""How long a server is kept that nobody uses, by the name of what it is kept for."""

_OTHERWISE = 10.0
_SLICE = 0.05
_HELLO_WITHIN = 30.0
_LONGEST_SOCKET = 107
"""Bytes that a socket's path may have (Linux)."""
_LONGEST_NAME = len("/0123456789abcdef.sock")


def find_or_start(request: Request, engine: str, name: str) -> KeptCluster:
    """Return the server of this name that was started with the same request, or start it for others, too.

    Raises:
        ServerUnavailable: No engine can give a server, or the directory for sockets is somebody else's.
        ServerFailed: A process ended, or did not answer in time.
    """
    place = _directory() / _key(request, engine, name)
    with _locked(place.with_suffix(".lock"), request):
        connection = _connect(place.with_suffix(".sock"))
        if connection is None:
            _start(request, engine, place.with_suffix(".sock"), IDLE_SECONDS.get(name, _OTHERWISE))
            connection = _connect(place.with_suffix(".sock"))
    if connection is None:
        raise ServerFailed("the server that was started for several processes has ended at once")
    return KeptCluster(connection)


def _directory() -> Path:
    """A directory that is this user's alone."""
    parent = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    directory = Path(parent) / f"kafka-persist-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ServerUnavailable(
            f"{directory} is not a directory that only this user can enter: remove it, or set XDG_RUNTIME_DIR"
        )
    if len(os.fsencode(directory)) + _LONGEST_NAME > _LONGEST_SOCKET:
        raise ServerUnavailable(
            f"{directory} is too long a name for Unix sockets: set XDG_RUNTIME_DIR to a shorter one"
        )
    return directory


def _key(request: Request, engine: str, name: str) -> str:
    """The same for the same request by the same program."""
    asked = repr((request, engine, name, sys.executable, Path(__file__).parent))
    return hashlib.sha256(asked.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path, request: Request) -> Iterator[None]:
    """One at a time; the lock of a process that was killed is free."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                request.checkpoint()
                select.select([], [], [], _SLICE)  # nothing tells that a lock is free
        yield


def _connect(path: Path) -> socket.socket | None:
    """Connect to a keeper; None if there is none, or only what a killed one has left."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        path.unlink(missing_ok=True)
        return None
    return connection


def _start(request: Request, engine: str, path: Path, idle_seconds: float) -> None:
    order = {
        "request": attrs.evolve(request, checkpoint=go_on),
        "engine": engine,
        "path": str(path),
        "idle_seconds": idle_seconds,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "kafka_persist_testkit._keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C here is not for it
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(pickle.dumps(order))
        child.stdin.close()
        while not select.select([child.stdout], [], [], _SLICE)[0]:
            request.checkpoint()
        answer = json.loads(child.stdout.readline() or "{}")
    if "ready" not in answer:
        kind = getattr(errors, answer.get("kind", ""), ServerFailed)
        raise kind(answer.get("error", "the process that was to keep the server has ended without a word"))


class KeptCluster(Cluster):
    """A server that this process shares with others: it is used, not stopped or restarted.

    Args:
        connection: To its keeper, held until `stop`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(_HELLO_WITHIN)
        try:
            with connection.makefile("r", encoding="utf-8") as lines:
                told: dict[str, Any] = json.loads(lines.readline())
        except (OSError, ValueError) as error:
            connection.close()
            raise ServerFailed(f"the process that keeps the server does not answer: {error}") from error
        self.engine = told["engine"]
        self.kafka_version = told["kafka_version"]
        self.bootstrap_servers = told["bootstrap_servers"]
        self.own_servers = told["own_servers"]
        self.zookeeper_connect = told["zookeeper_connect"]
        self.data_dir = None if told["data_dir"] is None else Path(told["data_dir"])
        self._configs: dict[str, dict[str, dict[str, str]]] = told["configs"]
        self._logs: dict[str, str] = told["logs"]

    def stop(self) -> None:
        """Leave it to the others; it ends when nobody has used it for a while."""
        self._connection.close()

    def restart(self, *, keep_data: bool) -> None:
        raise ServerStateError("a server that is shared with other processes cannot be restarted: use one of your own")

    def check(self) -> None:
        try:
            is_gone = select.select([self._connection], [], [], 0)[0] and not self._connection.recv(1)
        except OSError:
            is_gone = True
        if is_gone:
            raise ServerFailed("the shared server has ended")

    def logs(self, tail: int) -> list[str]:
        found = []
        for name, path in self._logs.items():
            with contextlib.suppress(FileNotFoundError), Path(path).open(encoding="utf-8", errors="replace") as lines:
                found += [f"{name}: {line.rstrip()}" for line in deque(lines, maxlen=tail)]
        return found

    def client_config(self, user: str | None, mechanism: str | None) -> dict[str, str]:
        if not self._configs:
            return super().client_config(user, mechanism)
        configs = self._configs.get(user or ADMIN)
        if configs is None:
            raise InvalidSettings(f"no user {user!r}: Security(users=...) names {', '.join(self._configs)}")
        chosen = mechanism or next(iter(configs))
        if chosen not in configs:
            raise InvalidSettings(f"mechanism must be of {', '.join(configs)}, got {chosen!r}")
        return configs[chosen]
