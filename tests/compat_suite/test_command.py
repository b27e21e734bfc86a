"""`python -m compat_suite`: no code to write, help that suffices, an exit code by outcome."""

import subprocess
import sys
from pathlib import Path

import pytest

from compat_suite.__main__ import main, payloads_of
from compat_suite.capabilities import JOURNAL
from compat_suite.catalogue import JournalCases, SnapshotStoreCases
from compat_suite.errors import SpecError
from compat_suite.runner import selected

ROOT = Path(__file__).parents[2]


def test_help_shows_examples_capabilities_and_exit_codes(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert "python -m compat_suite kafka_persist.memory:open_memory_journal" in shown
    assert "exit code: 0" in shown
    assert not [one for one in JOURNAL if one.value not in shown]


def test_list_shows_every_case_by_its_promise(capsys):
    assert main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert "several atomic writes of one call are stored in order" in shown
    assert "S24" in shown


def test_a_good_journal_and_store_pass(capsys, tmp_path):
    names = [
        "tests.compat_suite.subjects:good_journal",
        "--snapshot-store",
        "tests.compat_suite.subjects:good_snapshot_store",
    ]
    assert main([*names, "--only", "*restart*", "--seed", "7", "--report", str(tmp_path / "r.json")]) == 0
    shown = capsys.readouterr().out
    assert "✓ X1" in shown
    assert "seed 7" in shown
    assert (tmp_path / "r.json").exists()


def test_the_fault_cases_run_with_an_adapter(capsys):
    faults = ["--faults", "tests.compat_suite.subjects:good_faults"]
    assert main(["tests.compat_suite.subjects:good_journal", *faults, "--only", "X3"]) == 0
    assert "Faults: 2 passed" in capsys.readouterr().out


def test_only_takes_every_line_that_list_prints(capsys):
    main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    specs = iter((JournalCases, SnapshotStoreCases))
    for line in lines:
        if not line.startswith("  "):
            spec = next(specs)
            continue
        title = line.split("  ")[-1].strip()
        for pattern in (line, title, title.replace(" ", "_"), f"test_{title.replace(' ', '_')}"):
            assert title in [info.title for _, info in selected(spec, pattern)], pattern
    assert len(lines) > 300


def test_only_takes_several_patterns():
    chosen = [info.title for _, info in selected(JournalCases, ["W12,J13", "Killed processes"])]
    assert {"an empty call does nothing", "deleted events are not replayed"} < set(chosen)
    assert sum("kill" in title for title in chosen) == len(chosen) - 2


def test_a_pattern_may_match_one_of_two_stores(capsys):
    names = [
        "tests.compat_suite.subjects:good_journal",
        "--snapshot-store",
        "tests.compat_suite.subjects:good_snapshot_store",
    ]
    assert main([*names, "--only", "S1,S2"]) == 0
    shown = capsys.readouterr().out
    assert "snapshot store tests.compat_suite.subjects:good_snapshot_store" in shown
    assert "journal tests.compat_suite.subjects:good_journal" not in shown


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        (["--only", "Killed processes"], "6 not shown"),
        (["--only", "deleted events are not replayed", "--capabilities", "tags"], "1 not declared"),
    ],
)
def test_a_selection_of_which_no_case_passed_exits_with_three(capsys, arguments, counts):
    assert main(["tests.compat_suite.subjects:good_journal", *arguments]) == 3
    summary = capsys.readouterr().out.splitlines()[-1]
    assert summary.startswith(f"  level: none | {counts} | ")
    assert "no case passed" in summary


def test_payloads_are_chosen_by_type_or_by_name():
    assert {type(value) for value in payloads_of("str,int,none")} == {str, int, type(None)}
    assert payloads_of("tests.compat_suite.subjects:PAYLOADS") == ("a", 1)
    with pytest.raises(SpecError, match="unknown type 'decimal'; known are str"):
        payloads_of("decimal")


def run_command(*arguments):
    command = [sys.executable, "-m", "compat_suite", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)


def test_a_case_that_kills_the_interpreter_is_a_finding_and_the_next_ones_run():
    ended = run_command("tests.compat_suite.subjects:dies_in_a_delete", "--only", "J1,J13,J2", "--quiet")
    assert ended.returncode == 1, ended.stderr
    assert "deleted events are not replayed: the interpreter died of SIGSEGV during delete_to(" in ended.stdout
    assert ended.stdout.count("died of") == 1
    assert "3 passed, 1 FAILED" in ended.stdout


def test_a_factory_that_kills_the_interpreter_is_one_line_that_names_it():
    ended = run_command("tests.compat_suite.subjects:dies_on_entry", "--quiet")
    assert ended.returncode == 2
    assert (
        "the interpreter died of SIGSEGV during open_journal (tests.compat_suite.subjects.dies_on_entry): entering"
        in ended.stderr
    )
    assert len((ended.stdout + ended.stderr).strip().splitlines()) == 1


def test_a_failed_case_exits_with_one_and_tells_its_story(capsys):
    assert main(["tests.compat_suite.subjects:forgets_deletes", "--only", "J13", "--quiet"]) == 1
    assert "J13 broken: After deleting to 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.such.module:open_journal"], "ERROR no.such.module:open_journal: cannot import no.such.module"),
        (["tests.compat_suite.exits:open_journal"], "cannot import tests.compat_suite.exits: SystemExit: 3"),
        (["tests.compat_suite.subjects:exits_on_entry"], "entering failed: SystemExit: 4"),
        (["tests.compat_suite.subjects:raises_on_entry"], "entering failed: ConnectionError: nobody is listening"),
        (["tests.compat_suite.subjects:good_journal", "--capabilities", "detele"], "did you mean 'deletes'?"),
        (["tests.compat_suite.subjects:good_journal", "--only", "no such case"], "no case of a journal matches"),
    ],
)
def test_bad_input_exits_with_two_and_says_why(capsys, arguments, message):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_without_a_subject_it_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "name a journal" in capsys.readouterr().err


def test_a_thread_that_the_subject_left_does_not_keep_the_command_running():
    command = [sys.executable, "-m", "compat_suite", "tests.compat_suite.subjects:leaves_a_thread", "--only", "W12"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_factory_that_ignores_cancellation_does_not_hang_the_command():
    command = [sys.executable, "-m", "compat_suite", "tests.compat_suite.subjects:hangs_shielded", "--scale", "0.05"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "hangs_shielded" in ended.stderr
    assert "ignores cancellation" in ended.stderr
