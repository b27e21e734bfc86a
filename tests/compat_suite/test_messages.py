"""A broken promise says which rule, what was done, what came back, and why it matters."""

import json

import attrs
import pytest

from compat_suite import Elsewhere
from compat_suite.capabilities import JOURNAL, Level
from compat_suite.catalogue import JournalCases
from compat_suite.engine.case import cases_of
from compat_suite.engine.report import Report, Result, Status, write_json
from compat_suite.errors import NotGiven
from compat_suite.runner import Plan, run_journal
from kafka_persist.abc import Capability
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
    assert "  but:  the replay: expected 4…5, got 1…5" in lines
    assert lines[-1] == "  why:  what was deleted must not come back into a state."
    assert len(lines) < 12


def test_a_property_case_shows_its_smallest_example_and_seed():
    result = run(subjects.forgets_deletes, "test_every_window_of_every_delete").results[0]
    assert "Failing test case: example( value=(1, [1]," in result.message or "alsifying example" in result.message
    assert "the same examples again: seed 0" in result.message


def all_passed(*, but=(), undeclared=(), status=Status.FAILED, message=""):
    """A report in which each case ended well, but for some."""
    report = Report("made", "journal", JOURNAL - set(undeclared))
    for group, info in cases_of(JournalCases).values():
        missing = info.requires - report.capabilities or info.lacks & report.capabilities
        ended = status if info.name in but or set(info.needs) & set(but) else Status.PASSED
        report.results.append(Result(info, group, Status.NOT_DECLARED if missing else ended, message))
    return report


def test_the_level_names_what_is_missing():
    report = run(subjects.forgets_deletes, "deleted events are not replayed")
    assert report.exit_code() == 1
    report = all_passed(but=["test_deleted_events_are_not_replayed"])
    assert report.level is Level.CORE
    assert "for full: deleted events are not replayed" in report.summary()


def test_a_journal_that_passes_everything_reaches_the_top():
    report = all_passed()
    assert report.level is Level.FENCED
    assert report.exit_code(Level.FENCED) == 0


@pytest.mark.parametrize("adapter", ["faults", "backdoor", "elsewhere"])
def test_a_level_whose_adapter_is_missing_is_not_shown(adapter):
    report = all_passed(but=[adapter], status=Status.NOT_SHOWN, message=str(NotGiven(adapter)))
    assert report.level is Level.FULL
    assert f"crash-safe not shown: adapter `{adapter}` not given" in report.summary()
    assert report.exit_code(Level.CRASH_SAFE) == 3


def test_a_level_whose_crash_cases_find_nowhere_to_kill_is_not_shown():
    """A store of which no line can be traced in the other process: nothing was killed, so nothing was shown."""
    ran = run_journal(
        Plan(
            factory=subjects.untraced_journal,
            name="untraced",
            only="a claim that is killed leaves the id usable",
            make_elsewhere=lambda: Elsewhere("tests.compat_suite.subjects:untraced_journal"),
        )
    )
    (result,) = ran.results
    assert (result.status, ran.exit_code(Level.NONE)) == (Status.NOT_SHOWN, 3)

    report = all_passed(but=[result.case.name], status=result.status, message=result.message)
    assert report.level is Level.FULL
    assert "crash-safe not shown: a claim that is killed leaves the id usable (no line of the" in report.summary()


def test_a_level_whose_cases_were_not_selected_is_not_shown():
    report = run(subjects.good_journal, "test_*window*")
    assert report.level is Level.NONE
    assert "core not shown: not run: a stored event is read back at once and" in report.summary()
    assert report.exit_code(Level.NONE) == 0


def test_a_level_whose_capability_is_not_declared_is_not_reached():
    report = all_passed(undeclared=[Capability.FENCING])
    assert report.level is Level.CRASH_SAFE
    assert "for fenced: fencing not declared" in report.summary()


def test_a_case_that_an_adapter_cannot_show_is_named():
    report = all_passed(but=["test_a_lost_acknowledgement_is_unknown"], status=Status.NOT_APPLICABLE)
    assert any("cannot be shown" in line for line in report.lines())


def test_the_same_error_of_many_cases_is_one_story():
    report = all_passed(but=["test_a_delete_touches_one_id_only", "test_deletes_at_once_add_up"], status=Status.ERROR)
    report.results = [
        attrs.evolve(result, message="opening failed") if result.status is Status.ERROR else result
        for result in report.results
    ]
    assert report.stories() == ["opening failed (and 1 more cases, such as: deletes at once add up)"]


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
    assert (subject["subject"], subject["level"]) == ("forgets_deletes", "none")
    assert subject["counts"]["failed"] == sum(case["status"] == "failed" for case in subject["cases"])
    assert {"name", "ids", "group", "promise", "status", "message", "seconds"} <= set(subject["cases"][0])
