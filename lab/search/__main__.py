"""`python -m lab.search PROFILE`: search, and print what was found."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .command import search
from .explore import Search
from .profiles import PROFILES


def main(argv: Sequence[str] | None = None) -> int:
    """Run the searches of a profile; 1 if one of them found a violation."""
    return search(argv, "lab.search", PROFILES, lambda profile, trace: Search(profile, trace=trace).run())


if __name__ == "__main__":
    sys.exit(main())
