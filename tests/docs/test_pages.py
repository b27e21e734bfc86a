"""The manual's pages agree with the code."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import kafka_persist.errors
import kafka_persist_testkit.errors
from kafka_persist._journal.changes import CLAIM_ATTEMPTS
from kafka_persist.errors import PersistenceError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def rows(page):
    """The tables of a page, each line as a list of cells."""
    lines = [line for line in (DOCS / page).read_text("utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def errors_of(module):
    """The concrete errors of a module: families have a heading, not a row."""
    classes = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    families = {PersistenceError, *PersistenceError.__subclasses__(), kafka_persist_testkit.errors.TestServerError}
    return {each.__name__: each for each in classes if issubclass(each, Exception) and each not in families}


def documented_errors():
    named = [(re.match(r"`(\w+)`", cells[0]), cells) for cells in rows("errors.md")]
    return {match[1]: cells for match, cells in named if match}


def test_every_error_has_a_row():
    """No error is raised whose remedy the manual does not know, and no row is about an error that is gone."""
    known = errors_of(kafka_persist.errors).keys() | errors_of(kafka_persist_testkit.errors).keys()
    assert documented_errors().keys() == known


@pytest.mark.parametrize("name", errors_of(kafka_persist.errors))
def test_rows_tell_what_else_an_error_is(name):
    """The page says which standard exception catches an error, and whether waiting may help."""
    error, cells = errors_of(kafka_persist.errors)[name], documented_errors()[name]
    others = [base for base in error.__bases__ if not issubclass(base, PersistenceError)]
    names = [base.__name__ if base.__module__ == "builtins" else f"trio.{base.__name__}" for base in others]
    assert re.findall(r"`([^`]+)`", cells[1]) == names
    assert ("retriable" in cells[0]) == error.retriable


def test_every_feature_row_has_a_home_and_a_status():
    """Each row about a feature of the original says where it is, and whether it works."""
    table = [cells for cells in rows("features.md") if not set(cells[0]) <= {"-"} and cells[0] != "in the original"]
    assert table
    unclear = [cells[0] for cells in table if len(cells) != 3 or not re.match(r"works|open: |not needed: ", cells[2])]
    assert unclear == []


def test_the_number_of_claims_on_the_page_of_the_chain():
    assert f"it tries again ({CLAIM_ATTEMPTS} times;" in (DOCS / "chain.md").read_text("utf-8")


def test_names_on_the_feature_page_exist():
    """A home that is named as `kafka_persist...` can be imported."""
    dotted = re.findall(
        r"`((?:kafka_persist|kafka_persist_testkit|compat_suite)(?:\.\w+)+)`", (DOCS / "features.md").read_text()
    )
    assert dotted
    assert [name for name in dotted if not resolves(name)] == []


def resolves(name):
    try:
        return pkgutil.resolve_name(name) is not None
    except (ImportError, AttributeError):
        return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
    """Relative links are to files that are there."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_prompts_in_pages_answer_as_shown(page):
    """What stands behind `>>>` really prints that."""
    text = page.read_text("utf-8").replace("```", "\n")  # a fence would read as part of the output
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(examples)
    assert result.failed == 0


def test_the_code_of_the_journal_guide_is_that_of_the_examples():
    """The page shows code, not references to it; it must be the code that the suite checks."""
    guide = (ROOT / "docs" / "write-your-own-journal.md").read_text(encoding="utf-8")
    sources = [
        ROOT / "examples/sqlite_journal.py",
        ROOT / "examples/sqlite_snapshots.py",
        ROOT / "tests/compat/test_sqlite.py",
    ]
    lines = {line.strip() for source in sources for line in source.read_text(encoding="utf-8").splitlines()}
    blocks = re.findall(r"^```python\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    assert len(blocks) > 8
    assert [line for block in blocks for line in block.splitlines() if line.strip() not in lines] == []
