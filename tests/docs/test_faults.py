"""The page about faults names tests that exist, has each row once, and rows of the soak that there are."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from lab.soak.plan import ROWS

ROOT = Path(__file__).parents[2]
PAGES = ("faults.md", "chain.md", "runbook.md")
TEST = re.compile(r"`((?:tests|compat_suite)/[\w/]+\.py)::(\w+)`")

pytestmark = pytest.mark.source


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def rows() -> dict[str, list[str]]:
    lines = [line for line in page("faults.md").splitlines() if re.match(r"\| \d+ \|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({each[0] for each in cells}) == len(cells), "a row comes twice"
    return {each[0]: each for each in cells}


@cache
def functions(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_a_page_names_exists(name):
    """By file and function."""
    named = set(TEST.findall(page(name)))
    assert [f"{path}::{test}" for path, test in sorted(named) if test not in functions(path)] == []


def test_every_row_is_there_once():
    """Rows 1 to 55, in order, each with five cells."""
    assert list(rows()) == [str(number) for number in range(1, 56)]
    assert [number for number, cells in rows().items() if len(cells) != 5] == []


def test_every_row_is_covered_or_says_why_not():
    """A row names a test, a row of the soak, or says "not covered" with a reason."""
    unclear = []
    for number, cells in rows().items():
        covered, missing = re.search(r"::test_|[Ss]oak \d", cells[4]), re.search(r"Not covered[^:]*: \w+", cells[4])
        if not (covered or missing):
            unclear.append(number)
    assert unclear == []


def test_rows_of_the_soak_are_named_where_they_belong():
    """What the soak draws stands in its row, and nothing else is called a row of it."""
    named = {number: set(re.findall(r"[Ss]oak (\d+)", cells[4])) for number, cells in rows().items()}
    drawn = {row.name.split()[0] for row in ROWS}
    assert {number for number, found in named.items() if found} == drawn
    assert all(found <= {number} for number, found in named.items())
