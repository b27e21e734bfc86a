"""How far long work is, in one line on standard error, for people: nothing where that is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

EVERY: Final = 0.1
"""Seconds between two looks of the line."""

BAR: Final = 24
"""Characters of the bar."""

_ERASED: Final = "\r\x1b[K"

_shown: list[Progress] = []


class Progress:
    """A line that says how many events were dealt with; rows of results erase it, and it comes again below them.

    It is drawn by whoever reports, not by a thread: what stands still does not move.

    Args:
        what: what is done, in a word.
        total: how many events there are; None if that is not known.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what, self._total = what, total
        self._events = self._ids = 0
        self._begun = self._drawn = 0.0

    def __repr__(self) -> str:
        return f"<Progress: {self.line}>"

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._begun = time.monotonic()
            _shown.append(self)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self in _shown:
            erase()
            _shown.remove(self)

    @property
    def line(self) -> str:
        """What it says."""
        seconds = int(time.monotonic() - self._begun) if self._begun else 0
        found = f"{self._what}: {self._ids:,} ids, {self._events:,}"
        if self._total:
            full = min(BAR, BAR * self._events // self._total)
            found = f"{self._what} [{'#' * full}{' ' * (BAR - full)}] {self._events:,} of {self._total:,}"
        return f"{found} events, {seconds // 60}:{seconds % 60:02d}"

    def add(self, events: int = 1) -> None:
        """So many events more."""
        self._events += events
        self._draw()

    def add_id(self) -> None:
        """One more id is done."""
        self._ids += 1
        self._draw()

    def _draw(self) -> None:
        if self in _shown and (now := time.monotonic()) > self._drawn + EVERY:
            self._drawn = now
            sys.stderr.write(f"{_ERASED}{self.line}")
            sys.stderr.flush()


def erase() -> None:
    """Make room for something else in the terminal."""
    if _shown:
        sys.stderr.write(_ERASED)
        sys.stderr.flush()
