"""Rules about files: their size, what may not stand in them, and what must come with them."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

LONGEST = 400
FAULTS_LAST_A_WHILE = "lab.soak"

# Never in the library: each would let stored bytes run code. import_module is for names that the program's own
# configuration or the package itself gives.
RUNS_CODE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle"}
CALLS_CODE = {"eval", "exec", "compile", "__import__"}
MAY_IMPORT_BY_NAME = {"kafka_persist", "kafka_persist._config", "kafka_persist.publishing", "kafka_persist._commands"}

# No lower: cbor2 6.2.1 has the last of the fixes for hostile bytes (GHSA-6rgc-8hxm-rj7p, GHSA-55vx-2phh-7grr,
# GHSA-p6xp-9h6j-r278); confluent-kafka brings its own librdkafka, OpenSSL and zlib, so its floor is theirs, and 2.13.2
# and 2.15.0 crash or hang.
FLOORS = {"cbor2": (6, 2, 1), "confluent-kafka": (2, 16, 1), "kazoo": (2, 10), "docker": (7, 1)}


FOLDERS = ("kafka_persist", "kafka_persist_testkit", "compat_suite", "lab", "tests", "docs", "examples", "benchmarks")


def called(tree):
    """The names of everything that is called."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}


def bare_calls(tree):
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def test_no_file_is_too_long(root):
    """A file is one concept; above 400 lines it never is."""
    paths = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    lengths = {str(path.relative_to(root)): len(path.read_text("utf-8").splitlines()) for path in paths}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_nothing_stored_can_run_code(modules):
    """The library has no pickle and no eval, and imports nothing by a name that could come from a record."""
    library = {name: each for name, each in modules.items() if name.split(".")[0] == "kafka_persist"}
    assert [name for name, each in library.items() if each.targets() & RUNS_CODE] == []
    assert [name for name, each in library.items() if bare_calls(each.tree) & CALLS_CODE] == []
    by_name = {name for name, each in library.items() if called(each.tree) & {"import_module", "resolve_name"}}
    assert {
        name for name in by_name if not any(f"{name}.".startswith(f"{home}.") for home in MAY_IMPORT_BY_NAME)
    } == set()


def test_nobody_sleeps_without_a_reason(modules, root):
    """Waiting is for an event, not for a while; where nothing tells of the event, the line says so."""
    paths = [root / each.path for name, each in modules.items() if not name.startswith(FAULTS_LAST_A_WHILE)]
    lines = [(str(path), line) for path in paths for line in path.read_text("utf-8").splitlines()]
    assert [(path, line) for path, line in lines if "time.sleep(" in line and "  # " not in line] == []


@pytest.mark.parametrize("package", ["kafka_persist", "kafka_persist_testkit", "compat_suite"])
def test_packages_are_typed(root, package):
    """Type checkers read our annotations only where this file says so."""
    assert (root / package / "py.typed").is_file()


def test_newsfragments_have_valid_names(root):
    """`+words.feature.md` or `12.bugfix.md`: towncrier passes over what it does not understand."""
    types = [each["directory"] for each in pyproject(root)["tool"]["towncrier"]["type"]]
    legal = re.compile(rf"(\d+|\+[a-z0-9-]+)\.({'|'.join(types)})(\.\d+)?\.md")
    names = [path.name for path in (root / "newsfragments").iterdir()]
    assert [name for name in names if name != ".gitignore" and not legal.fullmatch(name)] == []


def pyproject(root):
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


def floors(root):
    """The lowest version of each dependency that we accept."""
    project = pyproject(root)["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    for line in lines:
        name, floor = re.match(r"([a-z0-9-]+)(?:\[\w+\])?>=([\d.]+)", line).groups()
        yield name, tuple(map(int, floor.split(".")))


def test_no_dependency_is_accepted_with_known_holes(root):
    """A floor below a security fix would let an installer choose the hole."""
    found = list(floors(root))
    assert FLOORS.keys() <= {name for name, _ in found}
    assert [name for name, floor in found if floor < FLOORS.get(name, (0,))] == []
