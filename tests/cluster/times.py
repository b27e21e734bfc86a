"""What is configured, and how much of a time was the machine's."""

from __future__ import annotations

import trio

CONNECT = 5.0
DELIVERY = 8.0
STALL = 8.0
TIDYING = 5.0
GRACE = 10.0
"""For what a call does itself, several round trips to brokers that all of this shares two cores with. How long this
process was late because the machine had no time for it is not the call's, and not in here: `Lateness` measures it."""

LIMITS = {
    "persist": DELIVERY,
    "save": CONNECT + STALL + DELIVERY + TIDYING,  # before its record; the record; what it replaced
    "delete": CONNECT + STALL + DELIVERY + CONNECT,  # finding and reading the log; the record; cutting the log
    "load": CONNECT + STALL,
    "replay": CONNECT + 2 * STALL,  # the head, then the events
    # Three calls: the snapshot is loaded, the id is claimed (topic, reading, record), the events are replayed.
    "open": (CONNECT + STALL) + (CONNECT + STALL + DELIVERY) + STALL,
    "close": STALL + DELIVERY,
}
"""What is configured, one time for each thing that a call may have to wait for. None of it is the machine's speed: each
of these ends by a clock of the product's."""

TICK = 0.05


class Lateness:
    """How late this process is woken, in all: the seconds in which the machine ran others, or garbage was collected.

    Deadlines cannot be met while the process does not run, whatever it was written like; so a call's time is judged
    without what was lost meanwhile. A broker that has no time is another matter: not to wait for it is what is tested.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    async def measure(self) -> None:
        """Sleep shortly, again and again; what it sleeps too long is counted."""
        while True:
            wanted = trio.current_time() + TICK
            await trio.sleep_until(wanted)
            self.seconds += trio.current_time() - wanted
