"""What the source tree looks like: its modules and what each of them imports, read without importing anything."""

from __future__ import annotations

import ast
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("kafka_persist", "kafka_persist_testkit", "compat_suite", "lab")


@attrs.frozen
class Import:
    """One imported module; `lazy` if it is loaded only when a function runs."""

    target: str
    line: int
    lazy: bool


@attrs.frozen
class Module:
    """One file of our packages."""

    name: str
    path: Path
    tree: ast.Module
    imports: tuple[Import, ...]

    def targets(self, *, lazy=True):
        """Give the imported modules, those of functions included if `lazy`."""
        return {item.target for item in self.imports if lazy or not item.lazy}

    def where(self, top):
        """Give `path:line` of each import of the distribution package `top`."""
        return [f"{self.path}:{item.line}" for item in self.imports if item.target.split(".")[0] == top]


@pytest.fixture(scope="session")
def root():
    """The top of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def modules():
    """All modules of the three packages and of the lab, by name."""
    paths = {name_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
    return {name: read(name, path, paths) for name, path in paths.items()}


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read(name, path, known):
    tree = ast.parse(path.read_text("utf-8"))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = [item for node, lazy in _statements(tree) for item in _imports(node, package, known, lazy=lazy)]
    return Module(name, path.relative_to(ROOT), tree, tuple(found))


def _statements(node, *, lazy=False):
    """All import statements that run; those for type checkers alone do not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _statements(other, lazy=lazy)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _statements(child, lazy=lazy or inside)


def _imports(node, package, known, *, lazy):
    if isinstance(node, ast.Import):
        return [Import(alias.name, node.lineno, lazy) for alias in node.names]
    base = node.module or ""
    if node.level:
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parents, base] if base else parents)
    return [Import(_module(base, alias.name, known), node.lineno, lazy) for alias in node.names]


def _module(base, name, known):
    return f"{base}.{name}" if f"{base}.{name}" in known else base
