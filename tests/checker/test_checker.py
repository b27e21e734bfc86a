"""The checker is tested before it is believed: every mutation of a clean history is found, no clean one is called broken."""

from __future__ import annotations

import copy
import itertools
import json
import random
import sys
from collections import Counter

import pytest

from kafka_persist import StoreClosed, WriteOutcomeUnknown, WriterFenced
from lab.checker import check
from lab.history import History, digest, outcome_of, read_histories

from .clean import history
from .mutations import MUTATIONS, Other

HISTORIES = 200


def test_clean_histories_are_clean():
    for seed in range(HISTORIES):
        verdict = check(history(seed))
        assert verdict.clean, (seed, verdict.broken[:3])


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutation_is_found(mutation):
    done = 0
    for seed in itertools.count():
        assert seed < 50 * HISTORIES, f"only {done} histories have what this changes"
        lines = copy.deepcopy(history(seed))
        try:
            expected = mutation(lines, random.Random(seed))
        except Other:
            continue
        assert expected & set(check(lines).counts), (seed, expected)
        done += 1
        if done == HISTORIES:
            return


def _moved(line: dict, number: int) -> dict:
    """The same line in another process, about another id, later."""
    names = {name: f"{line.get(name)}{number}" for name in ("proc", "pid")}
    return {**line, **names, "t": line["t"] + 1000 * number}


def calls_made(lines: list[dict]) -> int:
    """How many calls checking takes, those of built-in functions included."""
    events: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _argument: events.update([event]))
    try:
        check(lines)
    finally:
        sys.setprofile(None)
    return events["call"] + events["c_call"]


def test_the_work_grows_in_proportion():
    """Four times the history takes four times as many calls, not sixteen."""

    def work(copies: int) -> int:
        return calls_made([_moved(line, number) for number in range(copies) for line in history(number)])

    assert work(200) < 5 * work(50)


def test_calls_past_their_deadline_are_found():
    lines = [
        {"t": 0.0, "phase": "invoke", "proc": "p", "call": 1, "op": "highest", "pid": "a", "within": 5},
        {"t": 7.0, "phase": "ok", "proc": "p", "call": 1, "op": "highest", "pid": "a", "highest": 0},
    ]
    assert check(copy.deepcopy(lines)).counts == {"I11": 1}
    stopped = {"t": 6.9, "op": "stopped", "proc": "p", "seconds": 3.0}
    assert check([lines[0], stopped, lines[1]]).clean


def test_limits_are_checked():
    lines = [
        {"t": 0.0, "op": "resources", "proc": "p", "rss": 10, "max_rss": 20, "fds": 9, "max_fds": 8},
        {"t": 1.0, "op": "gap", "proc": "p", "seconds": 0.2, "most": 0.05},
    ]
    assert check(lines).counts == {"I12": 1, "I13": 1}


def test_a_call_that_outlives_its_cancellation_is_found():
    lines = [
        {"t": 0.0, "phase": "invoke", "proc": "p", "call": 1, "op": "claim", "pid": "a", "writer": "w"},
        {"t": 9.0, "phase": "cancelled", "proc": "p", "call": 1, "op": "claim", "pid": "a", "cancelled": 3.0},
    ]
    assert check(lines).counts == {"I14": 1}


def test_reported_damage_excuses_what_is_missing_and_is_named():
    lines = history(3)
    last = [line for line in lines if line["op"] == "replay" and line["phase"] == "ok"][-1]
    last.update(phase="failed", err="JournalHeadLost")
    verdict = check(lines)
    assert verdict.clean
    assert verdict.damaged == {last["pid"]}


def test_a_history_comes_back_as_it_was_written(tmp_path):
    one, other = History(tmp_path / "one", "p"), History(tmp_path / "other", "q")
    with one.call("claim", "a", writer="w") as call:
        call.fields["highest"] = 7
    with pytest.raises(WriterFenced), other.call("write", "a", first=1, marks=["m"], writer="w"):
        raise WriterFenced("taken over")
    one.close()
    other.close()
    with (tmp_path / "other").open("a") as file:
        file.write('{"t": 1, "proc": "q", "phase": "inv')
    lines = list(read_histories([tmp_path / "one", tmp_path / "other"]))
    assert [(line["proc"], line["phase"]) for line in lines] == [
        ("p", "invoke"),
        ("p", "ok"),
        ("q", "invoke"),
        ("q", "fenced"),
    ]
    assert lines[1]["highest"] == 7
    assert json.dumps(lines)


def test_errors_mean_what_they_say():
    assert outcome_of(WriteOutcomeUnknown("?")) == "unknown"
    assert outcome_of(StoreClosed("!")) == "refused"
    assert digest(b"one") != digest(b"two")
