"""Where in a shared log the items of a number stand: enough of it to begin reading near the first one that is not published."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

MOST_RUNGS: Final = 1024
"""Beyond it every second one goes."""


class Rung(NamedTuple):
    """A record that counts.

    Attributes:
        number: the items up to it stand in this record or before.
        offset: of the record; -1 in front of the first one.
    """

    number: int = 0
    offset: int = -1


class Ladder:
    """Some records that count, from the last one that is wholly published on.

    Args:
        lowest: where it begins.
    """

    def __init__(self, lowest: Rung) -> None:
        self._rungs = [lowest]
        self._stride = 1

    def __repr__(self) -> str:
        return f"<Ladder of {len(self._rungs)} from {self.lowest}>"

    @property
    def lowest(self) -> Rung:
        """The record to begin behind."""
        return self._rungs[0]

    def add(self, rung: Rung) -> None:
        """One more record counts."""
        rungs = self._rungs
        if rung.number - rungs[-1].number >= self._stride:
            rungs.append(rung)
        if len(rungs) > MOST_RUNGS:
            del rungs[1::2]
            self._stride *= 2

    def forget_below(self, published: int) -> None:
        """Items up to this number are published."""
        if len(self._rungs) > 1 and self._rungs[1].number <= published:
            del self._rungs[: self._place(published)]
            self._stride = 1 if len(self._rungs) == 1 else self._stride

    def _place(self, number: int) -> int:
        return bisect_right(self._rungs, number, key=lambda rung: rung.number) - 1

    def below(self, number: int) -> Rung:
        """The last known record whose items all have this number at most."""
        return self._rungs[max(0, self._place(number))]
