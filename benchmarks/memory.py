"""Bytes instead of seconds: what a long replay adds to the process, and what an idle entity costs."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import AsyncExitStack
from pathlib import Path

from kafka_persist import open_memory_snapshot_store, open_persistence_on

from .bench import Bench
from .harness import Figure, Row

REPLAY_GOAL_MIB = 64.0
ENTITY_GOAL_KIB = 10.0
ENTITIES = 500
LOOK_EVERY = 5_000


def resident_mib() -> float:
    """Memory of this process that is in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def long_replay(bench: Bench, _rounds: int) -> list[Row]:
    """The most that reading a long log adds, after a first replay has warmed everything up."""
    count = bench.sizes.long_replay
    (warm,) = await bench.filled("warm", 1, 20_000)
    (name,) = await bench.filled("long", 1, count)
    await _peak(bench, warm)
    gc.collect()
    before = resident_mib()
    peak = await _peak(bench, name)
    name = f"replay of {count:,} events: memory added"
    return [Figure(name=name, unit="MiB", found=max(0.0, peak - before), goal=REPLAY_GOAL_MIB)]


async def _peak(bench: Bench, persistence_id: str) -> float:
    peak, seen = 0.0, 0
    async with bench.journal.replay(persistence_id) as events:
        async for _ in events:
            seen += 1
            if seen % LOOK_EVERY == 0:
                peak = max(peak, resident_mib())
    return peak


async def idle_entities(bench: Bench, _rounds: int) -> list[Row]:
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
    each = used / (ENTITIES - 50) / 1024
    return [Figure(name="an idle entity", unit="KiB", found=each, goal=ENTITY_GOAL_KIB)]


async def _open(stack: AsyncExitStack, persistence, name: str) -> None:
    entity = await stack.enter_async_context(
        persistence.entity(name, initial=0, evolve=lambda state, event: state + event)
    )
    await entity.persist(1)


ROWS = {"long": long_replay, "idle": idle_entities}
