"""Rounds, ratios, the table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import attrs

Measure = Callable[[], Awaitable[float]]


@attrs.frozen(kw_only=True)
class Case:
    """One comparison.

    Attributes:
        name: what is done.
        unit: of both figures: "ms" (seconds are measured, lower is better) or a rate (higher is better).
        ours: one round of ours. raw: one round of the raw client.
        goal: the ratio ours / raw that is wanted: at most for "ms", at least for rates.
    """

    name: str
    unit: str
    ours: Measure
    raw: Measure
    goal: float

    @property
    def lower_is_better(self) -> bool:
        return self.unit == "ms"


@attrs.frozen(kw_only=True)
class Result:
    """The figures of a case over its rounds."""

    name: str
    unit: str
    ours: list[float]
    raw: list[float]
    goal: float
    lower_is_better: bool

    @property
    def ratios(self) -> list[float]:
        return [ours / raw for ours, raw in zip(self.ours, self.raw, strict=True)]

    @property
    def met(self) -> bool:
        ratio = statistics.median(self.ratios)
        return ratio <= self.goal if self.lower_is_better else ratio >= self.goal

    def row(self) -> str:
        scale = 1000 if self.unit == "ms" else 1
        ratios = self.ratios
        sign = "<=" if self.lower_is_better else ">="
        return (
            f"{self.name:<44} {statistics.median(self.ours) * scale:>12,.2f} {statistics.median(self.raw) * scale:>12,.2f} "
            f"{self.unit:<9} {statistics.median(ratios):>5.2f} ({min(ratios):.2f}-{max(ratios):.2f})  {sign} {self.goal:<5} "
            f"{'met' if self.met else 'MISSED'}"
        )


HEADER = f"{'case':<44} {'ours':>12} {'raw':>12} {'unit':<9} ratio (min-max)    goal     verdict"


async def run(case: Case, rounds: int) -> Result:
    """Measure both sides in turn: ours, raw, ours, raw …; one more round before, which does not count."""
    ours, raw = [], []
    for number in range(rounds + 1):
        mine, theirs = await case.ours(), await case.raw()
        if number:
            ours.append(mine)
            raw.append(theirs)
    return Result(
        name=case.name, unit=case.unit, ours=ours, raw=raw, goal=case.goal, lower_is_better=case.lower_is_better
    )


def save(results: Sequence[attrs.AttrsInstance], path: Path) -> None:
    """Write the figures as JSON."""
    rows = [
        {**attrs.asdict(result), "ratios": getattr(result, "ratios", None), "met": result.met} for result in results
    ]
    path.write_text(json.dumps(rows, indent=2) + "\n")
