"""What the registry counts, and what it makes of it."""

from __future__ import annotations

import attrs

from ..errors import printable
from .latency import Histogram, Latency


@attrs.frozen(kw_only=True)
class EntityStatistics:
    """What a registry of live entities does, and has done since it was opened.

    Attributes:
        limit: how many entities may be open at once.
        open: entities that are open, those in use included.
        in_use: of these, entities that a call uses or waits for.
        opening: entities that are being recovered, or wait for room.
        closing: entities that are being passivated.
        opened: recoveries that succeeded.
        failed_openings: recoveries that failed.
        passivated: entities that were closed because they were idle, or others needed the room.
        commands: calls of `execute` and `execute_once` that ended without an error.
        refused: calls that the command itself refused by raising.
        fenced: times that a command found its id taken over by another writer.
        unknown: commands whose outcome is not known.
        retried: times that a command was tried again by the registry.
        snapshots: snapshots that were saved by themselves.
        failed_snapshots: those that were not.
        execute: how long the calls that succeeded took, waiting for the opening included.
        recovery: how long recoveries took, waiting for a permit included.
    """

    limit: int
    open: int
    in_use: int
    opening: int
    closing: int
    opened: int
    failed_openings: int
    passivated: int
    commands: int
    refused: int
    fenced: int
    unknown: int
    retried: int
    snapshots: int
    failed_snapshots: int
    execute: Latency
    recovery: Latency


@attrs.frozen
class Health:
    """Whether the registry can do its work.

    Attributes:
        healthy: nothing is the matter: of each kind of work, the last one succeeded.
        problems: what is the matter, one sentence each.
    """

    healthy: bool
    problems: tuple[str, ...] = ()


@attrs.define
class Streak:
    """Failures of one kind of work since it last succeeded."""

    what: str
    failures: int = 0
    last: str = ""

    def succeeded(self) -> None:
        """Forget the failures."""
        self.failures = 0

    def failed(self, error: BaseException) -> None:
        """Count one."""
        self.failures += 1
        self.last = f"{type(error).__name__}: {printable(str(error), 200)[1:-1]}"

    @property
    def problem(self) -> str:
        """What is the matter; "" if nothing is."""
        return (
            f"{self.what} failed {self.failures} times in a row, the last time with {self.last}"
            if self.failures
            else ""
        )


@attrs.define(eq=False)
class Tally:
    """Counters, histograms and streaks of one registry."""

    opened: int = 0
    failed_openings: int = 0
    passivated: int = 0
    commands: int = 0
    refused: int = 0
    fenced: int = 0
    unknown: int = 0
    retried: int = 0
    snapshots: int = 0
    failed_snapshots: int = 0
    execute: Histogram = attrs.field(factory=Histogram)
    recovery: Histogram = attrs.field(factory=Histogram)
    openings: Streak = attrs.field(factory=lambda: Streak("opening entities"))
    writes: Streak = attrs.field(factory=lambda: Streak("storing events"))
    saves: Streak = attrs.field(factory=lambda: Streak("saving snapshots"))

    def count_opening(self, seconds: float) -> None:
        """Count a recovery that succeeded."""
        self.opened += 1
        self.recovery.add(seconds)
        self.openings.succeeded()

    def count_failed_opening(self, error: Exception) -> None:
        """Count one that failed."""
        self.failed_openings += 1
        self.openings.failed(error)

    def count_command(self, seconds: float) -> None:
        """Count a command that succeeded."""
        self.commands += 1
        self.execute.add(seconds)
        self.writes.succeeded()

    def count_snapshot(self, error: Exception | None) -> None:
        """Count a snapshot: saved if there is no error."""
        if error is None:
            self.snapshots += 1
            self.saves.succeeded()
        else:
            self.failed_snapshots += 1
            self.saves.failed(error)

    def health(self) -> Health:
        """What the streaks say."""
        problems = tuple(each.problem for each in (self.openings, self.writes, self.saves) if each.problem)
        return Health(not problems, problems)
