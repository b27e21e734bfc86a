"""compat_suite finds what real stores do wrong: each defect is found by its case, with a message that leads to it.

A sample runs with the other tests, one of each class; all of them, over several seeds, and the correct stores are the session
`nox -s defects` (marker `defects`).
"""

import re

import pytest

from compat_suite.engine.report import Status

from .registry import CLASSES, all_defects
from .subjects import run_apart

DEFECTS = all_defects()
SAMPLE = (
    "FloorIsReal",
    "CutAtNul",
    "DropsNone",
    "LateMetadata",
    "RemembersNone",
    "ChecksEarly",
    "DeletesAtClose",
    "CheckpointAfterwards",
    "SkipsDamage",
)
SEEDS = (1, 2, 3, 4, 5)


def finding(name, seed):
    defect = DEFECTS[name]
    return run_apart(name, defect.kind, defect.found_by, seed=seed, plain=defect.store, scale=defect.scale)


def is_found(name, seed):
    status, message = finding(name, seed)
    assert status is Status.FAILED, f"seed {seed}: {status.value} {message}"
    message = message.split("but:")[1]
    assert re.search(DEFECTS[name].clue, message), f"seed {seed}: nothing leads to the defect: {message}"


@pytest.mark.parametrize("name", SAMPLE)
def test_a_defect_is_found(name):
    is_found(name, seed=1)


@pytest.mark.defects
@pytest.mark.parametrize("name", [name for name in DEFECTS if name not in SAMPLE])
def test_each_defect_is_found(name):
    is_found(name, seed=1)


@pytest.mark.defects
@pytest.mark.parametrize("name", [name for name, each in DEFECTS.items() if each.varies])
def test_a_defect_is_found_with_each_seed(name):
    for seed in SEEDS[1:]:
        is_found(name, seed)


def test_each_class_of_defects_has_six():
    for about in CLASSES:
        assert sum(each.about == about for each in DEFECTS.values()) >= 6, about
    assert {DEFECTS[name].about for name in SAMPLE} == set(CLASSES)
