"""The pytest plugin: what a spec must say, how outcomes look, and that it costs nothing where it is not used."""

import importlib.metadata
import json
import os
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from compat_suite.capabilities import JOURNAL, Level
from compat_suite.catalogue import JournalCases
from compat_suite.engine.case import cases_of
from compat_suite.engine.report import Status
from compat_suite.engine.subject import Options
from compat_suite.runner import Plan, run_journal, run_snapshot_store
from tests.compat_suite import subjects

ROOT = Path(__file__).parents[2]

GOOD = """
    import pytest
    from compat_suite import Capability, JournalSpec
    from tests.compat_suite import subjects

    class TestMine(JournalSpec):
        capabilities = frozenset({Capability.DELETES, Capability.DURABLE})

        @pytest.fixture
        def open_journal(self):
            return subjects.good_journal
"""


@pytest.fixture
def run(tmp_path):
    def run_pytest(source, *arguments):
        (tmp_path / "test_mine.py").write_text(textwrap.dedent(source))
        (tmp_path / "pytest.ini").write_text("[pytest]\n")  # or that of a folder above would count
        plugin = [] if _installed() else ["-p", "compat_suite.plugin"]
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "-W", "error"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [*command, *plugin, "-rs", str(tmp_path / "test_mine.py"), *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run_pytest


def _installed():
    try:
        importlib.metadata.distribution("kafka-persist")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def test_fifteen_lines_are_enough(run):
    ended = run(GOOD, "-k", "window or fenc or stale")
    assert ended.returncode in {0, 1}, ended.stdout + ended.stderr
    assert "compat_suite: journal test_mine.TestMine" in ended.stdout
    assert "declared:     deletes, durable" in ended.stdout
    assert "capability not declared: fencing" in ended.stdout


def test_a_broken_promise_is_shown_without_a_traceback(run):
    ended = run(
        GOOD.replace("subjects.good_journal", "subjects.forgets_deletes"), "-k", "deleted_events_are_not_replayed"
    )
    assert ended.returncode == 1
    assert "J13 broken: After deleting to 3, a replay gives 4, 5." in ended.stdout
    assert "Traceback" not in ended.stdout
    assert "execution.py" not in ended.stdout


def test_a_bad_factory_is_an_error(run):
    ended = run(GOOD.replace("subjects.good_journal", "subjects.raises_on_entry"), "-k", "windows_around")
    assert ended.returncode == 1
    assert "1 error" in ended.stdout
    assert "entering failed: ConnectionError: nobody is listening" in ended.stdout


def test_a_bad_factory_is_given_up_after_three_errors(run):
    source = GOOD.replace("subjects.good_journal", "subjects.hangs_on_entry") + "        scale = 0.03\n"
    ended = run(source, "-k", "window")
    assert "not tried after 3 errors in a row" in ended.stdout
    assert ended.returncode == 1


def test_an_unknown_capability_fails_at_collection_with_the_nearest_one(run):
    ended = run(GOOD.replace("Capability.DELETES,", "'detele',"))
    assert ended.returncode == 2
    assert "TestMine: unknown capability 'detele'; did you mean 'deletes'?" in ended.stdout


def test_a_capability_of_the_other_kind_of_store_is_refused(run):
    ended = run(GOOD.replace("Capability.DELETES", "Capability.MULTIPLE_SNAPSHOTS"))
    assert "'multiple-snapshots' is not one of this kind of store" in ended.stdout


WEAKENED = """
        def test_deleted_events_are_not_replayed(self):
            pass
"""
REMOVED = """
        test_deleted_events_are_not_replayed = None
"""
NOT_STRICT = """
        @pytest.mark.xfail(reason="later")
        def test_deleted_events_are_not_replayed(self):
            pass
"""
STRICT = """
        @pytest.mark.xfail(strict=True, reason="deletes come in 2.0")
        async def test_deleted_events_are_not_replayed(self, subject):
            await super().test_deleted_events_are_not_replayed(subject)
"""


@pytest.mark.parametrize("change", [WEAKENED, REMOVED, NOT_STRICT])
def test_a_weakened_case_fails_at_collection(run, change):
    ended = run(GOOD + change)
    assert ended.returncode == 2
    assert "TestMine.test_deleted_events_are_not_replayed weakens the suite" in ended.stdout


def test_a_known_failure_is_marked_and_counts_against_the_level(run):
    source = GOOD.replace("subjects.good_journal", "subjects.forgets_deletes") + STRICT
    ended = run(source, "-k", "deleted_events_are_not_replayed or windows_give or all_events")
    assert ended.returncode == 0, ended.stdout
    assert "1 known failure" in ended.stdout
    assert "deletes come in 2.0" in ended.stdout


SKIPPED = """
        @pytest.fixture
        def elsewhere(self):
            pytest.skip("one process at a time")
"""


def test_a_case_that_a_fixture_skips_is_not_shown(run):
    ended = run(GOOD + SKIPPED, "-k", "acknowledged_events_survive or windows_give")
    assert "1 not shown" in ended.stdout, ended.stdout


def test_what_is_missing_is_said(run):
    source = """
        from compat_suite import JournalSpec

        class TestMine(JournalSpec):
            pass
    """
    ended = run(source, "-k", "all_events")
    assert "override the fixture `open_journal`" in ended.stdout


def test_junit_carries_subject_and_capabilities(run, tmp_path):
    run(GOOD, "-k", "windows_around", f"--junitxml={tmp_path / 'out.xml'}", f"--compat-report={tmp_path / 'out.json'}")
    properties = {p.get("name"): p.get("value") for p in ET.parse(tmp_path / "out.xml").iter("property")}
    assert properties["compat_subject"] == "TestMine"
    assert properties["compat_requires"] == "deletes"
    assert "J16" in properties["compat_ids"]
    assert (tmp_path / "out.json").exists()


EVERYTHING = """
    import pytest
    from compat_suite import {spec}
    from tests.compat_suite import subjects

    class TestMine({spec}):
        capabilities = {capabilities!r}
        many_ids, examples, largest_payload = 20, 2, 2_000

        @pytest.fixture
        def {opener}(self):
            return subjects.{factory}
"""
FEW = ("--many-ids", "20", "--examples", "2", "--largest-payload", "2000")


def verdict(report):
    """The level, the counts, and how each case ended, and why."""
    cases = {case["name"]: (case["status"], case["message"]) for case in report["cases"]}
    return report["level"], report["counts"], cases


def verdict_of_pytest(run, path, *, names, **source):
    ended = run(EVERYTHING.format(**source), "-k", " or ".join(names), f"--compat-report={path}")
    assert ended.returncode == 0, ended.stdout
    return verdict(json.loads(path.read_text())["subjects"][0]), ended.stdout


def verdict_of_command(path, *arguments):
    command = [sys.executable, "-m", "compat_suite", *arguments, *FEW, "--report", str(path), "--level", "crash-safe"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    return verdict(json.loads(path.read_text())["subjects"][0]), ended.stdout


def plan(factory, **settings):
    return Plan(
        factory=factory, name="plain", options=Options(many_ids=20, examples=2, largest_payload=2_000), **settings
    )


def test_a_snapshot_store_without_adapters_is_judged_alike_by_command_call_and_pytest(run, tmp_path):
    by_call = run_snapshot_store(plan(subjects.good_snapshot_store))
    by_command, told = verdict_of_command(
        tmp_path / "command.json", "--snapshot-store", "tests.compat_suite.subjects:good_snapshot_store"
    )
    by_pytest, shown = verdict_of_pytest(
        run, tmp_path / "pytest.json", names=["test"], spec="SnapshotStoreSpec", opener="open_snapshot_store",
        factory="good_snapshot_store", capabilities={one.value for one in by_call.capabilities},
    )  # fmt: skip
    assert verdict(by_call.to_json()) == by_command == by_pytest
    assert by_call.level is Level.FULL
    assert (by_call.exit_code(), by_call.exit_code(Level.CRASH_SAFE)) == (0, 3)
    absent = ("backdoor", "elsewhere", "faults")
    for output in (told, shown, by_call.summary()):
        assert "level: full | " in output
        assert "crash-safe not shown: " in output
        assert [name for name in absent if f"adapter `{name}` not given" not in output] == []
        assert "cannot be shown" not in output


def test_a_journal_without_adapters_is_judged_alike_by_command_call_and_pytest(run, tmp_path):
    """The cases that need something, and an ordinary one: all of them take too long to run three times."""
    names = [info.name for _group, info in cases_of(JournalCases).values() if info.needs]
    names.append("test_a_stored_event_is_read_back_at_once")
    by_call = run_journal(plan(subjects.good_journal, only=names))
    by_command, _ = verdict_of_command(
        tmp_path / "command.json", "tests.compat_suite.subjects:good_journal", "--only", ",".join(names)
    )
    by_pytest, _ = verdict_of_pytest(
        run, tmp_path / "pytest.json", names=names, spec="JournalSpec", opener="open_journal",
        factory="good_journal", capabilities={one.value for one in JOURNAL},
    )  # fmt: skip
    assert verdict(by_call.to_json()) == by_command == by_pytest
    assert by_call.exit_code(Level.CRASH_SAFE) == 3
    adapters = {"faults", "backdoor", "elsewhere"}
    assert {result.case.name for result in by_call.results if result.status is Status.NOT_SHOWN} == {
        info.name for _group, info in cases_of(JournalCases).values() if adapters & set(info.needs)
    }


def test_asynchronous_fixtures_may_be_used(run):
    source = GOOD.replace("def open_journal(self)", "async def open_journal(self, nursery)")
    ended = run(source, "-k", "windows_around or an_older_writer")
    assert "1 passed, 1 skipped" in ended.stdout, ended.stdout


def test_the_plugin_imports_nothing_heavy():
    check = "import compat_suite, compat_suite.plugin, sys; print([m for m in ('hypothesis', 'trio', 'confluent_kafka') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
