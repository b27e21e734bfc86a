"""Where to kill another process: at lines of the store's own code, found by a run that is not killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import BrokenPromise, NotShown
from .elsewhere import Ended, Process, Script
from .history import failure
from .subject import Subject


def results_of(ended: Ended) -> list[object]:
    """Return what the calls gave.

    Raises:
        BrokenPromise: one of them raised an error in a process that nothing had happened to yet.
    """
    for result in ended.results:
        if isinstance(result, Exception):
            raise BrokenPromise(f"in another process, before it was killed: {failure(result)}")
    return ended.results


async def crash_points(
    process: Process, subject: Subject[Any], make_script: Callable[[], Script]
) -> list[tuple[int, str]]:
    """Return the numbers of the lines to kill at, with their places, spread over the last call of a script.

    Raises:
        NotShown: no line of Python that is the store's own runs there.
    """
    ended = await process.run(make_script(), trace=True)
    results_of(ended)
    places = {**ended.along, **ended.edges, **ended.once}
    if not places:
        raise NotShown("not shown: no line of the store's own Python runs in another process: nowhere to kill it")
    # The lines of a commit run once, those of an encoder again and again; a loop has its middle between its edges.
    left = subject.options.crash_points
    chosen = _spread(ended.once, left * 3 // 4)
    chosen |= _spread(ended.along, max(1, left // 8))
    chosen |= _spread(ended.edges, max(1, left - len(chosen)))
    return [(count, places[count]) for count in sorted(chosen)]


def _spread(places: dict[int, str], wanted: int) -> set[int]:
    """Choose some, evenly, those at both ends included."""
    counts = sorted(places)
    if len(counts) <= wanted:
        return set(counts)
    return {counts[place * (len(counts) - 1) // max(1, wanted - 1)] for place in range(wanted)}
