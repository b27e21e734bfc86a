"""What is remembered of an id's log that is forgotten otherwise."""

from __future__ import annotations

from typing import Protocol

import attrs

from .._core.chain import Chain, Head
from .._core.envelope import Claimant


class Settling(Protocol):
    """What the publisher keeps with a log."""

    @property
    def settled(self) -> bool:
        """Nothing of it would be lost if it were forgotten."""
        ...


@attrs.frozen(eq=False)
class Kept:
    """What is remembered of a log that is forgotten otherwise: all that a later use need not read again.

    Attributes:
        chain: the head, and how far the log was judged.
        fresh: nothing has been read yet.
        failure: why the current writer is finished.
        holder: who claimed.
        hint: a head that a snapshot remembers.
        mark: the same, found in the log.
        followed: where the last replay ended.
        published: up to where events are in their topics.
        last_timestamp: the clock.
    """

    chain: Chain
    fresh: bool
    failure: str
    holder: tuple[int, Claimant] | None
    hint: Head | None
    mark: Head | None
    followed: Head | None
    published: int
    last_timestamp: int

    @property
    def unsaved(self) -> bool:
        """More events are published than the log says."""
        return self.published > self.chain.head.published
