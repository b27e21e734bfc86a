"""What the demo prints: plain text, with a bold heading where the output is a terminal."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence

from bank_account import euros
from tellers import Report

_steps = itertools.count(1)


def _bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def title(text: str) -> None:
    print(f"\n{_bold(text)}\n{'=' * len(text)}")


def step(text: str) -> None:
    print(f"\n{_bold(f'{next(_steps)}. {text}')}", flush=True)


def line(text: str) -> None:
    print(f"   {text}", flush=True)


def report(found: Report) -> None:
    """One command: what it was, and the events that it made, or why there are none."""
    if found.command is None:
        return
    outcome = [f"#{number} {event}" for number, event in found.acknowledged.items()]
    shown = " and ".join(outcome) or f"refused: {found.refused}"
    line(f"{found.command:<18} -> {shown:<62} {euros(found.cents):>10}")


def recovery(found: Report, last_acknowledged: int) -> None:
    behind = found.sequence_nr - (found.snapshot_nr or 0)
    source = f"the snapshot at #{found.snapshot_nr} and the {behind} events behind it"
    if found.snapshot_nr is None:
        source = f"all {behind} events"
    line(f"It finds {euros(found.cents)}, made of {source}.")
    surplus = found.sequence_nr - last_acknowledged
    if surplus > 0:
        line(
            f"({surplus} of these were stored when the first teller died, before it could say so: whole commands, too.)"
        )
    line("It goes on:")


def abridged(lines: Sequence[str], *, first: int, last: int) -> None:
    """The first and the last lines, and how many there are between them."""
    left_out = len(lines) - first - last
    rest = [f"… {left_out} more …", *lines[len(lines) - last :]] if left_out > 1 else lines[first:]
    for text in (*lines[:first], *rest):
        line(text)
