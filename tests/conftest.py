"""For all tests: plugins also from a bare source tree, Hypothesis profiles, and nothing left behind at the end."""

from __future__ import annotations

import importlib.metadata
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import settings

IDLE_WORKER = re.compile(r"Trio thread \d+")  # Trio keeps finished worker threads for ten seconds, under this name


def _is_installed():
    try:
        importlib.metadata.distribution("kafka-persist")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if not _is_installed():
    pytest_plugins = ["kafka_persist_testkit.plugin", "compat_suite.plugin"]

# Behind nohup or a shell's "&" it is ignored, and so it is in every process that a test starts: Ctrl-C would never come.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: two cores that a broker shares make single examples slow. `ci` replaces Hypothesis's own profile of that
# name, which would try the same examples in every run.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture
def untraced():
    """No coverage for what runs the same lines a million times: it would take three times as long and show no more."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


def _threads():
    return {thread for thread in threading.enumerate() if not IDLE_WORKER.fullmatch(thread.name)}


def _children():
    """Give the ids of our own child processes."""
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def _command(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.fixture(autouse=True)
def no_thread_left():
    """Each test ends the threads that it started: a thread that still works would disturb the tests after it."""
    before = _threads()
    yield
    left = _threads() - before
    assert not left, f"threads still at work: {left}"


@pytest.fixture(scope="session", autouse=True)
def no_process_left():
    """The test run ends every process that it started, the servers of the session included."""
    before = _children()
    yield
    left = {pid: _command(pid) for pid in _children() - before}
    assert not left, f"processes still running: {left}"
