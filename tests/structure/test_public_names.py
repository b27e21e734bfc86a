"""What users may rely on: a stored list, so that each change of it is a visible line in a diff.

After a wanted change, write the list anew: ``python tests/structure/test_public_names.py``.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import ParamSpec, TypeVar, TypeVarTuple

import pytest

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).with_name("public_names.txt")
PACKAGES = ("kafka_persist", "kafka_persist_testkit", "compat_suite")


def public_modules():
    """The packages, and the modules of the library that have no underscore (the others export by their package)."""
    modules = [path.stem for path in sorted((ROOT / "kafka_persist").glob("[a-z]*.py"))]
    return [*PACKAGES, *(f"kafka_persist.{module}" for module in modules)]


def names_of(module_name):
    """What a module says that it exports, or else what it defines, and a package also what it imports."""
    module = importlib.import_module(module_name)
    found = [name for name, value in vars(module).items() if module_name in PACKAGES or is_of(value, module_name)]
    names = getattr(module, "__all__", found)
    return sorted(name for name in names if not name.startswith("_") and not inspect.ismodule(getattr(module, name)))


def is_of(value, module_name):
    return getattr(value, "__module__", None) == module_name and not isinstance(
        value, ParamSpec | TypeVar | TypeVarTuple
    )


def public_names():
    return [(module, name) for module in public_modules() for name in names_of(module)]


def public_objects():
    """Classes and functions; constants and aliases of types carry no home and no docstring of their own."""
    found = [(module, name, getattr(importlib.import_module(module), name)) for module, name in public_names()]
    return [each for each in found if inspect.isclass(each[2]) or inspect.isroutine(each[2])]


def test_public_names_are_the_stored_ones():
    """No public name comes or goes unnoticed."""
    now = [f"{module}.{name}" for module, name in public_names()]
    assert now == STORED.read_text("utf-8").splitlines(), f"if wanted: python {Path(__file__).relative_to(ROOT)}"


def test_each_name_has_one_public_home():
    """`__module__`, which tracebacks and documentation show, is a public place that really has the object."""
    lost = []
    for module, name, value in public_objects():
        home = sys.modules.get(value.__module__)
        if "._" in value.__module__ or getattr(home, value.__name__, None) is not value:
            lost.append(f"{module}.{name} says it lives in {value.__module__}")
    assert lost == []


def test_a_name_means_one_thing():
    """The same name in two public modules is the same object."""
    meanings = {}
    for module, name, value in public_objects():
        meanings.setdefault((module.split(".")[0], name), set()).add(id(value))
    assert [name for name, values in meanings.items() if len(values) > 1] == []


def undocumented(module, name, value):
    """The places of a class or function, and its public methods, that have no docstring of their own or inherited."""
    members = vars(value).items() if inspect.isclass(value) else ()
    methods = [
        (member, attribute)
        for member, attribute in members
        if not member.startswith("_") and (inspect.isroutine(attribute) or isinstance(attribute, property))
    ]
    own = [] if value.__doc__ else [f"{module}.{name}"]
    return own + [f"{module}.{name}.{member}" for member, _ in methods if not inspect.getdoc(getattr(value, member))]


def test_each_public_name_has_a_docstring():
    """Classes, functions, methods and properties all say what they are for."""
    assert [place for each in public_objects() for place in undocumented(*each)] == []


@pytest.mark.parametrize("module", public_modules())
def test_each_public_module_has_a_docstring(module):
    """The first thing that one reads in a module says what it is."""
    assert importlib.import_module(module).__doc__


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    STORED.write_text("".join(f"{module}.{name}\n" for module, name in public_names()), "utf-8")
