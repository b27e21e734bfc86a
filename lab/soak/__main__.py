"""`python -m lab.soak`: services, writers and readers on real brokers, faults from a seed, and a verdict."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kafka_persist_testkit.modes import Mode

from .supervisor import main as soak


def main(argv: Sequence[str] | None = None) -> int:
    """Run a soak and print its verdict.

    Args:
        argv: Its words; None takes those of the process.

    Returns:
        The exit code: 0 if every promise was kept, 1 if not.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lab.soak",
        description="Cause faults for some minutes while several processes write and read, then check the whole history.",
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="how long faults are caused (default: 30)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="one broker (default), or three")
    parser.add_argument(
        "--layout",
        choices=("topic-per-id", "shared"),
        default="topic-per-id",
        help="of the journals (default: topic-per-id)",
    )
    parser.add_argument(
        "--mode", type=Mode, choices=tuple(Mode), default=Mode.ZOOKEEPER, help="with ZooKeeper (default), or kraft"
    )
    parser.add_argument("--seed", type=int, help="the seed of every random choice (default: a new one, printed)")
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="where to write histories and verdict (default: a new one)"
    )
    arguments = parser.parse_args(argv)
    return soak(arguments.minutes, arguments.brokers, arguments.mode, arguments.seed, arguments.layout, arguments.dir)


if __name__ == "__main__":
    sys.exit(main())
