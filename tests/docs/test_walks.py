"""The walks through the code in contributing.md are the calls that are really made."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from kafka_persist import Config, EventTopicMapper, JournalConfig, SnapshotStoreConfig, open_persistence

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "contributing.md"
TITLES = ("A write", "A replay", "A publication", "A snapshot")


def walks():
    """The first `file:function` of each numbered line, by the heading above it."""
    parts = re.split(r"^### (.+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {title: re.findall(r"^\d+\. `([\w/]+\.py:[\w.]+)`", sections[title], re.MULTILINE) for title in TITLES}


@contextmanager
def recorded(calls):
    """Note the calls of library functions on this thread, in order, as `file:function`."""
    names = {}

    def note(frame, event, _arg):
        if event == "call":
            code = frame.f_code
            if code not in names:
                path = Path(code.co_filename)
                inside = path.is_relative_to(ROOT / "kafka_persist")
                names[code] = f"{path.relative_to(ROOT)}:{code.co_qualname}" if inside else None
            if names[code] is not None:
                calls.append(names[code])

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)


def first_missing(steps, calls):
    """The first step that is not called after those before it; None if all are."""
    rest = iter(calls)
    return next((step for step in steps if step not in rest), None)


class ToOneTopic(EventTopicMapper):
    """Publishes everything to one topic."""

    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


async def published(persistence, count):
    with trio.fail_after(30):
        while persistence.journal.publishing_statistics().published < count:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)


@pytest.fixture
async def calls(kafka_server, kafka_prefix):
    """What is called by each of the four, on a real broker, by title."""
    servers = kafka_server.bootstrap_servers
    config = Config(
        journal=JournalConfig(bootstrap_servers=servers, prefix=f"{kafka_prefix}j-"),
        snapshot_store=SnapshotStoreConfig(bootstrap_servers=servers, prefix=f"{kafka_prefix}s-"),
    )
    mapper, found = ToOneTopic(f"{kafka_prefix}events"), {title: [] for title in TITLES}

    def open_entity(persistence):
        return persistence.entity("walker", initial="", evolve=lambda state, event: state + event)

    async with (
        open_persistence(config, event_topic_mapper=mapper) as persistence,
        open_entity(persistence) as entity,
    ):
        await entity.persist("first")
        await published(persistence, 1)
        with recorded(found["A write"]):
            await entity.persist("second")
            await published(persistence, 2)
        found["A publication"] = found["A write"]
        with recorded(found["A snapshot"]):
            await entity.save_snapshot()
        await entity.persist("third")
    async with open_persistence(config, event_topic_mapper=mapper) as persistence:
        with recorded(found["A replay"]):
            async with open_entity(persistence) as entity:
                assert entity.state == "firstsecondthird"
    return found


@pytest.mark.broker
async def test_the_walks_are_what_is_called(calls):  # noqa: ASYNC124 - its fixture is asynchronous
    """Each step of a walk is called after the one before it; a step that moved or was renamed is named here."""
    steps = walks()
    assert all(len(walk) >= 5 for walk in steps.values()), steps
    assert {title: first_missing(walk, calls[title]) for title, walk in steps.items()} == dict.fromkeys(TITLES)


def test_a_step_out_of_order_is_found():
    """The comparison can fail: each step has to come after the one before it."""
    assert first_missing(["a", "b"], ["a", "x", "b"]) is None
    assert first_missing(["a", "b"], ["b", "a"]) == "b"
    assert first_missing(["a", "c"], ["a", "b"]) == "c"
