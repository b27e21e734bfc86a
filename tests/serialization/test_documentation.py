"""The manual's examples do what it says."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["serialization.md"])
def test_examples_of_the_manual(page):
    """Each example gives the output that stands below it."""
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert (failed, tried > 10) == (0, True)
