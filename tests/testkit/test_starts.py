"""The program that measures starts: it starts what it says, TestServer and the bare processes; its figures are of no interest here."""

import importlib
from pathlib import Path

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.testkit, pytest.mark.source]


@pytest.mark.parametrize("name", ["zookeeper", "kraft-3+3"])
def test_a_row_runs(monkeypatch, name):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    starts = importlib.import_module("benchmarks.starts")
    row = next(row for row in starts.ROWS if row.name == name)

    seconds, alone, megabytes = starts.pair(row, 0)

    assert min(seconds, alone) > 0
    assert megabytes > 100
