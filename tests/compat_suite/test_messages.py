"""A broken promise says which rule, what was done, what came back, and why it matters."""

import json

from compat_suite.capabilities import Level
from compat_suite.report import Report, Status, write_json
from compat_suite.runner import Plan, run_journal
from tests.compat_suite import subjects


def run(factory, only):
    return run_journal(Plan(factory=factory, name=factory.__name__, only=only))


def test_the_story_of_a_broken_promise():
    result = run(subjects.forgets_deletes, "test_deleted_events_are_not_replayed").results[0]
    lines = result.message.splitlines()
    assert result.status is Status.FAILED
    assert lines[0] == "J13 broken: After deleting to 3, a replay gives 4, 5."
    assert lines[1].startswith("  did:  claim(")
    assert any("write(" in line and "#4…5" in line and "stored" in line for line in lines)
    assert any("delete_to(" in line and line.endswith("3) -> None") for line in lines)
    assert "  but:  the replay: expected 4…5, came 1…5" in lines
    assert lines[-1] == "  why:  what was deleted must not come back into a state."
    assert len(lines) < 12


def test_a_property_case_shows_its_smallest_example_and_seed():
    result = run(subjects.forgets_deletes, "test_every_window_of_every_delete").results[0]
    assert "Failing test case: example( value=(1, [1]," in result.message or "alsifying example" in result.message
    assert "the same examples again: seed 0" in result.message


def test_the_level_names_what_is_missing():
    report = run(subjects.forgets_deletes, "*delet*")
    assert report.level is Level.CORE
    assert "deleted events are not replayed" in report.summary()
    assert report.exit_code() == 1


def test_a_passing_journal_reaches_its_level_and_exits_with_zero():
    report = run(subjects.good_journal, "test_*window*")
    assert report.level is Level.FENCED
    assert report.exit_code(Level.FENCED) == 0


def test_a_missed_level_is_an_exit_code_of_its_own():
    plan = Plan(factory=subjects.good_journal, name="good", capabilities=["deletes"], only="test_all_events*")
    assert run_journal(plan).exit_code(Level.FENCED) == 3


def test_nothing_that_ran_is_no_level():
    assert Report("none", "journal", frozenset()).level is Level.NONE


def test_the_json_report_holds_every_case(tmp_path):
    report = run(subjects.forgets_deletes, "*delet*")
    write_json([report], str(tmp_path / "report.json"))
    data = json.loads((tmp_path / "report.json").read_text())
    subject = data["subjects"][0]
    assert (subject["subject"], subject["level"]) == ("forgets_deletes", "core")
    assert subject["counts"]["failed"] == sum(case["status"] == "failed" for case in subject["cases"])
    assert {"name", "ids", "group", "promise", "status", "message", "seconds"} <= set(subject["cases"][0])
