"""How often, and after which pause, the registry tries a command again."""

from __future__ import annotations

import random

import attrs

from ..errors import UsageError


def _positive(_policy: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < float("inf"):
        raise UsageError(f"{attribute.name} must be a positive number of seconds, not {value!r}")


def _attempts(_policy: object, _attribute: object, value: int) -> None:
    if type(value) is not int or not 1 <= value <= 100:
        raise UsageError(f"attempts must be a whole number from 1 to 100, not {value!r}")


@attrs.frozen(kw_only=True)
class ReopenPolicy:
    """What the registry does by itself when an entity stops; `Entities` says when.

    Attributes:
        attempts: how often a command is tried in all; 1 never tries one again.
        first_pause: seconds before the second attempt; doubled for each further one, and shortened by up to a half at
            random, so that two processes that take an id from each other do not do it in step.
        longest_pause: seconds that no pause exceeds.
    """

    attempts: int = attrs.field(default=5, validator=_attempts)
    first_pause: float = attrs.field(default=0.1, validator=_positive)
    longest_pause: float = attrs.field(default=2.0, validator=_positive)

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** (failures - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, keeps no secret
