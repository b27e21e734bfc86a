"""Each row of the benchmarks runs, and does on both sides what it says; its figures are of no interest here."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path

import pytest
import trio

ROOT = Path(__file__).parents[2]
NAMES = [
    *("open3", "lone", "100", "waiting", "replay", "replay20", "recover", "recover-many", "cold", "long", "idle"),
    *("write", "read", "load"),
]
SAME_CODE = {"open20", "open100", "open500", "500"}

pytestmark = [pytest.mark.broker, pytest.mark.source]


@pytest.fixture(scope="module")
def benchmarks():
    """The package of the source tree, which is not installed."""
    sys.path.insert(0, str(ROOT))
    yield {name: importlib.import_module(f"benchmarks.{name}") for name in ("bench", "harness", "rows")}
    sys.path.remove(str(ROOT))


def test_no_row_is_left_out(benchmarks):
    """Those that differ from another one in a number only are."""
    assert {*NAMES, *SAME_CODE} == benchmarks["rows"].ROWS.keys()


@pytest.mark.parametrize("name", NAMES)
async def test_a_row_runs(benchmarks, kafka_server, name):
    """A row asserts by itself that every event came back, and that every entity could be opened."""
    bench, row = benchmarks["bench"], benchmarks["rows"].ROWS[name]
    with trio.fail_after(110):
        async with bench.open_bench(kafka_server.bootstrap_servers, "zookeeper", bench.TINY) as opened:
            results = await row(opened, 1)
    assert results
    for result in results:
        found = [*result.ours, *result.raw] if hasattr(result, "raw") else [result.found]
        assert all(math.isfinite(each) and each >= 0 for each in found)
        assert result.name in result.row()
    if name == "load":
        assert results[0].met, results[0].detail


@pytest.mark.parametrize(
    ("found", "goal", "at_most", "met"),
    [(1.2, 1.2, True, True), (1.3, 1.2, True, False), (0.9, 0.9, False, True), (0.8, 0.9, False, False)],
)
def test_a_goal_is_met_or_missed(benchmarks, found, goal, at_most, met):
    """Latencies are at most the goal, rates at least."""
    figure = benchmarks["harness"].Figure(name="row", unit="s", found=found, goal=goal, at_most=at_most)
    assert figure.met is met
    assert figure.row().endswith("met" if met else "missed")
