"""The commands that people and CI type are the same, and exist."""

from __future__ import annotations

import ast
import re

START = "python3 -m venv .venv && .venv/bin/pip install --quiet nox && .venv/bin/nox -s "


def sessions(root):
    """The sessions of the noxfile with their docstrings."""
    functions = [node for node in ast.parse((root / "noxfile.py").read_text("utf-8")).body if is_session(node)]
    return {function.name: ast.get_docstring(function) for function in functions}


def is_session(node):
    decorators = getattr(node, "decorator_list", [])
    return any(ast.unparse(decorator).startswith("nox.session") for decorator in decorators)


def commands(text):
    """The lines that start nox from nothing."""
    return re.findall(rf"^{re.escape(START)}(.+)$", text, re.MULTILINE)


def test_the_readme_has_the_two_commands(root):
    """On a machine with Python and nothing else: one line to see it work, one line to test it."""
    assert commands((root / "README.md").read_text("utf-8")) == ["demo", "tests"]


def test_ci_runs_the_readmes_test_command(root):
    """CI tries what the README promises, letter by letter."""
    script = (root / ".ci" / "run").read_text("utf-8")
    assert f"{START}tests" in script


def test_every_session_that_is_named_exists(root):
    """README, CI script and documentation name sessions of the noxfile only."""
    texts = [root / "README.md", root / ".ci" / "run", *(root / "docs").glob("*.md")]
    named = {name for path in texts for name in re.findall(r"\bnox -s ([a-z]+)", path.read_text("utf-8"))}
    assert named <= sessions(root).keys()


def test_every_session_says_what_it_is_for(root):
    """`nox -l` shows the first line of each docstring."""
    assert all(sessions(root).values())


def test_every_session_has_something_to_run(root):
    """Scripts and packages that the noxfile starts are there."""
    source = (root / "noxfile.py").read_text("utf-8")
    scripts = re.findall(r'"python", "([a-z_/]+\.py)"', source)
    packages = re.findall(r'"python", "-m", "(benchmarks|compat_suite|lab\.search|lab\.soak)"', source)
    wanted = [root / script for script in scripts] + [
        root / package.replace(".", "/") / "__main__.py" for package in packages
    ]
    assert [path for path in wanted if not path.is_file()] == []
