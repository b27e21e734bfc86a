"""Some mutants leave threads behind on purpose; here they are ended after each test."""

import threading
import time

import pytest

from tests.compat_suite_mutants import leftovers


@pytest.fixture(autouse=True)
def no_thread_left():
    before = set(threading.enumerate())
    yield
    leftovers.end()
    deadline = time.monotonic() + 10
    for thread in set(threading.enumerate()) - before:
        while thread.is_alive() and not thread.name.startswith("Trio thread") and time.monotonic() < deadline:
            thread.join(0.05)  # a worker of Trio's gets that name back when it has finished, and lives on for 10 s
