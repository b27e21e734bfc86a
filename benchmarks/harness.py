"""Rounds, ratios, the table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import attrs

Measure: TypeAlias = Callable[[], Awaitable[float]]

NAME_WIDTH = 52
TABLE_WIDTH = NAME_WIDTH + 58


@attrs.frozen(kw_only=True)
class Case:
    """One comparison.

    Attributes:
        name: what is done.
        unit: of both figures: "ms" (seconds are measured, lower is better) or a rate (higher is better).
        ours: one round of ours. raw: one round of the raw client.
        goal: what is wanted: at most for "ms", at least for rates; None where the figure is only reported.
        goal_for: what the goal is compared with: the ratio ours / raw, or our own figure.
        rounds: at most so many, where each is expensive.
        warm_up: one more round before, which does not count.
        detail: a line more, asked for at the end.
    """

    name: str
    unit: str
    ours: Measure
    raw: Measure
    goal: float | None
    goal_for: Literal["ratio", "ours"] = "ratio"
    rounds: int | None = None
    warm_up: bool = True
    detail: Callable[[], str] = str


@attrs.frozen(kw_only=True)
class Result:
    """The figures of a case over its rounds."""

    name: str
    unit: str
    goal: float | None
    goal_for: str
    ours: list[float]
    raw: list[float]
    detail: str

    @property
    def ratios(self) -> list[float]:
        return [ours / raw for ours, raw in zip(self.ours, self.raw, strict=True)]

    @property
    def met(self) -> bool | None:
        """None: there is no goal."""
        judged = statistics.median(self.ratios if self.goal_for == "ratio" else self.ours)
        return meets(judged, self.goal, at_most=self.unit == "ms")

    def row(self) -> str:
        ratios, scale = self.ratios, 1000 if self.unit == "ms" else 1
        ours, raw = statistics.median(self.ours) * scale, statistics.median(self.raw) * scale
        goal = goal_text(self.goal, at_most=self.unit == "ms", of="" if self.goal_for == "ratio" else " ours")
        figures = (
            f"{self.name:<{NAME_WIDTH}} {ours:>12,.2f} {raw:>12,.2f} {self.unit:<9} "
            f"{statistics.median(ratios):>5.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )
        return (
            figures.ljust(TABLE_WIDTH)
            + f"{goal:<15} {verdict(self.met)}"
            + (f"\n    {self.detail}" if self.detail else "")
        )

    def figures(self) -> dict[str, object]:
        return {**attrs.asdict(self), "ratios": self.ratios, "met": self.met}


@attrs.frozen(kw_only=True)
class Figure:
    """One figure that stands alone, with its goal."""

    name: str
    unit: str
    found: float
    goal: float
    at_most: bool = True
    detail: str = ""

    @property
    def met(self) -> bool:
        return bool(meets(self.found, self.goal, at_most=self.at_most))

    def row(self) -> str:
        return (
            f"{self.name:<{NAME_WIDTH}} {self.found:>12,.2f} {'':>12} {self.unit}".ljust(TABLE_WIDTH)
            + f"{goal_text(self.goal, at_most=self.at_most):<15} {verdict(self.met)}"
            + (f"\n    {self.detail}" if self.detail else "")
        )

    def figures(self) -> dict[str, object]:
        return {**attrs.asdict(self), "met": self.met}


Row: TypeAlias = Result | Figure

HEADER = f"{'row':<{NAME_WIDTH}} {'ours':>12} {'raw':>12} {'unit':<9} ratio (min-max)".ljust(TABLE_WIDTH) + (
    f"{'goal':<15} verdict"
)


def meets(found: float, goal: float | None, *, at_most: bool) -> bool | None:
    if goal is None:
        return None
    return found <= goal if at_most else found >= goal


def goal_text(goal: float | None, *, at_most: bool, of: str = "") -> str:
    return "" if goal is None else f"{'<=' if at_most else '>='} {goal:,g}{of}"


def verdict(met: bool | None) -> str:
    return "-" if met is None else "met" if met else "missed"


async def run(case: Case, rounds: int) -> Result:
    """Measure both sides in turn: ours, raw, ours, raw …"""
    ours, raw = [], []
    if case.warm_up:
        await case.ours()
        await case.raw()
    for _ in range(min(rounds, case.rounds or rounds)):
        ours.append(await case.ours())
        raw.append(await case.raw())
    return Result(
        name=case.name,
        unit=case.unit,
        goal=case.goal,
        goal_for=case.goal_for,
        ours=ours,
        raw=raw,
        detail=case.detail(),
    )


def save(results: Sequence[Row], path: Path) -> None:
    """Write the figures as JSON."""
    path.write_text(json.dumps([result.figures() for result in results], indent=2) + "\n", "utf-8")


def spread(seconds: Sequence[float]) -> str:
    """The latencies of many calls in words."""
    ordered = sorted(seconds)
    middle, late = percentile(ordered, 0.5), percentile(ordered, 0.99)
    return f"p50 {middle * 1e3:,.1f} ms, p99 {late * 1e3:,.1f} ms, max {ordered[-1] * 1e3:,.1f} ms"


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
