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
        if not thread.name.startswith("Trio thread"):
            thread.join(max(0.0, deadline - time.monotonic()))
