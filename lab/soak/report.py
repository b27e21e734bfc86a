"""The verdict of a soak, for people: one table and one line."""

from __future__ import annotations

from typing import Any, Final

WORK: Final = {
    "write": "atomic writes",
    "claim": "claims and openings",
    "replay": "replays",
    "state": "looks at views",
    "save": "snapshots saved by hand",
    "snapshot": "snapshots loaded",
    "delete": "deletions",
    "projected": "rows of the read model",
    "open": "stores opened",
    "close": "stores closed",
}
"""What is counted, by the operation's name in a history."""


def report(result: dict[str, Any]) -> str:
    """The table of faults and work, what was wrong, and the verdict in the last line."""
    faults = [f"  {name:>6}  {row['made']!s:>12}  {row['what']}" for name, row in result["rows"].items()]
    work = [_line(result["calls"], op, what) for op, what in WORK.items()]
    wrong = [f"  {each['invariant']} {each['pid']}: {each['text']}" for each in result["first broken"][:8]]
    verdict = (
        f"seed {result['seed']}, {result['brokers']} broker{'s' * (result['brokers'] > 1)}, {result['layout']}, {result['minutes']:g} minutes: "
        f"{result['events stored']:,} events acknowledged, {result['faults']} faults: "
        f"{'CLEAN' if result['clean'] else 'NOT CLEAN'}"
    )
    lines = [
        "     row          made  fault",
        *faults,
        "                  done  (and not done)",
        *(line for line in work if line),
        f"  damage reported: {result['damage reported'] or 'none'}; not reported: {result['damage not reported'] or 'none'}",
        f"  errors of the soak: {result['errors'] or 'none'}",
        f"  broken promises: {result['broken'] or 'none'}",
        *wrong,
        verdict,
    ]
    return "\n".join(lines) + "\n"


def _line(calls: dict[str, int], op: str, what: str) -> str:
    ends = {name.split()[1]: count for name, count in calls.items() if name.split()[0] == op}
    done = ends.pop("ok", 0)
    others = ", ".join(f"{count} {phase}" for phase, count in sorted(ends.items()))
    return f"  {done:>20,}  {what}{f' ({others})' if others else ''}" if done or others else ""
