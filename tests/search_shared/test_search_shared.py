"""Shared logs, searched exhaustively: their promises are kept, and a mistake would be found."""

from __future__ import annotations

import pytest

from kafka_persist._core.chain import Verdict
from kafka_persist._core.index import Index
from lab.search_shared.__main__ import main
from lab.search_shared.explore import Search
from lab.search_shared.profiles import SMALL, TESTS
from lab.search_shared.protocol import Protocol

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.slow
@pytest.mark.parametrize("name", TESTS)
def test_shared_logs_keep_their_promises(name):
    found = Search(TESTS[name]).run()
    assert found.violation is None, (found.violation, "run with --trace to see the way")
    assert found.steps == TESTS[name].steps


def test_nothing_that_may_happen_is_left_out():
    """The numbers of states are fixed: a search that misses moves would show."""
    assert Search(SMALL["deletions"]).run().states == 1_571


class Lenient(Index):
    """Takes a log that was cut for complete."""

    def begin_at_cut(self):
        pass

    def _take_marker(self, marker, where):
        pass


class Forgetful(Index):
    """A deletion removes events, and their numbers with them."""

    def _take_state(self, state, offset, where):
        super()._take_state(state, offset, where)
        self.table.put_state(state.persistence_id, self.table.state(state.persistence_id)._replace(highest=0))


class Doubling(Index):
    """A carried run counts once more."""

    def _take_run(self, run, offset, where):
        super()._take_run(run._replace(carried=False), offset, where)


def believes(_chain, _offset):
    return Verdict.COUNTS


MISTAKES = {
    "a process takes the log over without a record": ("takeovers", Protocol(claims=False)),
    "every report means that the record counts": ("takeovers", Protocol(verdict=believes)),
    "what came between is not read": ("takeovers", Protocol(reads_gap=False)),
    "what may still come is called not stored": ("takeovers", Protocol(fences=False)),
    "deletions of others do not get into the index": ("deletions", Protocol(takes_states=False)),
    "a deletion lowers the highest number": ("deletions", Protocol(index=Forgetful)),
    "events are not carried": ("cleaning", Protocol(carries_runs=False)),
    "what is deleted is not carried": ("cleaning", Protocol(carries_states=False)),
    "events that were deleted meanwhile are carried": ("cleaning", Protocol(asks_again=False)),
    "a carried run is a new one": ("cleaning", Protocol(index=Doubling)),
    "no marker": ("cleaning", Protocol(marks=False)),
    "a record too many is cut off": ("cleaning", Protocol(cut_shift=1)),
    "nothing is carried, and nobody asks for the marker": ("cleaning", Protocol(index=Lenient, carries_runs=False)),
    "an index of another history is believed": ("lost tails", Protocol(looks_at_head=False)),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name):
    profile, protocol = MISTAKES[name]
    assert Search(SMALL[profile], protocol).run().violation is not None


def test_the_way_to_a_violation_is_shown():
    found = Search(SMALL["cleaning"], Protocol(marks=False), trace=True).run()
    assert found.path[0].startswith("P0 claim")
    assert found.path[-1] == "P0 cuts"


def test_the_command_tells_the_figures(capsys):
    assert main(["tests", "--only", "deletions"]) == 0
    assert "states" in capsys.readouterr().out
