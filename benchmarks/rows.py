"""All rows, in groups that share a broker: what one leaves behind (thousands of topics) must not slow others down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from . import memory, opening, steady, workloads
from .bench import Bench
from .harness import Row

Measuring: TypeAlias = Callable[[Bench, int], Awaitable[list[Row]]]

GROUPS: Mapping[str, Mapping[str, Measuring]] = {
    "opening": opening.ROWS,  # first: "on a fresh broker" is part of it
    "steady": {**steady.ROWS, "cold": opening.cold, **memory.ROWS},
    "write": {"write": workloads.write},
    "read": {"read": workloads.read},
    "load": {"load": workloads.load},
}
ROWS: Mapping[str, Measuring] = {name: row for group in GROUPS.values() for name, row in group.items()}
