"""Random histories on the simulated broker, under a clock that jumps: nothing acknowledged is lost, whatever happens."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from .histories import IDS, history_of

processes = st.integers(0, 3)
pids = st.sampled_from(IDS)
seconds = st.floats(0, 3)


def simple():
    return st.one_of(
        st.tuples(st.just("claim"), processes, pids),
        st.tuples(
            st.just("write"), processes, pids, st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(-9, 3)
        ),
        st.tuples(st.just("write"), processes, pids, st.lists(st.integers(1, 4), min_size=1, max_size=4), st.just(-1)),
        st.tuples(st.just("replay"), processes, pids, st.integers(1, 12)),
        st.tuples(st.just("highest"), processes, pids),
        st.tuples(st.just("delete"), processes, pids, st.integers(0, 14)),
        st.tuples(st.just("bookmark"), processes, processes, pids),
        st.tuples(st.just("crash"), processes, st.floats(0, 0.02)),
        st.tuples(st.just("restart"), processes),
        st.tuples(st.just("outage"), seconds),
        st.tuples(st.just("wait"), seconds),
    )


operations = st.lists(
    st.one_of(
        simple(),
        st.tuples(st.just("cancelled"), st.floats(0, 0.05), simple()),
        st.tuples(st.just("both"), simple(), simple()),
        st.tuples(st.just("both"), simple(), simple(), simple()),
    ),
    min_size=3,
    max_size=25,
)


@contextmanager
def one_order_of_tasks(seed):
    """Let the seed decide which task runs first, so that it gives the same history again."""
    private = trio._core._run
    before = private._ALLOW_DETERMINISTIC_SCHEDULING
    private._ALLOW_DETERMINISTIC_SCHEDULING = True
    private._r.seed(seed)
    try:
        yield
    finally:
        private._ALLOW_DETERMINISTIC_SCHEDULING = before


def run(plan, seed, trouble):
    before = set(threading.enumerate())
    with one_order_of_tasks(seed):
        verdict, lines, _ = trio.run(_history, plan, seed, trouble, clock=MockClock(autojump_threshold=0))
    assert set(threading.enumerate()) <= before, "the simulation starts no threads"
    assert verdict.clean, verdict.broken[:5]
    assert not verdict.damaged
    return lines


async def _history(plan, seed, trouble):
    return await history_of(plan, seed, trouble=trouble)


@given(operations, st.integers(0, 1 << 30), st.sampled_from([0.0, 0.3, 0.7]))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_generated_histories_keep_every_promise(plan, seed, trouble):
    run(plan, seed, trouble)


def random_operation(chances, depth=0):
    process, pid = chances.randrange(4), chances.choice(IDS)
    kinds = [
        "claim",
        "write",
        "write",
        "write",
        "write",
        "replay",
        "highest",
        "delete",
        "bookmark",
        "crash",
        "restart",
        "outage",
        "wait",
    ]
    if depth == 0:
        kinds += ["cancelled", "both", "both", "both"]
    kind = chances.choice(kinds)
    sizes = [chances.randint(1, 4) for _ in range(chances.randint(1, 4))]
    return {
        "claim": ("claim", process, pid),
        "write": ("write", process, pid, sizes, chances.randint(-20, 3)),
        "replay": ("replay", process, pid, chances.choice([1, 1, chances.randint(1, 20)])),
        "highest": ("highest", process, pid),
        "delete": ("delete", process, pid, chances.randint(0, 25)),
        "bookmark": ("bookmark", process, chances.randrange(4), pid),
        "crash": ("crash", process, chances.choice([0.0, 0.001, 0.002, 0.01])),
        "restart": ("restart", process),
        "outage": ("outage", chances.uniform(0, 4)),
        "wait": ("wait", chances.uniform(0, 4)),
        "cancelled": (
            "cancelled",
            chances.choice([0.0, 0.0005, 0.0015, 0.01]),
            random_operation(chances, 1) if depth == 0 else (),
        ),
        "both": ("both", *(random_operation(chances, 1) for _ in range(chances.randint(2, 4) if depth == 0 else 0))),
    }[kind]


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("block", range(20))
def test_histories_from_seeds_keep_every_promise(block):
    """Twenty blocks of a hundred: longer histories than generated ones, for which shrinking would take too long."""
    for seed in range(block * 100, block * 100 + 100):
        chances = random.Random(seed)
        plan = [random_operation(chances) for _ in range(chances.randint(5, 40))]
        try:
            run(plan, seed, chances.choice([0.0, 0.2, 0.5, 0.8]))
        except BaseException as error:
            error.add_note(f"seed {seed}: {plan}")
            raise
