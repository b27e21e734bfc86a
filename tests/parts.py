"""Run all tests in three processes at once, each with a Kafka of its own: they wait for servers more than they compute.

The first part shows its progress, the others what they had to say when they have ended. What follows on the command line goes
to all of them. Coverage of all is written below COVERAGE_FILE.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack
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
SECOND = ["cluster", "entity", "load", "publishing"]
"""Folders that take about a third of the time each; the last third is whatever else there is."""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "coverage", "run", "-m", "pytest", *words, *sys.argv[1:]]


def main() -> int:
    """Run all; the worst exit code of them."""
    tests = Path("tests")
    first, second = ([str(tests / name) for name in names] for names in (FIRST, SECOND))
    assert all(Path(folder).is_dir() for folder in [*first, *second]), [*first, *second]
    rest = [str(tests), *(f"--ignore={folder}" for folder in [*first, *second])]
    with ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
        others = [
            subprocess.Popen(command(*words), stdout=output, stderr=subprocess.STDOUT)
            for words, output in zip((second, rest), outputs, strict=True)
        ]
        try:
            worst = subprocess.call(command(*first))
        finally:
            for other in others:
                other.wait()  # Ctrl-C reaches it as well
        for output in outputs:
            output.seek(0)
            sys.stdout.write(output.read().decode(errors="replace"))
        return max(abs(code) for code in (worst, *(other.returncode for other in others)))


if __name__ == "__main__":
    sys.exit(main())
