"""Run all tests in two processes at once, each with a Kafka of its own: they wait for servers more than they compute.

The first half shows its progress, the second one what it had to say when it has ended. What follows on the command line
goes to both. Coverage of both is written below COVERAGE_FILE.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

FIRST = [
    "bridge",
    "checker",
    "compat",
    "compat_suite",
    "compat_suite_mutants",
    "core",
    "naming",
    "publishing",
    "search",
    "serialization",
    "sim",
    "snapshots",
]
"""Folders that take about half of the time; the other half is whatever else there is."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "coverage", "run", "-m", "pytest", *words, *sys.argv[1:]]


def main() -> int:
    """Run both; the worse exit code of the two."""
    tests = Path("tests")
    folders = [str(tests / name) for name in FIRST]
    assert all(Path(folder).is_dir() for folder in folders), folders
    with tempfile.TemporaryFile() as kept:
        others = [f"--ignore={folder}" for folder in folders]
        second = subprocess.Popen(command(str(tests), *others), stdout=kept, stderr=subprocess.STDOUT)
        try:
            first = subprocess.call(command(*folders))
        finally:
            second.wait()  # Ctrl-C reaches it as well
        kept.seek(0)
        sys.stdout.write(kept.read().decode(errors="replace"))
    return max(abs(first), abs(second.returncode))


if __name__ == "__main__":
    sys.exit(main())
