"""compat_suite finds what it is there for: each mutant is killed by its named case, each case kills a mutant."""

import json
from pathlib import Path

import pytest

from compat_suite.catalogue import JournalCases, SnapshotStoreCases
from compat_suite.engine.case import cases_of
from compat_suite.engine.report import Status
from tests.compat_suite_defects.registry import all_defects
from tests.compat_suite_mutants import all_mutants
from tests.compat_suite_mutants.excused import EXCUSED
from tests.compat_suite_mutants.registry import Mutant
from tests.compat_suite_mutants.small_journal import SmallJournal
from tests.compat_suite_mutants.small_snapshots import SmallSnapshots

pytestmark = pytest.mark.usefixtures("untraced")  # the cases are traced where they run on real stores

MUTANTS = all_mutants()
KILLS = json.loads((Path(__file__).parent / "kills.json").read_text(encoding="utf-8"))
HOMES = {"journal": "journal", "faults": "journal", "snapshots": "snapshots"}
SPECS = {"journal": JournalCases, "snapshots": SnapshotStoreCases}
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
def test_each_case_finds_a_defect_or_says_why_none_can(kind):
    """Some cases find a mutant by name (`killed_by`) or by `kills.json`, others a defective third-party store."""
    found = {case for mutant in MUTANTS.values() for case in mutant.killed_by if HOMES[mutant.kind] == kind}
    found |= KILLS[kind].keys() | {each.found_by for each in all_defects().values() if each.kind == kind}
    assert [case for case in cases_of(SPECS[kind]) if case not in found and case not in EXCUSED] == []


def test_what_finds_a_defect_is_a_case():
    for kind, spec in SPECS.items():
        assert KILLS[kind].keys() <= cases_of(spec).keys()
        assert {each.found_by for each in all_defects().values() if each.kind == kind} <= cases_of(spec).keys()


@pytest.mark.parametrize(("kind", "case"), [(kind, case) for kind, cases in KILLS.items() for case in cases])
def test_each_case_kills_the_mutant_that_is_noted_for_it(kind, case):
    mutant = MUTANTS[KILLS[kind][case]]
    assert mutant.run(case).status in {Status.FAILED, Status.ERROR}
