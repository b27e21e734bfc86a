"""What came out: results per case, the conformance level, a table for people, JSON, an exit code."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from kafka_persist.abc import Capability

from ..adapters import NEEDED_FROM
from ..capabilities import JOURNAL, JOURNAL_LEVELS, SNAPSHOT_STORE, SNAPSHOT_STORE_LEVELS, Level
from ..errors import NotApplicable, NotDeclared, NotGiven, NotShown
from .case import Case


class Status(enum.Enum):
    """How a case ended; the value is what people read."""

    PASSED = "passed"
    FAILED = "FAILED"
    ERROR = "ERROR"
    KNOWN = "known failure"
    NOT_DECLARED = "not declared"
    NOT_APPLICABLE = "not applicable"
    NOT_SHOWN = "not shown"

    @classmethod
    def without_verdict(cls, reason: NotApplicable) -> Status:
        """Return how a case ended that gave a reason why it did not run."""
        if isinstance(reason, NotShown):
            return cls.NOT_SHOWN
        return cls.NOT_DECLARED if isinstance(reason, NotDeclared) else cls.NOT_APPLICABLE


MARKS = {
    Status.PASSED: "✓",
    Status.FAILED: "✗",
    Status.ERROR: "!",
    Status.KNOWN: "x",
    Status.NOT_DECLARED: "-",
    Status.NOT_APPLICABLE: "·",
    Status.NOT_SHOWN: "?",
}
NOT_TRIED = "not tried"
"""How the message of a case begins that was left out after errors in a row."""
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

    @property
    def was_left_out(self) -> bool:
        """Whether the case was not tried because of errors before it."""
        return self.status is Status.ERROR and self.message.startswith(NOT_TRIED)


@attrs.define
class Report:
    """All results of one subject."""

    subject: str
    kind: str
    capabilities: frozenset[Capability]
    seed: int = 0
    results: list[Result] = attrs.field(factory=list)
    unselected: list[Case] = attrs.field(factory=list)

    def stories(self) -> list[str]:
        """Return what failures and errors say; what several cases say alike comes once, with their number."""
        cases: dict[str, list[str]] = {}
        for result in self.results:
            if result.status in {Status.FAILED, Status.ERROR} and not result.was_left_out:
                cases.setdefault(result.message or result.case.title, []).append(result.case.title)
        left_out = [result for result in self.results if result.was_left_out]
        found = [f"{text}{_also(titles)}" for text, titles in cases.items()]
        return found + ([f"{len(left_out)} cases {left_out[0].message}"] if left_out else [])

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
        """Return what stands between the subject and a level: undeclared capabilities, bad cases, and what did not run."""
        wanted = self._levels[level]
        undeclared = [f"{capability.value} not declared" for capability in wanted - self.capabilities]
        bad = [r.case.title for r in self.results if r.status in BAD and self._counts_for(r.case, level)]
        return sorted(undeclared) + bad + self._not_shown(level)

    def _counts_for(self, info: Case, level: Level) -> bool:
        """Whether a level needs a case: by the capabilities that it requires, and the adapters that it needs."""
        return info.requires <= self._levels[level] and all(
            NEEDED_FROM.get(need, level) <= level for need in info.needs
        )

    def _not_shown(self, level: Level) -> list[str]:
        """Return why a level is not shown: adapters that were not given, cases that could not run or were not selected."""
        silent = [r for r in self.results if r.status is Status.NOT_SHOWN and self._counts_for(r.case, level)]
        absent = [r.case for r in silent if r.message.startswith(NotGiven.START)]
        adapters = sorted({need for info in absent for need in info.needs if need in NEEDED_FROM})
        found = [
            f"adapter `{need}` not given ({sum(need in info.needs for info in absent)} cases)" for need in adapters
        ]
        found += [f"{r.case.title} ({r.message.removeprefix('not shown: ')})" for r in silent if r.case not in absent]
        left_out = [
            info.title
            for info in self.unselected
            if self._counts_for(info, level) and not info.lacks & self.capabilities and "performance" not in info.needs
        ]
        if left_out:
            more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
            found.append(f"not run: {left_out[0]}{more}")
        return found + ([] if self.count(Status.PASSED) else ["no case passed"])

    def exit_code(self, required: Level = Level.CORE) -> int:
        """Return 0: all that ran passed and the level is reached; 1: a case failed; 2: an error; 3: level missed.

        Where no case passed, nothing is shown: that misses every level, *none* included.
        """
        if self.count(Status.ERROR):
            return 2
        if self.count(Status.FAILED):
            return 1
        return 0 if self.count(Status.PASSED) and self.level >= required else 3

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
                if (every_case or result.details or result.status in BAD) and not result.was_left_out:
                    yield _line(result)
                    yield from (_figures(name, figures) for name, figures in result.details.items())
        yield from self._impossible()
        yield f"  {self.summary()}"

    def _impossible(self) -> Iterable[str]:
        """Say which cases did not run because an adapter cannot do what they need: nothing is hidden."""
        reasons: dict[str, int] = {}
        for result in self.results:
            inverse = result.case.lacks & self.capabilities
            if result.status is Status.NOT_APPLICABLE and not inverse and set(result.case.needs) & set(NEEDED_FROM):
                reasons[result.message] = reasons.get(result.message, 0) + 1
        for reason, count in reasons.items():
            yield f"  cannot be shown: {reason} ({count} cases)"

    def summary(self) -> str:
        """One line: counts, level, what the next level lacks, seed."""
        parts = [f"level: {self.level}", _counts(self.results)]
        if self.level < self.top_level:
            following = min(level for level in self._levels if level > self.level)
            lacking = self.missing_for(following)
            more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
            not_shown = lacking == self._not_shown(following)
            what = f"{following} not shown" if not_shown else f"for {following}"
            parts.append(f"{what}: {'; '.join(lacking[:3])}{more}")
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


def _also(titles: Sequence[str]) -> str:
    return f" (and {len(titles) - 1} more cases, such as: {titles[1]})" if len(titles) > 1 else ""


def _names(capabilities: Iterable[Capability]) -> str:
    return ", ".join(sorted(capability.value for capability in capabilities)) or "nothing"


def _counts(results: Iterable[Result]) -> str:
    found = [result.status for result in results]
    return ", ".join(f"{found.count(status)} {status.value}" for status in Status if status in found) or "nothing ran"


def _figures(name: str, figures: Mapping[str, Any]) -> str:
    return f"        {name:<36} " + "  ".join(f"{key} {value:,}" for key, value in figures.items())


def _line(result: Result) -> str:
    silent = {Status.NOT_DECLARED, Status.NOT_APPLICABLE, Status.NOT_SHOWN}
    reason = f" ({result.message})" if result.status in silent else ""
    if result.status is Status.KNOWN:
        reason = f" (known failure: {result.message})"
    return f"    {MARKS[result.status]} {', '.join(result.case.ids):<12} {result.case.title}{reason}"
