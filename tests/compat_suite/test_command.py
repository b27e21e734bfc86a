"""`python -m compat_suite`: no code to write, help that suffices, an exit code by outcome."""

import subprocess
import sys
from pathlib import Path

import pytest

from compat_suite.__main__ import main
from compat_suite.capabilities import JOURNAL

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


def test_a_failed_case_exits_with_one_and_tells_its_story(capsys):
    assert main(["tests.compat_suite.subjects:forgets_deletes", "--only", "J13", "--quiet"]) == 1
    assert "J13 broken: After deleting to 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.such.module:open_journal"], "ERROR no.such.module:open_journal: cannot import no.such.module"),
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
