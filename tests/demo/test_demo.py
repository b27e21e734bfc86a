"""The demo, run as people run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.source]

ROOT = Path(__file__).parents[2]
SECONDS = 60


def run(script, *options):
    """Run a script in a process of its own; return its exit code, output and duration."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * SECONDS,
        env=environment,
        cwd=ROOT,
    )
    return done.returncode, done.stdout, done.stderr, time.monotonic() - started


@pytest.mark.parametrize("options", [[], ["--layout", "shared"]], ids=["topic-per-id", "shared"])
def test_the_demo_shows_that_nothing_is_lost_within_a_minute(options):
    code, output, errors, seconds = run(ROOT / "examples" / "demo.py", *options)
    assert (code, errors) == (0, ""), output + errors
    assert re.search(r"kill -9 \d+, in the middle of its work", output)
    assert re.search(r"made of (the snapshot at #\d+ and the \d+ events behind it|all \d+ events)", output)
    assert "the writer takes over, epoch 2" in output
    assert re.search(r"All \d+ acknowledged events are there, unchanged", output)
    assert "\033" not in output, "escape codes although the output is no terminal"
    assert seconds < SECONDS


def test_the_demo_fails_if_an_acknowledged_event_is_lost():
    code, output, _, _ = run(Path(__file__).with_name("forgetful_demo.py"))
    assert code == 1, output
    assert "LOST" in output
    assert re.search(r"event #4\d was acknowledged as .*, but nothing is stored", output)
