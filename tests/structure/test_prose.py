"""`python -m lab.prose` finds what the glossary rules out, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab import prose

PAGE = Path("page.md")
MODULE = Path("module.py")

GLOSSARY = prose.read_glossary(
    """
## Names in code

| thing | name | not |
| --- | --- | --- |
| publishing | `Publisher` | `Desk`, `Means` |

## Phrases

| write | not |
| --- | --- |
| forever | `for ever` |
| that has | `/process(?:es)? who/` |
"""
)


def found(check, path, text):
    return [(each.line, each.found) for each in check(path, text, GLOSSARY)]


def test_phrases_are_found_in_pages():
    """Upper case, a line break and a regular expression make no difference; the line is the one where it begins."""
    text = "It lasts\nfor\never. For ever!\nA process who waits."
    assert found(prose.check_page, PAGE, text) == [(2, "for\never"), (3, "For ever"), (4, "process who")]


@pytest.mark.parametrize(
    "text", ["forever", "before everything", "`for ever`", "```python\nfor ever in range(3): ...\n```", "a process"]
)
def test_other_words_and_code_are_not_found(text):
    """A part of a word is another word, and code in a page is no prose."""
    assert found(prose.check_page, PAGE, text) == []


def test_texts_of_modules_are_checked():
    """Docstrings, and what errors say; a text of one word is a key, no prose."""
    text = '"""Kept for ever."""\n\nraise ValueError("lost\\nfor ever")\nkey = "for_ever"\n'
    assert found(prose.check_module, MODULE, text) == [(1, "for ever"), (3, "for ever")]


@pytest.mark.parametrize(
    "text",
    [
        "class Desk: ...",
        "def _Desk(): ...",
        "async def Desk(): ...",
        "def f(Means): ...",
        "Desk = 1",
        "self._Means = 1",
    ],
)
def test_names_are_found_where_they_are_given(text):
    """Classes, functions, arguments, variables and attributes, private ones as well."""
    assert len(found(prose.check_module, MODULE, text)) == 1


@pytest.mark.parametrize("text", ["class DeskTop: ...", "means = 1", "print(Desk)"])
def test_other_names_are_not_found(text):
    """Only the very name; and whoever uses it cannot help it."""
    assert found(prose.check_module, MODULE, text) == []


def test_a_row_that_rules_nothing_out_is_refused():
    """A cell without backquotes would be a rule that nothing checks."""
    with pytest.raises(ValueError, match="rules nothing out"):
        prose.read_glossary("## Names in code\n## Phrases\n| write | not |\n| --- | --- |\n| forever | for ever |\n")


def test_the_hooks_are_the_checks_of_lint(root):
    """What `lint` runs in a moment runs at each commit, and all of it at each push."""
    noxfile = (root / "noxfile.py").read_text("utf-8")
    (lint,) = re.findall(r"^def lint\(.*?\n\n\n", noxfile, re.MULTILINE | re.DOTALL)
    commands = {
        command for line in re.findall(r"session\.run\((.*)\)", lint) for command in re.findall(r'"([^"-]+)"', line)
    }
    hooks = (root / ".pre-commit-config.yaml").read_text("utf-8")
    missing = {command for command in commands - {"python", "next", "build"} if command not in hooks}
    assert (missing, "nox -s lint" in hooks) == (set(), True)


def test_the_project_keeps_its_own_rules():
    """The same as in `lint`, for those who run only the tests."""
    assert [str(each) for each in prose.check_tree(prose.ROOT)] == []
