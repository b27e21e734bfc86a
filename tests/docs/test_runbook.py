"""The runbook has every error that an operator may meet, and says what the error itself says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from kafka_persist import errors
from kafka_persist.errors import BrokerError, StoredDataError, WriteError

PAGE = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text("utf-8")
FAMILIES = (WriteError, BrokerError, StoredDataError)
MET = {
    name: each
    for name, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, FAMILIES) and each not in FAMILIES
}


def section(name: str) -> str:
    for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        if f"`{name}`" in title:
            return text
    raise AssertionError(f"the runbook has no section about {name}")


@pytest.mark.parametrize("name", MET)
def test_every_error_has_a_section_with_what_is_certain_and_what_to_do(name):
    text = section(name)
    for part in ("*What has happened.*", "*Certain.*", "*Do.*"):
        assert part in text, part


@pytest.mark.parametrize("name", [name for name, each in MET.items() if each.certain])
def test_a_section_says_what_the_error_says(name):
    text = " ".join(section(name).split())
    assert MET[name].certain in text
    assert MET[name].next_step in text
