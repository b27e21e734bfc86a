"""How long a reading waits for progress, and what it does when there is none."""

from __future__ import annotations

import math
import time
from typing import Final

from ..errors import RecoveryStalled
from .client import Reasons
from .fetch import Fetch
from .fetcher import Fetcher

FIRST_SECONDS: Final = 0.05
LONGEST_SECONDS: Final = 1.0
"""Without progress for so long the leader is asked for again; doubled each time."""

FRESH_SECONDS: Final = 2.0
"""Without progress for so long a new client is made: a connection through which nothing comes would be found out only by
``socket.timeout.ms``. Doubled each time."""


class FreshClient(Exception):  # noqa: N818 - a signal to the reader, never an error to a caller
    """Go on with a new client."""


class Patience:
    """Watches over one reading, whatever clients it uses.

    Args:
        reasons: the last errors that the clients reported.
        seconds: how long there may be no progress.
    """

    def __init__(self, reasons: Reasons, seconds: float) -> None:
        self._reasons = reasons
        self._stall_seconds = seconds
        self._since = time.monotonic()
        self._progress = 0
        self._noted = reasons.count
        self._fresh_seconds = self._fresh_at = min(FRESH_SECONDS, seconds / 4)
        self.seconds = FIRST_SECONDS
        """How long to wait before `check` is called again."""

    def begin(self, fetch: Fetch) -> None:
        """Go on with another stretch of the same reading."""
        self._progress = fetch.progress

    def note_progress(self, fetch: Fetch) -> None:
        """Something came."""
        self._progress, self._since, self.seconds = fetch.progress, time.monotonic(), FIRST_SECONDS
        self._noted = self._reasons.count
        self._fresh_at = self._fresh_seconds

    def check(self, fetcher: Fetcher, fetch: Fetch) -> None:
        """Look for progress; without any, ask again.

        Raises:
            RecoveryStalled: there was none for too long.
            FreshClient: nothing comes through this client.
        """
        if fetcher.outdated:
            raise FreshClient
        if fetch.progress != self._progress:
            self.note_progress(fetch)
            return
        now = time.monotonic()
        waited = now - self._since
        if waited > self._stall_seconds:
            raise RecoveryStalled(
                f"reading {fetch.log}: no progress for {self._stall_seconds:g} s (recovery-stall-timeout): "
                f"{self._why(fetch)}"
            ).about(topic=fetch.log.topic, offset=fetch.next_offset)
        if waited > self._fresh_at and not fetch.doubting:
            self._fresh_at += 2 * waited
            raise FreshClient
        fetcher.nudge(fetch)
        due = math.inf if fetch.assign_at is None else max(0.001, fetch.assign_at - now)
        self.seconds = min(LONGEST_SECONDS, self.seconds * 2, due)

    def _why(self, fetch: Fetch) -> str:
        """What is known of the cause."""
        if fetch.reason:
            return fetch.reason
        if self._reasons.count > self._noted:
            return f"no broker answers ({self._reasons.text()})"
        return "the broker sends nothing. Is the partition's leader up?"
