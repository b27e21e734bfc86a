"""A process that dies between journal and publication loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.broker

SCRIPT = Path(__file__).with_name("crash.py")


def test_killed_processes_lose_nothing(broker):
    """Killed twenty times while writing: nothing missing, nothing alien, the first occurrences in order."""
    command = [sys.executable, str(SCRIPT), "--times", "20", "--bootstrap", broker.servers]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # also from a bare source tree
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["stored"] > 20
    assert (figures["missing"], figures["alien"], figures["out of order"]) == (0, 0, 0)
