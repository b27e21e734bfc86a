"""What a search prints, whatever it searches: a line for each part of a profile, then their sum."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

P = TypeVar("P")


@attrs.frozen
class Found:
    """What a search found.

    Attributes:
        states: how many different states were met.
        steps: how many steps were searched completely.
        logs: how many different logs were met.
        seconds: how long it took.
        violation: what is broken; None if nothing is.
        path: the steps that lead there, if they were recorded.
    """

    states: int
    steps: int
    logs: int
    seconds: float
    violation: str | None = None
    path: tuple[str, ...] = ()


def search(
    argv: Sequence[str] | None,
    package: str,
    profiles: Mapping[str, Mapping[str, P]],
    run: Callable[[P, bool], Found],
) -> int:
    """Run the searches of a profile; 1 if one of them found a violation.

    Args:
        argv: the command line; None for the process's own.
        package: whose command it is.
        profiles: its profiles, each with its parts by name.
        run: searches one part; whether the way to each state is to be remembered.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description="Search, and print what was found.")
    parser.add_argument("profile", choices=profiles, nargs="?", default="nightly")
    parser.add_argument("--only", help="one search of the profile, by its name")
    parser.add_argument("--trace", action="store_true", help="remember the way to each state (much memory)")
    arguments = parser.parse_args(argv)
    states, seconds, failed = 0, 0.0, 0
    for name, profile in profiles[arguments.profile].items():
        if arguments.only not in (None, name):
            continue
        found = run(profile, arguments.trace)
        _say(f"{name:24} {_line(found)}")
        states, seconds, failed = states + found.states, seconds + found.seconds, failed + bool(found.violation)
    _say(json.dumps({"states": states, "seconds": round(seconds), "violations": failed}))
    return 1 if failed else 0


def _line(found: Found) -> str:
    line = f"{found.states:>10,} states, {found.logs:>9,} logs, {found.steps:>2} steps, {found.seconds:6.1f} s"
    if found.violation:
        line += f"\n  VIOLATION: {found.violation}\n    " + "\n    ".join(found.path)
    return line


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
