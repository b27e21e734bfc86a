"""How far to search. Each profile is exhaustive in what it allows; what it does not allow it does not show."""

from __future__ import annotations

from typing import Final

from .explore import Profile

SMALL: Final = {
    "takeovers": Profile(claims=2, writes=2, deletes=0, timeouts=1, steps=6),
    "deletions": Profile(claims=1, writes=2, deletes=2, steps=6),
    "cleaning": Profile(processes=1, claims=1, writes=3, deletes=1, cleanings=1, steps=10),
    "lost tails": Profile(claims=2, writes=2, deletes=0, restarts=1, truncations=1, steps=5),
}
"""Each for one kind of trouble; together a part of the default tests."""

TESTS: Final = {
    **SMALL,
    "together": Profile(claims=2, writes=2, deletes=1, cleanings=1, timeouts=1, restarts=1, repeats=1, steps=5),
}

NIGHTLY: Final = {
    "takeovers": Profile(claims=2, writes=2, deletes=0, timeouts=1, states=1_500_000),
    "copies": Profile(claims=2, writes=2, deletes=0, timeouts=1, repeats=1, states=1_500_000),
    "deletions": Profile(claims=2, writes=2, deletes=2, timeouts=1, states=1_500_000),
    "cleaning": Profile(processes=1, claims=2, writes=3, deletes=2, cleanings=1, restarts=1, states=1_500_000),
    "cleaning, two processes": Profile(claims=2, writes=2, deletes=1, cleanings=1, timeouts=1, states=1_500_000),
    "lost tails": Profile(claims=2, writes=2, deletes=1, restarts=1, truncations=1, states=1_000_000),
    "together": Profile(
        claims=2, writes=3, deletes=2, cleanings=2, timeouts=1, restarts=1, repeats=1, truncations=1, states=1_500_000
    ),
}

PROFILES: Final = {"tests": TESTS, "nightly": NIGHTLY}
