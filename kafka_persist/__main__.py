"""``python -m kafka_persist COMMAND``, also installed as ``kafka-persist``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

NEEDED = ("click", "rich")
"""What the extra ``cli`` brings; programs do not need it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code."""
    if not all(find_spec(name) for name in NEEDED):
        sys.stderr.write("kafka-persist: the command line needs an extra: pip install 'kafka-persist[cli]'\n")
        return 2
    from ._commands.main import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
