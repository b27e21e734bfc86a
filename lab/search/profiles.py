"""How far to search. Each profile is exhaustive in what it allows; what it does not allow it does not show."""

from __future__ import annotations

from typing import Final

from .explore import Profile

SMALL: Final = {
    "takeovers": Profile(claims=3, writes=2, deletes=0, timeouts=1, repeats=0),
    "copies": Profile(writers=2, claims=2, writes=2, deletes=0, timeouts=1, repeats=2),
    "deletions": Profile(writers=2, claims=2, writes=2, deletes=2, timeouts=0, repeats=0),
    "retention": Profile(writers=2, claims=2, writes=2, deletes=1, timeouts=0, repeats=0, foreign_cuts=1),
    "retention, one writer": Profile(writers=1, claims=2, writes=3, deletes=1, timeouts=0, repeats=0, foreign_cuts=1),
    "lost tails": Profile(writers=2, claims=2, writes=2, deletes=1, timeouts=0, repeats=0, truncations=1),
    "one uuid twice": Profile(writers=2, claims=2, writes=3, deletes=0, timeouts=0, repeats=0, misuse=True),
}
"""Each for one kind of trouble; together a part of the default tests."""

TESTS: Final = {
    **SMALL,
    "together": Profile(writers=3, claims=2, writes=1, deletes=1, timeouts=1, repeats=1, steps=9),
}

NIGHTLY: Final = {
    **SMALL,
    "three writers, two cuts": Profile(claims=3, writes=3, deletes=2, timeouts=1, repeats=1, states=6_000_000),
    "two writers to the end": Profile(writers=2, claims=2, writes=2, deletes=2, timeouts=1, repeats=1),
    "all at once": Profile(claims=3, writes=2, deletes=2, foreign_cuts=1, truncations=1, states=4_000_000),
}

PROFILES: Final = {"tests": TESTS, "nightly": NIGHTLY}
