"""A process that keeps one server for several others: a developer's next test runs, or the workers of one run.

It is started by the first process that wants such a server (`_engines.kept`), belongs to nobody (it leaves its parent), and listens at
a Unix socket in a directory that only this user can enter. Whoever uses the server holds a connection; who connects is told where the
server is. When nobody has held one for a while, or a process of the server has ended, it stops the server and ends. Should it be
killed, its own watchdog ends the server.

On standard input it gets what to start, pickled by the same program of the same user; on standard output it says one line: ready, or why
not.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from ._engines.base import Cluster
from ._engines.choice import start_cluster
from .errors import ServerFailed, TestServerError

_LOOK_EVERY = 0.5


def main() -> None:
    """Start the server, serve those who want it, and end."""
    order = pickle.load(sys.stdin.buffer)  # noqa: S301 - from ourselves
    if os.fork():
        os._exit(0)  # who started us need not wait for our end
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        _keep(**order)


def _keep(request: Any, engine: str, path: str, idle_seconds: float) -> None:
    with contextlib.ExitStack() as stack:
        try:
            cluster = start_cluster(request, engine, None, None)
            stack.callback(cluster.stop)
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(path)
            stack.callback(Path(path).unlink, missing_ok=True)
            listener.listen(64)
        except (TestServerError, OSError) as error:
            _say({"error": str(error), "kind": type(error).__name__})
            return
        _say({"ready": True})
        _serve(cluster, listener, idle_seconds)


def _say(what: dict[str, object]) -> None:
    """Say the one line, and let go of the pipe: its reader waits for the end."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _serve(cluster: Cluster, listener: socket.socket, idle_seconds: float) -> None:
    """Tell everybody who connects, until nobody has been there for a while."""
    told = json.dumps(_description(cluster)).encode() + b"\n"
    users: set[socket.socket] = set()
    unused_since = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        try:
            while users or time.monotonic() - unused_since < idle_seconds:
                for key, _ in selector.select(_LOOK_EVERY):
                    if key.fileobj is listener:
                        user, _address = listener.accept()
                        user.sendall(told)
                        users.add(user)
                        selector.register(user, selectors.EVENT_READ)
                    else:
                        assert isinstance(key.fileobj, socket.socket)
                        selector.unregister(key.fileobj)  # users say nothing: this is their end
                        key.fileobj.close()
                        users.discard(key.fileobj)
                        unused_since = time.monotonic()
                cluster.check()
        except ServerFailed:
            return  # those who use it see it, and the next one starts another
        finally:
            for user in users:
                user.close()


def _description(cluster: Cluster) -> dict[str, object]:
    configs: dict[str, dict[str, dict[str, str]]] = {}
    with contextlib.suppress(TestServerError):  # no security: no users
        security = cluster.guard.security
        for user in security.everybody:
            mechanisms = security.sasl or (None,)
            configs[user] = {mechanism or "": cluster.client_config(user, mechanism) for mechanism in mechanisms}
    nodes = [*([cluster.zookeeper] if cluster.zookeeper else []), *cluster.controllers, *cluster.brokers]
    return {
        "engine": cluster.engine,
        "kafka_version": cluster.kafka_version,
        "bootstrap_servers": cluster.bootstrap_servers,
        "own_servers": cluster.own_servers,
        "zookeeper_connect": cluster.zookeeper_connect,
        "data_dir": None if cluster.data_dir is None else str(cluster.data_dir),
        "logs": {node.name: str(node.log_path) for node in nodes},
        "configs": configs,
    }


if __name__ == "__main__":
    main()
