"""What came out: results per case, the conformance level, a table for people, JSON, an exit code."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from kafka_persist.abc import Capability

from .capabilities import JOURNAL, JOURNAL_LEVELS, SNAPSHOT_STORE, SNAPSHOT_STORE_LEVELS, Level
from .case import Case


class Status(enum.Enum):
    """How a case ended; the value is what people read."""

    PASSED = "passed"
    FAILED = "FAILED"
    ERROR = "ERROR"
    KNOWN = "known failure"
    NOT_DECLARED = "not declared"
    NOT_APPLICABLE = "not applicable"


MARKS = {
    Status.PASSED: "✓",
    Status.FAILED: "✗",
    Status.ERROR: "!",
    Status.KNOWN: "x",
    Status.NOT_DECLARED: "-",
    Status.NOT_APPLICABLE: "·",
}
GIVE_UP_AFTER = 3
"""Errors of a factory in a row after which the other cases of its subject are not tried."""
BAD = frozenset({Status.FAILED, Status.ERROR, Status.KNOWN})


@attrs.frozen
class Result:
    """One case of one subject.

    Attributes:
        case: which.
        group: its heading.
        status: how it ended.
        message: the story of a failure, or the reason why it did not run.
        seconds: how long it took.
        details: figures of a performance case.
    """

    case: Case
    group: str
    status: Status
    message: str = ""
    seconds: float = 0.0
    details: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.define
class Report:
    """All results of one subject."""

    subject: str
    kind: str
    capabilities: frozenset[Capability]
    seed: int = 0
    results: list[Result] = attrs.field(factory=list)

    def count(self, *statuses: Status) -> int:
        """Return how many cases ended so."""
        return sum(result.status in statuses for result in self.results)

    @property
    def level(self) -> Level:
        """The highest level of which every level below is reached too."""
        reached = Level.NONE
        for level in self._levels:
            if self.missing_for(level):
                break
            reached = level
        return reached

    @property
    def _levels(self) -> Mapping[Level, frozenset[Capability]]:
        return JOURNAL_LEVELS if self.kind == "journal" else SNAPSHOT_STORE_LEVELS

    @property
    def top_level(self) -> Level:
        """The highest level that this kind of store can reach."""
        return max(self._levels)

    def missing_for(self, level: Level) -> list[str]:
        """Return what stands between the subject and a level: undeclared capabilities and bad cases."""
        wanted = self._levels[level]
        undeclared = [f"{capability.value} not declared" for capability in wanted - self.capabilities]
        bad = [r.case.title for r in self.results if r.status in BAD and r.case.requires <= wanted]
        return sorted(undeclared) + bad + ([] if self.count(Status.PASSED) else ["no case passed"])

    def exit_code(self, required: Level = Level.CORE) -> int:
        """Return 0: all that ran passed and the level is reached; 1: a case failed; 2: an error; 3: level missed."""
        if self.count(Status.ERROR):
            return 2
        if self.count(Status.FAILED):
            return 1
        return 0 if self.level >= required else 3

    # --- for people -----------------------------------------------------------------------------------------------

    def lines(self, *, every_case: bool = True) -> Iterable[str]:
        """Render the table."""
        yield f"compat_suite: {self.kind} {self.subject}"
        allowed = JOURNAL if self.kind == "journal" else SNAPSHOT_STORE
        yield f"  declared:     {_names(self.capabilities)}"
        yield f"  not declared: {_names(allowed - self.capabilities)}"
        for group, results in self._groups().items():
            yield f"  {group}: {_counts(results)}"
            for result in results:
                if every_case or result.details or result.status in BAD:
                    yield _line(result)
                    yield from (_figures(name, figures) for name, figures in result.details.items())
        yield f"  {self.summary()}"

    def summary(self) -> str:
        """One line: counts, level, what the next level lacks, seed."""
        parts = [f"level: {self.level}", _counts(self.results)]
        if self.level < self.top_level:
            following = min(level for level in self._levels if level > self.level)
            lacking = self.missing_for(following)
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            parts.append(f"for {following}: {'; '.join(lacking[:3])}{more}")
        return " | ".join([*parts, f"seed {self.seed}"])

    def _groups(self) -> dict[str, list[Result]]:
        groups: dict[str, list[Result]] = {}
        for result in self.results:
            groups.setdefault(result.group, []).append(result)
        return groups

    # --- for machines ---------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "subject": self.subject,
            "kind": self.kind,
            "capabilities": sorted(capability.value for capability in self.capabilities),
            "level": str(self.level),
            "seed": self.seed,
            "counts": {status.name.lower(): self.count(status) for status in Status},
            "cases": [_result_json(result) for result in self.results],
        }


def _result_json(result: Result) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "ids": list(result.case.ids),
        "group": result.group,
        "promise": result.case.promise,
        "requires": sorted(capability.value for capability in result.case.requires),
        "status": result.status.name.lower(),
        "message": result.message,
        "seconds": round(result.seconds, 6),
        **({"details": dict(result.details)} if result.details else {}),
    }


def write_json(reports: Iterable[Report], path: str) -> None:
    """Write the reports of a run to a file."""
    data = {"suite": "compat_suite", "format": 1, "subjects": [report.to_json() for report in reports]}
    Path(path).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _names(capabilities: Iterable[Capability]) -> str:
    return ", ".join(sorted(capability.value for capability in capabilities)) or "nothing"


def _counts(results: Iterable[Result]) -> str:
    found = [result.status for result in results]
    return ", ".join(f"{found.count(status)} {status.value}" for status in Status if status in found) or "nothing ran"


def _figures(name: str, figures: Mapping[str, Any]) -> str:
    return f"        {name:<36} " + "  ".join(f"{key} {value:,}" for key, value in figures.items())


def _line(result: Result) -> str:
    reason = f" ({result.message})" if result.status in {Status.NOT_DECLARED, Status.NOT_APPLICABLE} else ""
    if result.status is Status.KNOWN:
        reason = f" (known failure: {result.message})"
    return f"    {MARKS[result.status]} {', '.join(result.case.ids):<12} {result.case.title}{reason}"
