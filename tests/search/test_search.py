"""The rule of the chain, searched exhaustively: it keeps its promises, and a mistake in it would be found."""

from __future__ import annotations

import pytest

from lab.search.__main__ import main
from lab.search.explore import Search
from lab.search.profiles import SMALL, TESTS

from .mutants import FOUND_BY, MUTANTS


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", TESTS)
def test_the_rule_keeps_its_promises(name):
    found = Search(TESTS[name]).run()
    assert found.violation is None, (found.violation, "run with --trace to see the way")
    assert found.steps == TESTS[name].steps


@pytest.mark.usefixtures("untraced")
def test_deletions_by_others_are_searched():
    """The numbers of states are fixed: a search that misses moves would show."""
    assert Search(SMALL["deletions"]).run().states == 30_511


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_in_the_rule_is_found(name):
    assert Search(SMALL[FOUND_BY[name]], MUTANTS[name]).run().violation is not None


def test_the_way_to_a_violation_is_shown():
    found = Search(SMALL["takeovers"], MUTANTS["a new writer takes over without a claim"], trace=True).run()
    assert found.path
    assert found.path[0].startswith("P0 claim")


def test_the_command_tells_the_figures(capsys):
    assert main(["tests", "--only", "one uuid twice"]) == 0
    assert "states" in capsys.readouterr().out
