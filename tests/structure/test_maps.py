"""Each folder's `__init__` describes every module in it, and the guide places every part in a layer."""

from __future__ import annotations

import ast
import re

import pytest

from .test_imports import LAYERS

MAPPED = ("kafka_persist", "lab")


def folders(root):
    return [path.parent for package in MAPPED for path in sorted((root / package).rglob("__init__.py"))]


def parts_of(folder):
    """The modules and folders directly in a folder, as they are imported."""
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


def words_of(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))) or ""
    return set(re.findall(r"\w+", text))


def missing_words(folder):
    """Parts that the map does not name; a family such as `snapshot_*` is named by its beginning."""
    words = words_of(folder)
    return {
        part
        for part in parts_of(folder) - words
        if not any(word.endswith("_") and part.startswith(word) for word in words)
    }


def test_every_module_is_on_its_folders_map(root):
    """A newcomer who opens a folder reads what each file of it is for."""
    missing = {str(folder.relative_to(root)): missing_words(folder) for folder in folders(root)}
    assert {folder: parts for folder, parts in missing.items() if parts} == {}


def layers_of_the_guide(root):
    """The table of layers in contributing.md: each layer's parts."""
    text = (root / "docs" / "contributing.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| (.*) \|$", text, re.MULTILINE)
    return {layer: set(re.findall(r"`(\w+)`", parts)) for layer, parts in rows if layer in dict(LAYERS)}


def test_the_guide_has_the_layers_that_are_enforced(root):
    """The table that people read is the one that is tested."""
    assert layers_of_the_guide(root) == {layer: set(parts) for layer, parts in LAYERS}


@pytest.mark.parametrize("text", ["", "* `a`: one.", "a, b"])
def test_a_missing_module_is_found(tmp_path, text):
    """The comparison can fail."""
    (tmp_path / "__init__.py").write_text(f'"""{text}"""')
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").touch()
    assert missing_words(tmp_path) == {"a", "b"} - set(re.findall(r"\w", text))
