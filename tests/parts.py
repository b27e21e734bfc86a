"""Run all tests: two processes at a time, as tests wait for servers more than they compute; those on three brokers at the end.

The folders are divided into a dozen parts, each a pytest with a Kafka of its own; whoever is free takes the next one, so that
both end at about the same time whatever the machine is slow at. The parts that take longest come first. A part's output
is shown when it has ended. Three brokers want the machine for themselves, so their tests come last, and show their progress.

What follows on the command line goes to all. If COVERAGE_FILE is set, they are traced, and coverage is written there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 2
PARTS = [
    ["journal", "publishing"],
    ["sim"],
    ["load"],
    ["entities", "shop"],
    ["faults", "snapshots"],
    ["security", "shared"],
    ["compat"],
    ["search", "checker", "core"],
    ["commands", "demo", "docs", "structure"],
    ["consuming", "projection", "view"],
    ["compat_suite", "compat_suite_mutants"],
    ["bridge", "entity", "limits"],
    ["testkit", "zookeeper"],
]
"""Folders; what is not named here is one more part."""
LAST = ["cluster"]


def command(*words: str) -> list[str]:
    traced = ["-m", "coverage", "run"] if "COVERAGE_FILE" in os.environ else []
    return [sys.executable, *traced, "-m", "pytest", *words, *sys.argv[1:]]


def run(words: list[str]) -> int:
    """Run one part; show its output when it has ended."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as kept:
        code = subprocess.call(command(*words), stdout=kept, stderr=subprocess.STDOUT)  # Ctrl-C reaches it as well
        kept.seek(0)
        text = kept.read().decode(errors="replace")
    took = time.monotonic() - began
    sys.stdout.write(f"{text}=== {took:.0f} s, exit code {code}: {' '.join(words)}\n")
    sys.stdout.flush()
    return code


def main() -> int:
    """Run all; the worst exit code of them."""
    tests = Path("tests")
    named = [[str(tests / name) for name in part] for part in PARTS]
    last = [str(tests / name) for name in LAST]
    folders = [folder for part in [*named, last] for folder in part]
    assert all(Path(folder).is_dir() for folder in folders), folders
    rest = [str(tests), *(f"--ignore={folder}" for folder in folders)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(run, [*named, rest]))
    return max(abs(code) for code in [*codes, subprocess.call(command(*last))])


if __name__ == "__main__":
    sys.exit(main())
