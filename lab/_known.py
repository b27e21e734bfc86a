"""What a checker knows: of each persistence id, its writes and its claims."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Write:
    """A write, from its call on."""

    pid: str
    writer: str
    first: int
    marks: list[str]
    invoked: float
    phase: str = "open"

    @property
    def last(self) -> int:
        """Its last sequence number."""
        return self.first + len(self.marks) - 1


@attrs.define(eq=False)
class Claim:
    """A claim, from its call on."""

    writer: str
    invoked: float
    highest: int = -1
    done: float = float("inf")


@attrs.define(eq=False)
class Id:
    """What is known about one persistence id.

    Attributes:
        stored: sequence numbers of events whose write returned, ascending.
        writes: every write by its (number, mark) of each event.
        holes: numbers that were given to rejected or refused writes.
        floor: deleted for certain; may_floor: perhaps.
        seen: the highest event that a replay gave; highest: the highest number that was reported.
        saved: the highest number of a snapshot whose save returned.
    """

    stored: list[int] = attrs.field(factory=list)
    marks: dict[int, str] = attrs.field(factory=dict)
    writes: dict[tuple[int, str], Write] = attrs.field(factory=dict)
    holes: set[int] = attrs.field(factory=set)
    claims: list[Claim] = attrs.field(factory=list)
    claim_of: dict[str, Claim] = attrs.field(factory=dict)
    floor: int = 0
    may_floor: int = 0
    seen: int = 0
    highest: int = 0
    saved: int = 0
