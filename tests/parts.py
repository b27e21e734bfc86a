"""Run all tests: two halves at once, each with a Kafka of its own, as they wait for servers more than they compute; then clusters.

The first half shows its progress, the second one what it had to say when it has ended. Three brokers want the machine for
themselves, so their tests come last. What follows on the command line goes to all. Coverage is written below COVERAGE_FILE.
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
    "search",
    "serialization",
    "sim",
]
"""Folders that take about half of the time; the other half is whatever else there is, but for the last."""
LAST = ["cluster"]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "coverage", "run", "-m", "pytest", *words, *sys.argv[1:]]


def main() -> int:
    """Run all; the worst exit code of them."""
    tests = Path("tests")
    first, last = ([str(tests / name) for name in names] for names in (FIRST, LAST))
    assert all(Path(folder).is_dir() for folder in [*first, *last]), [*first, *last]
    with tempfile.TemporaryFile() as kept:
        rest = [str(tests), *(f"--ignore={folder}" for folder in [*first, *last])]
        second = subprocess.Popen(command(*rest), stdout=kept, stderr=subprocess.STDOUT)
        try:
            code = subprocess.call(command(*first))
        finally:
            second.wait()  # Ctrl-C reaches it as well
        kept.seek(0)
        sys.stdout.write(kept.read().decode(errors="replace"))
        sys.stdout.flush()
    return max(abs(each) for each in (code, second.returncode, subprocess.call(command(*last))))


if __name__ == "__main__":
    sys.exit(main())
