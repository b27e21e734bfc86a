"""Ctrl-C: a program under load ends with KeyboardInterrupt, each time, whatever the library was doing."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cbor2
import pytest
import trio

import kafka_persist
from kafka_persist._core import cbor
from kafka_persist._lifecycle import open_nursery

VICTIM = Path(__file__).with_name("victim.py")
TIMES = 5
"""For each kind of work."""


def interrupted(server, prefix, kind, seconds):
    """Run a victim, send it SIGINT after so many seconds, and return its exit code and what it printed."""
    paths = os.pathsep.join([str(Path(kafka_persist.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(VICTIM), server.bootstrap_servers, prefix, kind]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def heard():  # a shell that starts the tests in the background ignores it for all its children
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, preexec_fn=heard, **options) as process:  # noqa: PLW1509 - no threads here
        try:
            assert process.stdout.readline() == "begun\n"
            time.sleep(seconds)  # the moment is what is tried out
            process.send_signal(signal.SIGINT)
            printed, complained = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, printed, complained


@pytest.mark.broker
@pytest.mark.parametrize("kind", ["write", "visit", "open"])
def test_ctrl_c_ends_a_program_under_load_with_a_bare_keyboard_interrupt(kafka_server, kafka_prefix, kind):
    """It is never swallowed, never in a group, and nothing else is said on the way."""
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    for number in range(TIMES):
        code, printed, complained = interrupted(kafka_server, f"{kafka_prefix}{number}-", kind, moments.uniform(0, 1.5))
        where = f"seed {seed}, {number}: {complained}"
        assert code == -signal.SIGINT, where
        assert printed.splitlines()[-1].startswith("ended "), where
        lines = complained.splitlines()
        assert lines[0] == "Traceback (most recent call last):", where
        assert lines[-1] == "KeyboardInterrupt", where
        # One traceback, of frames only: no group, no cause, no word of librdkafka.
        assert [line for line in lines[1:-1] if line.strip() and not line.startswith("  ")] == [], where
        assert not re.search(r"Exception ignored|ExceptionGroup|rdkafka|%\d\|", complained), where


async def test_encoding_and_decoding_let_trio_raise_the_interrupt(monkeypatch):  # noqa: ASYNC124 - it needs a Trio run
    """cbor2 swallows what a signal handler raises in there; of 12 programs one wrote on after Ctrl-C."""
    seen = []

    def noting(function):
        def call(*args, **kwargs):
            seen.append(trio.lowlevel.currently_ki_protected())
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(cbor2, "dumps", noting(cbor2.dumps))
    monkeypatch.setattr(cbor2, "loads", noting(cbor2.loads))
    assert cbor.decode(cbor.encode([1])) == [1]
    assert seen == [True, True]
    assert not trio.lowlevel.currently_ki_protected()


async def test_an_interrupt_comes_bare_out_of_the_librarys_own_nurseries():
    """As Trio raises it: in the main task, while that waits for the tasks in there."""

    async def interrupted():
        await trio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        async with open_nursery() as outer:
            outer.start_soon(trio.sleep_forever)
            async with open_nursery() as nursery:
                nursery.start_soon(interrupted)
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_other_errors_come_out_of_them_as_trio_gives_them():
    async def failing():
        await trio.lowlevel.checkpoint()
        raise ValueError("x")

    with pytest.raises(ExceptionGroup) as caught:
        async with open_nursery() as nursery:
            nursery.start_soon(failing)
    assert caught.group_contains(ValueError)
