"""Real servers for the tests of the test kit, and what is needed to see that nothing is left of them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kafka_persist_testkit import TestServer

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0

# What a child process tells about its server: everything that must be gone when it is gone.
TRACES = """
import json, os, signal, sys
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run behind nohup or a shell's "&"
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def traces(server):
    pids = [node.pid for node in [*server.brokers, *([server.zookeeper] if server.zookeeper_connect else [])]]
    status = Path(f"/proc/{pids[0]}/status").read_text()
    watchdog = int(status.split("PPid:")[1].split()[0])
    paths = [str(server.data_dir), str(server.broker.config_path.parent)]
    addresses = [*server.bootstrap_servers.split(","), *([server.zookeeper_connect] if server.zookeeper_connect else [])]
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    found = {"pids": [*pids, watchdog], "watchdog": watchdog, "paths": paths, "ports": ports}
    print(json.dumps(found), flush=True)
"""


@pytest.fixture(scope="session")
def zookeeper_server():
    with TestServer("zookeeper") as server:
        yield server


@pytest.fixture(scope="session")
def kraft_server():
    with TestServer("kraft") as server:
        yield server


@pytest.fixture(params=["zookeeper", "kraft"])
def any_server(request):
    """A server of each mode, shared: tests do not stop it."""
    return request.getfixturevalue(f"{request.param}_server")


@pytest.fixture
def run_python():
    """Start Python programs; those that still run at the end of the test are killed, forks included."""
    started = []

    def start(program, *, env=None):
        child = subprocess.Popen(
            [sys.executable, "-c", TRACES + program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # with its forks
        child.communicate()


@pytest.fixture
def read_traces():
    """A function that reads what a child told about its server."""

    def read(child):
        line = child.stdout.readline()
        assert line, child.communicate()
        return json.loads(line)

    return read


@pytest.fixture
def assert_all_gone():
    """A function that waits until every process has ended, and sees that no directory is left."""

    def check(traces):
        for pid in traces["pids"]:
            wait_until_gone(pid)
        assert [path for path in traces["paths"] if Path(path).exists()] == []

    return check


@pytest.fixture
def gone_after():
    """A context manager that sees that its block leaves no process and no directory of a server behind."""

    @contextlib.contextmanager
    def check():
        before = private_directories()
        yield
        assert private_directories() <= before
        assert [pid for pid in children() if "_watchdog.py" in pid] == watchdogs

    watchdogs = [pid for pid in children() if "_watchdog.py" in pid]
    return check


def private_directories():
    """The directories of servers of this process: the watchdog names them on its command line."""
    return {
        word for line in children() for word in line.split("\0") if "kafka-persist-" in word and Path(word).exists()
    }


def children():
    """The command lines of this process' children."""
    lines = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{os.getpid()}\n" in status.read_text():
                lines.append(status.with_name("cmdline").read_text())
    return lines


def wait_until_gone(pid):
    """Wait until a process, not our own child, has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([handle], [], [], PATIENCE)
    finally:
        os.close(handle)
    assert ready, f"process {pid} is still there"
