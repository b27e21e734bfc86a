"""Learning from the next record that nobody else has written, instead of looking at the log.

A record of this process that is handed over after somebody asked, and counts, extends what this process knew: so nobody else had
written before it. Under load such a record goes out within a moment anyway, and who waits for it costs the brokers nothing.
"""

from __future__ import annotations

import attrs
import trio


@attrs.define(eq=False)
class _Ride:
    """All that wait for the same record."""

    over: trio.Event = attrs.field(factory=trio.Event)
    counts: bool = False

    def end(self, counts: bool) -> None:
        self.counts = counts
        self.over.set()


class Riders:
    """Those who wait for the next record of a log."""

    def __init__(self) -> None:
        self._boarding: _Ride | None = None
        self._on_its_way: _Ride | None = None

    def __repr__(self) -> str:
        return f"<Riders{' waiting' if self._boarding or self._on_its_way else ''}>"

    async def ride(self) -> bool:
        """Wait for the next record that is handed over.

        Returns:
            Whether it counts; False also if none is handed over.

        Cancellation: the record is sent all the same.
        """
        mine = self._boarding
        if mine is None:
            mine = self._boarding = _Ride()
        await mine.over.wait()
        return mine.counts

    def depart(self) -> None:
        """A record is handed over; those who come now wait for the one after it."""
        if self._on_its_way is None:  # else the record before it goes out again, with those who waited for that one
            self._on_its_way, self._boarding = self._boarding, None

    def arrive(self, counts: bool) -> None:
        """The record that was handed over last is decided."""
        ride, self._on_its_way = self._on_its_way, None
        if ride is not None:
            ride.end(counts)

    def leave(self) -> None:
        """What became of the record is open, and nothing goes out before that is known."""
        self.arrive(False)
        self.cancel()

    def cancel(self) -> None:
        """No record is going out."""
        ride, self._boarding = self._boarding, None
        if ride is not None:
            ride.end(False)
