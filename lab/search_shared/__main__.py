"""`python -m lab.search_shared PROFILE`: search, and print what was found."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from .explore import Found, Search
from .profiles import PROFILES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the searches of a profile; 1 if one of them found a violation."""
    parser = argparse.ArgumentParser(prog="python -m lab.search_shared", description=__doc__)
    parser.add_argument("profile", choices=PROFILES, nargs="?", default="nightly")
    parser.add_argument("--only", help="one search of the profile, by its name")
    parser.add_argument("--trace", action="store_true", help="remember the way to each state (much memory)")
    arguments = parser.parse_args(argv)
    states, seconds, failed = 0, 0.0, 0
    for name, profile in PROFILES[arguments.profile].items():
        if arguments.only not in (None, name):
            continue
        found = Search(profile, trace=arguments.trace).run()
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


if __name__ == "__main__":
    sys.exit(main())
