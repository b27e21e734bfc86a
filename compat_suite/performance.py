"""Measurements: the load profiles of the existing suites, with percentiles. Off by default; no thresholds.

Each case also checks that what it measured is right: a fast journal that loses events is not fast.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from .engine.case import Promises, case
from .engine.subject import JournalSubject, SnapshotSubject, Subject
from .journal.probe import JournalProbe, new_probe
from .snapshots.probe import SnapshotProbe

ON = ["performance"]
ROUNDS = 10
EVENTS = 1_000


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample below which this share of all samples lies (nearest rank)."""
    ranked = sorted(samples)
    return ranked[min(len(ranked) - 1, round(share * (len(ranked) - 1)))]


def summarize(samples: Sequence[float], items: int, seconds: float) -> dict[str, float]:
    """Return median, p95 and p99 of the samples in milliseconds, and items per second."""
    return {
        "samples": len(samples),
        "median_ms": round(statistics.median(samples) * 1e3, 3),
        "p95_ms": round(percentile(samples, 0.95) * 1e3, 3),
        "p99_ms": round(percentile(samples, 0.99) * 1e3, 3),
        "per_second": round(items / seconds, 1) if seconds else 0.0,
    }


async def timed(samples: list[float], call: Callable[[], Awaitable[object]]) -> None:
    """Add how long a call takes."""
    started = time.perf_counter()
    await call()
    samples.append(time.perf_counter() - started)


class Measurement:
    """Collects the samples of one case and puts their summary into the report."""

    def __init__(self, subject: Subject[Any], name: str) -> None:
        self._subject = subject
        self._name = name
        self.samples: list[float] = []
        self._started = time.perf_counter()

    def done(self, items: int) -> None:
        """Put the summary into the report."""
        self._subject.details[self._name] = summarize(self.samples, items, time.perf_counter() - self._started)


class JournalPerformance(Promises):
    """Measurements of a journal."""

    group = "Performance"

    @case(needs=ON, limit=600.0)
    async def test_writing_one_by_one(self, subject: JournalSubject) -> None:
        """F1. Events of 1, 10 and 100 ids, one write in flight per id: the time of a write."""
        async with subject.open() as journal:
            for ids in (1, 10, 100):
                probes = [await new_probe(subject, journal, f"f1-{ids}-{index}") for index in range(ids)]
                each = max(10, EVENTS // ids)
                measurement = Measurement(subject, f"{ids} ids")
                async with trio.open_nursery() as nursery:
                    for probe in probes:
                        nursery.start_soon(_write_one_by_one, probe, each, measurement.samples)
                measurement.done(ids * each)
                for probe in probes:
                    await probe.shows(range(1, each + 1))

    @case(needs=ON, limit=600.0)
    async def test_writing_batches_of_fifty(self, subject: JournalSubject) -> None:
        """F2. Atomic writes of 50 events of 1, 10 and 100 ids: the time of a write."""
        async with subject.open() as journal:
            for ids in (1, 10, 100):
                probes = [await new_probe(subject, journal, f"f2-{ids}-{index}") for index in range(ids)]
                batches = max(2, EVENTS // 50 * 5 // ids)
                measurement = Measurement(subject, f"{ids} ids, batches of 50")
                async with trio.open_nursery() as nursery:
                    for probe in probes:
                        nursery.start_soon(_write_batches, probe, batches, measurement.samples)
                measurement.done(ids * batches * 50)
                for probe in probes:
                    await probe.shows(range(1, 50 * batches + 1))

    @case(needs=ON, limit=600.0)
    async def test_writing_without_waiting(self, subject: JournalSubject) -> None:
        """F3. 1,000 writes of one id that are all handed over before the first answer: the time to the last."""
        async with subject.open() as journal:
            measurement = Measurement(subject, f"{EVENTS} waiting writers of one id")
            for round_number in range(3):
                probe = await new_probe(subject, journal, f"f3-{round_number}")
                await timed(measurement.samples, lambda probe=probe: _write_at_once(probe))  # type: ignore[misc]
                await probe.shows(range(1, EVENTS + 1))
            measurement.done(3 * EVENTS)

    @case(needs=ON, limit=600.0)
    async def test_recovering(self, subject: JournalSubject) -> None:
        """F4. Claim and replay of 1, 4 and 50 ids at once, with 100 events each: the time of a recovery."""
        async with subject.open() as journal:
            probes = [await new_probe(subject, journal, f"f4-{index}") for index in range(50)]
            for probe in probes:
                await probe.stored(*range(1, 101))
            for ids in (1, 4, 50):
                measurement = Measurement(subject, f"{ids} recoveries at once")
                for _ in range(ROUNDS):
                    async with trio.open_nursery() as nursery:
                        for probe in probes[:ids]:
                            nursery.start_soon(timed, measurement.samples, lambda probe=probe: _recover(probe))
                measurement.done(ROUNDS * ids)

    @case(needs=ON, limit=600.0)
    async def test_replaying_a_long_log(self, subject: JournalSubject) -> None:
        """F5. Replay of 10,000 events of one id, ten times: the time of a replay."""
        async with subject.open() as journal:
            probe = await new_probe(subject, journal, "f5")
            for first in range(1, 10_001, 1_000):
                await probe.stored(*range(first, first + 1_000))
            measurement = Measurement(subject, "replay of 10,000 events")
            for _ in range(ROUNDS):
                await timed(measurement.samples, lambda: _count(probe, 10_000))
            measurement.done(ROUNDS * 10_000)


class SnapshotPerformance(Promises):
    """Measurements of a snapshot store."""

    group = "Performance"

    @case(needs=ON, limit=600.0)
    async def test_saving_and_loading(self, subject: SnapshotSubject) -> None:
        """F6. Snapshots of 1 KB, 10 KB, 100 KB and 1 MB: the time of a save and of a load."""
        async with subject.open() as store:
            for size in (1_000, 10_000, 100_000, 1_000_000):
                if size > subject.options.largest_payload:
                    continue
                probe = SnapshotProbe(subject, store, subject.id(f"f6-{size}"))
                saves = Measurement(subject, f"save of {size} bytes")
                for number in range(1, 21):
                    await timed(saves.samples, lambda number=number: probe.save(number, "x" * size))  # type: ignore[misc] # noqa: B023
                saves.done(20)
                loads = Measurement(subject, f"load of {size} bytes")
                for _ in range(20):
                    await timed(loads.samples, lambda: probe.gives(20))  # noqa: B023
                loads.done(20)


async def _write_one_by_one(probe: JournalProbe, count: int, samples: list[float]) -> None:
    for number in range(1, count + 1):
        await timed(samples, lambda number=number: probe.stored(number))  # type: ignore[misc]


async def _write_batches(probe: JournalProbe, count: int, samples: list[float]) -> None:
    for first in range(1, 50 * count + 1, 50):
        await timed(samples, lambda first=first: probe.stored(range(first, first + 50)))  # type: ignore[misc]


async def _write_at_once(probe: JournalProbe) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(1, EVENTS + 1):
            await nursery.start(_started, probe, number)


async def _started(
    probe: JournalProbe, number: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    task_status.started()
    await probe.stored(number)


async def _recover(probe: JournalProbe) -> None:
    successor, _ = await probe.next_writer()
    await _count(successor, 100)


async def _count(probe: JournalProbe, expected: int) -> None:
    async with probe.journal.replay(probe.persistence_id) as channel:
        last = 0
        async for event in channel:
            assert event.sequence_nr == last + 1
            last = event.sequence_nr
    assert last == expected
