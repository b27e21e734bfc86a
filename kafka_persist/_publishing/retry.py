"""Ids whose publishing failed: each is tried again after a pause that grows with its failures in a row."""

from __future__ import annotations

import heapq
import itertools
import logging
import random
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import trio

from ..errors import printable
from .progress import PublicationProgress

_log = logging.getLogger("kafka_persist.publishing")

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds; each pause is between half of it and all of it, so that two processes that fence each other part ways."""


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row before."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(failures, 10))) * random.uniform(0.5, 1)  # noqa: S311 - no secret


P = TypeVar("P", bound=PublicationProgress)


class Retries(Generic[P]):
    """The ids that were put off.

    They stand in a heap by the end of their pauses: an outage puts off all ids of a journal at once, thousands, and each comes
    back at its own time. An id whose pause was ended early stays there until it would have been due, and is skipped then.
    """

    def __init__(self, spawn: Callable[..., bool], resume: Callable[[P], None]) -> None:
        self.failures = 0
        self.last_failure = ""
        self._spawn = spawn
        self._resume = resume
        self._pauses: list[tuple[float, int, P]] = []
        self._tie_breaker = itertools.count()
        self._put_off = 0
        self._sooner = trio.Event()
        self._running = False

    def __len__(self) -> int:
        return self._put_off

    def note_failure(self, progress: P, reason: str) -> None:
        """Note why events of an id are not published; the first time in a row as a warning."""
        self.failures += 1
        progress.last_failure = reason
        self.last_failure = f"{printable(progress.idlog.chain.persistence_id, 40)}: {reason}"
        level = logging.DEBUG if progress.failures else logging.WARNING
        _log.log(
            level,
            "events are stored but not published yet: %s",
            self.last_failure,
            extra={"event": "publishing.delayed"},
        )

    def add(self, progress: P, reason: str) -> None:
        """Put an id off."""
        self.note_failure(progress, reason)
        progress.due = trio.current_time() + pause_after(progress.failures)
        progress.failures += 1
        self._put_off += not progress.put_off
        progress.put_off = True
        heapq.heappush(self._pauses, (progress.due, next(self._tie_breaker), progress))
        if self._pauses[0][2] is progress:
            self._sooner.set()
        if not self._running:
            self._running = self._spawn(self._run)

    def end(self, progress: P) -> bool:
        """End the pause of an id early; False if it was not put off."""
        if not progress.put_off:
            return False
        progress.put_off = False
        self._put_off -= 1
        return True

    async def _run(self) -> None:
        try:
            while self._pauses:
                self._sooner = trio.Event()
                with trio.move_on_at(self._pauses[0][0]):
                    await self._sooner.wait()
                self._resume_due()
        finally:
            self._running = False

    def _resume_due(self) -> None:
        now = trio.current_time()
        while self._pauses and self._pauses[0][0] <= now:
            due, _, progress = heapq.heappop(self._pauses)
            # Not if its pause was ended early, nor if it has been put off once more since.
            if progress.due == due and self.end(progress):
                self._resume(progress)
