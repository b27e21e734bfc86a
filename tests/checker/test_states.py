"""What the checker says about states: of entities, views, snapshots and read models, and about errors while all is well."""

from __future__ import annotations

import functools
import itertools

import pytest

from lab.checker import check
from lab.soak.tally import EMPTY, evolve, next_events


class Story:
    """Lines of a history, one second apart; one id, one process."""

    def __init__(self) -> None:
        self.lines: list[dict] = []
        self._calls = itertools.count(1)

    def line(self, **fields) -> None:
        self.lines.append({"t": float(len(self.lines)), "proc": "s", **fields})

    def call(self, op: str, ends: dict | None = None, **begins) -> None:
        number = next(self._calls)
        self.line(call=number, op=op, pid="a", phase="invoke", **begins)
        self.line(call=number, op=op, pid="a", **{"phase": "ok", **(ends or {})})

    def stored(self) -> Story:
        """An entity opened, and two events stored."""
        self.line(op="fault", begins=False)
        self.call("claim", {"highest": 0, "mark": ""}, writer="w")
        self.call("write", writer="w", first=1, marks=["one", "two"])
        return self

    def broken(self) -> dict[str, int]:
        return dict(check(self.lines).counts)


def test_states_that_are_folds_of_what_was_stored_are_right():
    story = Story().stored()
    story.call("claim", {"highest": 2, "mark": "two"}, writer="v")
    story.call("state", {"number": 2, "mark": "two"})
    story.call("save", {"number": 2})
    story.call("snapshot", {"number": 2, "mark": "two"})
    story.call("projected", {"number": 2, "mark": "two"})
    assert story.broken() == {}


@pytest.mark.parametrize("op", ["claim", "state", "projected"])
@pytest.mark.parametrize(
    ("number", "mark", "invariants"),
    [
        (2, "other", {"I5"}),  # events that nobody submitted
        (2, "two event 2 extends nothing", {"I5"}),  # a fold that went wrong by its own account
        (1, "one", {"I1", "I9"}),  # an event is missing
        (0, "", {"I1", "I9"}),  # all are
    ],
)
def test_a_state_that_is_none_is_found(op, number, mark, invariants):
    story = Story().stored()
    story.call(op, {"highest" if op == "claim" else "number": number, "mark": mark}, writer="v")
    assert set(story.broken()) & invariants


def test_of_two_events_submitted_for_a_number_the_stored_one_is_in_the_state():
    story = Story().stored()
    story.call("write", {"phase": "unknown"}, writer="u", first=2, marks=["2nd"])
    story.call("state", {"number": 2, "mark": "2nd"})
    assert story.broken() == {"I1": 1}


@pytest.mark.parametrize("loaded", [{"number": None}, {"number": 1, "mark": "one"}])
def test_a_saved_snapshot_that_is_not_loaded_is_found(loaded):
    story = Story().stored()
    story.call("save", {"number": 2})
    story.call("snapshot", loaded)
    assert story.broken() == {"I8": 1}


FAILED = {"phase": "failed", "err": "BrokerError", "retriable": False, "text": "no"}


def test_an_error_while_all_is_well_says_that_it_passes_or_is_found():
    story = Story().stored()
    story.call("claim", {**FAILED, "retriable": True}, writer="v")
    story.call("claim", {**FAILED, "err": "WriterFenced"}, writer="v")
    assert story.broken() == {}
    story.call("claim", FAILED, writer="v")
    assert story.broken() == {"I15": 1}


def test_an_error_of_a_call_that_met_a_fault_is_none():
    story = Story().stored()
    story.line(op="fault", begins=True)
    story.call("claim", FAILED, writer="v")
    story.line(op="fault", begins=False)
    story.call("claim", FAILED, writer="v")
    assert story.broken() == {}


@pytest.mark.parametrize("name", ["EventsDeleted", "JournalBroken"])
def test_a_false_alarm_is_found_whatever_happened(name):
    story = Story().stored()
    story.line(op="fault", begins=True)
    story.call("claim", {**FAILED, "err": name}, writer="v")
    assert story.broken() == {"I15": 1}


def test_a_process_that_makes_faults_by_itself_may_meet_them():
    story = Story().stored()
    story.line(op="faulty")
    story.call("claim", FAILED, writer="v")
    assert story.broken() == {}


def test_a_tally_says_when_an_event_does_not_belong_where_it_comes():
    events = next_events(EMPTY, ["a", "b", "c"])
    whole = functools.reduce(evolve, events, EMPTY)
    assert (whole.number, whole.mark) == (3, events[-1].after)
    for spoiled in ([events[0], events[2]], [events[1]], [events[0], events[0]], [events[0], events[2], events[1]]):
        tally = functools.reduce(evolve, spoiled, EMPTY)
        assert tally.wrong
        assert tally.mark not in {event.after for event in events}
