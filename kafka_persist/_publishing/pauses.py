"""Ids whose publishing failed: each is tried again after a pause that grows with its failures in a row."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final

import trio

from ..errors import printable
from .ledger import Ledger

_log = logging.getLogger("kafka_persist.publishing")

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds; each pause is between half of it and all of it, so that two processes that fence each other part ways."""


class Pauses:
    """The ids that were put off."""

    def __init__(self, spawn: Callable[..., bool], resume: Callable[[Ledger], None]) -> None:
        self.failures = 0
        self.last_failure = ""
        self._spawn = spawn
        self._resume = resume
        self._waiting: list[Ledger] = []
        self._added = trio.Event()
        self._running = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ledger: Ledger, reason: str) -> None:
        """Put an id off; the first time in a row is a warning."""
        self.failures += 1
        ledger.last_failure = reason
        self.last_failure = f"{printable(ledger.idlog.chain.persistence_id, 40)}: {reason}"
        level = logging.DEBUG if ledger.failures else logging.WARNING
        _log.log(level, "events are stored but not published yet: %s", self.last_failure)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(ledger.failures, 10))
        ledger.failures += 1
        ledger.put_off = True
        ledger.due = trio.current_time() + pause * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self._waiting.append(ledger)
        self._added.set()
        if not self._running:
            self._running = self._spawn(self._run)

    def end(self, ledger: Ledger) -> bool:
        """Let an id go on at once; False if it was not put off."""
        if ledger not in self._waiting:
            return False
        self._waiting.remove(ledger)
        ledger.put_off = False
        return True

    async def _run(self) -> None:
        try:
            while self._waiting:
                self._added = trio.Event()
                with trio.move_on_at(min(each.due for each in self._waiting)):
                    await self._added.wait()  # its pause may be shorter
                now = trio.current_time()
                due = [each for each in self._waiting if each.due <= now]
                self._waiting = [each for each in self._waiting if each.due > now]
                for ledger in due:
                    ledger.put_off = False
                    self._resume(ledger)
        finally:
            self._running = False
