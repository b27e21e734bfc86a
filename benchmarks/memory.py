"""Bytes instead of seconds: what a long replay adds to the process, and what an idle entity costs."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import AsyncExitStack
from pathlib import Path

import attrs

from kafka_persist import open_memory_snapshot_store, open_persistence_on

from .cases import Bench

REPLAY_GOAL_MIB = 64.0
ENTITY_GOAL_KIB = 10.0
ENTITIES = 500
LOOK_EVERY = 5_000


@attrs.frozen(kw_only=True)
class Footprint:
    """One figure with its goal (an upper bound)."""

    name: str
    unit: str
    found: float
    goal: float

    @property
    def met(self) -> bool:
        return self.found <= self.goal

    def row(self) -> str:
        verdict = "met" if self.met else "MISSED"
        return f"{self.name:<44} {self.found:>12,.2f} {'':>12} {self.unit:<9} {'':<20} <= {self.goal:<5} {verdict}"


def resident_mib() -> float:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def long_replay(bench: Bench) -> Footprint:
    """The most that reading a long log adds, after a first replay has warmed everything up."""
    count = bench.sizes.long_replay
    (warm,) = await bench.filled("warm", 1, 20_000)
    (name,) = await bench.filled("long", 1, count)
    await _peak(bench, warm)
    gc.collect()
    before = resident_mib()
    peak = await _peak(bench, name)
    return Footprint(
        name=f"replay of {count:,} events: memory added",
        unit="MiB",
        found=max(0.0, peak - before),
        goal=REPLAY_GOAL_MIB,
    )


async def _peak(bench: Bench, persistence_id: str) -> float:
    peak, seen = 0.0, 0
    async with bench.journal.replay(persistence_id) as events:
        async for _ in events:
            seen += 1
            if seen % LOOK_EVERY == 0:
                peak = max(peak, resident_mib())
    return peak


async def idle_entities(bench: Bench) -> Footprint:
    """What one more entity, recovered and written to once, keeps in memory."""
    ids = [f"idle-{bench.run}-{number}" for number in range(ENTITIES)]
    await bench.journal.prepare(ids)
    async with (
        open_memory_snapshot_store() as snapshots,
        open_persistence_on(bench.journal, snapshots) as persistence,
        AsyncExitStack() as stack,
    ):
        for name in ids[:50]:  # what is allocated once, by whatever comes first
            await _open(stack, persistence, name)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for name in ids[50:]:
            await _open(stack, persistence, name)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    return Footprint(name="an idle entity", unit="KiB", found=used / (ENTITIES - 50) / 1024, goal=ENTITY_GOAL_KIB)


async def _open(stack: AsyncExitStack, persistence, name: str) -> None:
    entity = await stack.enter_async_context(
        persistence.entity(name, initial=0, evolve=lambda state, event: state + event)
    )
    await entity.persist(1)


CASES = {"long": long_replay, "idle": idle_entities}
