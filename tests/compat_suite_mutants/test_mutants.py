"""compat_suite finds what it is there for: each mutant is killed by its named case, each case kills a mutant."""

import json
from pathlib import Path

import pytest

from compat_suite.case import cases_of
from compat_suite.catalogue import JournalCases, SnapshotStoreCases
from compat_suite.report import Status
from tests.compat_suite_mutants import all_mutants
from tests.compat_suite_mutants.excused import EXCUSED
from tests.compat_suite_mutants.registry import Mutant
from tests.compat_suite_mutants.small_journal import SmallJournal
from tests.compat_suite_mutants.small_snapshots import SmallSnapshots

pytestmark = pytest.mark.usefixtures("untraced")  # the cases are traced where they run on real stores

MUTANTS = all_mutants()
KILLS = json.loads((Path(__file__).parent / "kills.json").read_text(encoding="utf-8"))
SPECS = {"journal": JournalCases, "snapshots": SnapshotStoreCases}
MATRIX = (Path(__file__).parents[2] / "docs" / "compat-matrix.md").read_text(encoding="utf-8")
CONTROLS = {
    "journal": Mutant("control", "nothing", listed=False, killed_by=(), kind="journal", make=SmallJournal),
    "snapshots": Mutant("control", "nothing", listed=False, killed_by=(), kind="snapshots", make=SmallSnapshots),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_killed_by_the_cases_that_are_there_for_it(name):
    mutant = MUTANTS[name]
    survived = {case: mutant.run(case).status.value for case in mutant.killed_by}
    assert set(survived.values()) == {Status.FAILED.value}, f"{mutant.defect}: {survived}"


@pytest.mark.parametrize("kind", CONTROLS)
def test_the_correct_small_store_passes_every_case(kind):
    bad = {}
    for case in CONTROLS[kind].cases():
        result = CONTROLS[kind].run(case)
        if result.status in {Status.FAILED, Status.ERROR}:
            bad[case] = result.message
    assert not bad


def test_all_52_known_defects_are_here():
    listed = [mutant for mutant in MUTANTS.values() if mutant.listed]
    kinds = [mutant.kind for mutant in listed]
    assert (kinds.count("journal"), kinds.count("snapshots"), len(listed)) == (32, 20, 52)


@pytest.mark.parametrize("kind", SPECS)
def test_each_case_kills_a_mutant_or_says_why_none_can(kind):
    silent = [case for case in cases_of(SPECS[kind]) if not KILLS[kind].get(case) and case not in EXCUSED]
    assert silent == []


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, cases in KILLS.items() for case, names in cases.items() if names]
)
def test_each_case_still_kills_the_mutant_of_the_matrix(kind, case):
    mutant = MUTANTS[KILLS[kind][case][0]]
    assert mutant.run(case).status in {Status.FAILED, Status.ERROR}


def test_the_matrix_shows_every_case_and_every_mutant():
    missing = [name for name in MUTANTS if f"`{name}`" not in MATRIX]
    missing += [case for spec in SPECS.values() for case in cases_of(spec) if case.removeprefix("test_") not in MATRIX]
    assert not missing, "run: python -m tests.compat_suite_mutants.matrix"
