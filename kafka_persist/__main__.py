"""``python -m kafka_persist COMMAND``, also installed as ``kafka-persist``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ._commands import check, publish_pending


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    parser = argparse.ArgumentParser(prog="kafka-persist", description="Look after the stores of kafka_persist.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check.add_command(commands)
    publish_pending.add_command(commands)
    options = parser.parse_args(arguments)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
