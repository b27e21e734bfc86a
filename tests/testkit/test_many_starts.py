"""Fifty starts and stops, ten of them interrupted, leave no process, no port and no directory."""

from __future__ import annotations

import signal

import pytest

from kafka_persist_testkit import _ports

pytestmark = [pytest.mark.broker, pytest.mark.testkit]

FORTY_TIMES = """
from kafka_persist_testkit import TestServer
for _ in range(40):
    with TestServer(startup_timeout=180.0) as server:
        traces(server)
print("done", flush=True)
"""
FOR_LONG = """
import time
from kafka_persist_testkit import TestServer
with TestServer(startup_timeout=180.0) as server:
    traces(server)
    time.sleep(600)
"""


def test_forty_starts_and_stops_in_one_process_leave_nothing(run_python, read_traces, assert_all_gone):
    child = run_python(FORTY_TIMES)
    seen = [read_traces(child) for _ in range(40)]

    assert child.stdout.readline() == "done\n"
    for traces in seen:
        assert_all_gone(traces)
        assert all(map(_ports.is_free, traces["ports"]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_five_servers_whose_test_process_is_interrupted_leave_nothing(run_python, read_traces, assert_all_gone, number):
    for _ in range(5):
        child = run_python(FOR_LONG)
        traces = read_traces(child)
        child.send_signal(number)
        child.wait()
        assert_all_gone(traces)
        assert all(map(_ports.is_free, traces["ports"]))
