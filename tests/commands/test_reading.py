"""``ids``, ``show``, ``snapshots``, ``tail``, ``state``: on a real broker, in both layouts, without the program's types."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import uuid

import attrs
import pytest
import trio

from kafka_persist import (
    AtomicWrite,
    Encoded,
    EventProducerConfig,
    EventTopicMapper,
    PersistentRepr,
    load_config,
    open_journal,
)
from kafka_persist.serialization import RawSerializer

pytestmark = pytest.mark.broker


def test_the_ids_are_listed(stored, capsys):
    assert sorted(stored.run(capsys, "ids").out.split()) == ["account-1", "account-2"]
    assert stored.rows(capsys, "ids", "--prefix", "account-2") == [{"persistence_id": "account-2"}]
    assert len(stored.rows(capsys, "ids", "--limit", "1")) == 1


def test_with_their_numbers(stored, capsys):
    rows = stored.rows(capsys, "ids", "--long", "--prefix", "account-1")
    assert rows == [{"persistence_id": "account-1", "highest_sequence_nr": 4, "deleted_to": 1}]


def test_events_are_shown_without_the_programs_types(stored, capsys):
    rows = stored.rows(capsys, "show", "account-1")
    assert [row["sequence_nr"] for row in rows] == [2, 3, 4]
    assert [row["data"] for row in rows] == [{"cents": 7}, {"cents": 1}, {"cents": 100}]
    assert {(row["name"], row["version"], row["persistence_id"]) for row in rows} == {("Deposited", 1, "account-1")}
    assert (rows[0]["tags"], rows[0]["metadata"]) == (["large"], {"by": "me\x1b[31m"})
    assert (rows[1]["tags"], rows[1]["metadata"]) == ([], None)
    assert all(uuid.UUID(row["writer"]) and row["timestamp"] > 1_600_000_000_000 for row in rows)


def test_in_a_pipe_they_are_lines_without_escape_sequences(stored, capsys):
    out = stored.run(capsys, "show", "account-1", "--limit", "1").out
    assert "\x1b" not in out
    number, at, name, version, tags, metadata, data = out.rstrip("\n").split("\t")
    assert (number, name, version, tags, data) == ("2", "Deposited", "1", "large", '{"cents":7}')
    assert metadata == r'{"by":"me\u001b[31m"}'
    assert at.endswith("Z")


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--from", "3"], [3, 4]),
        (["--to", "3"], [2, 3]),
        (["--from", "3", "--to", "3"], [3]),
        (["--limit", "2"], [2, 3]),
        (["--limit", "0"], []),
    ],
)
def test_a_part_of_the_events(stored, capsys, options, numbers):
    assert [row["sequence_nr"] for row in stored.rows(capsys, "show", "account-1", *options)] == numbers


def test_the_programs_serializer_can_be_named(stored, capsys):
    rows = stored.rows(capsys, "show", "account-2", "--serializer", stored.program("serializer"))
    assert [(row["name"], row["data"]) for row in rows] == [("Deposited", {"cents": 2})]


def test_an_id_that_was_never_written_is_said_and_counts_as_not_there(stored, capsys):
    assert "never been written" in stored.run(capsys, "show", "nobody", code=1).err
    assert "no snapshots" in stored.run(capsys, "snapshots", "nobody", code=1).err
    entity = stored.program("account")
    assert "never been written" in stored.run(capsys, "state", "nobody", "--entity", entity, code=1).err


def test_snapshots_are_listed_and_read(stored, capsys):
    (row,) = stored.rows(capsys, "snapshots", "account-1")
    assert (row["sequence_nr"], row["damage"]) == (3, "")
    assert row["bytes"] > 0
    (row,) = stored.rows(capsys, "snapshots", "account-1", "--data")
    assert (row["name"], row["data"]) == ("Balance", {"cents": 13})


def test_the_state_now_and_as_of_an_earlier_event(stored, capsys):
    """Event 1 is deleted: the snapshot at 3 has it."""
    entity = ("--entity", stored.program("account"))
    (now,) = stored.rows(capsys, "state", "account-1", *entity)
    assert now == {
        "persistence_id": "account-1",
        "sequence_nr": 4,
        "name": "Balance",
        "version": 1,
        "state": {"cents": 113},
    }
    (then,) = stored.rows(capsys, "state", "account-1", *entity, "--at", "3")
    assert (then["sequence_nr"], then["state"]) == (3, {"cents": 13})


def test_a_state_that_cannot_be_had_any_more_is_said(stored, capsys):
    entity = ("--entity", stored.program("account"))
    for options in (["--at", "2"], ["--no-snapshot"]):
        assert "were deleted" in stored.run(capsys, "state", "account-1", *entity, *options, code=1).err


def test_what_is_no_entity_type_is_refused_by_the_option(stored, capsys):
    err = stored.run(capsys, "state", "account-1", "--entity", stored.program("evolve"), code=2).err
    assert "--entity" in err
    assert err.count("\n") == 1


def test_tail_begins_with_the_last_events(stored, capsys):
    rows = stored.rows(capsys, "tail", "account-1", "--last", "2", "--limit", "2")
    assert [row["sequence_nr"] for row in rows] == [3, 4]


def test_tail_needs_to_be_told_what_to_follow(stored, capsys):
    assert "--topic" in stored.run(capsys, "tail", code=2).err


def test_reading_writes_nothing_creates_nothing_and_joins_no_group(stored, capsys):
    """So no command disturbs a program that is running."""
    before, groups = stored.logs(), stored.groups()
    for name in ("account-1", "nobody"):
        code = int(name == "nobody")
        stored.run(capsys, "show", name, code=code)
        stored.run(capsys, "snapshots", name, code=code)
        stored.run(capsys, "state", name, "--entity", stored.program("account"), code=code)
    stored.run(capsys, "ids", "--long")
    stored.run(capsys, "tail", "account-1", "--limit", "1")
    assert stored.logs() == before
    assert stored.groups() <= groups


async def write(config, persistence_id, number, mapper=None):
    """Store an event as a program would that has it only as it is stored."""
    writer = uuid.uuid4()
    event = PersistentRepr(
        persistence_id=persistence_id, sequence_nr=number, payload=Encoded("Deposited", 1, {"cents": 9}), writer=writer
    )
    async with open_journal(config, serializer=RawSerializer(), event_topic_mapper=mapper) as journal:
        await journal.claim(persistence_id, writer)
        assert await journal.write([AtomicWrite([event])]) == [None]


@contextlib.contextmanager
def running(stored, *arguments):
    """A command that does not end by itself."""
    command = [sys.executable, "-m", "kafka_persist", arguments[0], "--config", stored.config, *arguments[1:], "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(300, process.kill)  # far beyond what any machine takes
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        timer.join()
        process.kill()
        process.communicate()


def interrupt(process):
    """Send Ctrl-C; the exit code and what stood on standard error since."""
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate()
    return process.returncode, err.strip()


@pytest.fixture
def own_prefix(stored, monkeypatch):
    """For tests that write: `stored` stays as it is."""
    monkeypatch.setenv("KAFKA_PERSIST__KAFKA_JOURNAL__PREFIX", f"t{uuid.uuid4().hex[:8]}-")


@pytest.mark.usefixtures("own_prefix")
def test_tail_shows_what_comes_and_ctrl_c_ends_it_without_a_traceback(stored):
    persistence_id = "account-7"
    with running(stored, "tail", persistence_id, "--every", "0.05") as process:
        assert "waiting for its first event" in process.stderr.readline()
        trio.run(write, load_config(stored.config).journal, persistence_id, 1)
        row = json.loads(process.stdout.readline())
        assert (row["persistence_id"], row["sequence_nr"], row["data"]) == (persistence_id, 1, {"cents": 9})
        assert interrupt(process) == (130, "")


class To(EventTopicMapper):
    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


@pytest.mark.usefixtures("own_prefix")
@pytest.mark.parametrize("filled", ["topic-per-id"], indirect=True)
def test_tail_follows_a_topic_and_joins_no_group(kafka_prefix, stored):
    config = attrs.evolve(
        load_config(stored.config).journal,
        event_producer=EventProducerConfig(await_publication=True),
    )
    mapper = To(f"{kafka_prefix}topic")
    trio.run(write, config, f"{kafka_prefix}a", 1, mapper)  # so that the topic is there
    groups = stored.groups()
    with running(stored, "tail", "--topic", mapper.topic) as process:
        assert "from its end" in process.stderr.readline()
        trio.run(write, config, f"{kafka_prefix}b", 1, mapper)
        row = json.loads(process.stdout.readline())
        assert (row["persistence_id"], row["name"], row["data"]) == (f"{kafka_prefix}b", "Deposited", {"cents": 9})
        assert stored.groups() <= groups
        assert interrupt(process) == (130, "")


def test_a_topic_that_is_missing_is_not_created(stored, capsys):
    before = stored.logs()
    assert "there is no topic" in stored.run(capsys, "tail", "--topic", f"{stored.prefix}none", code=2).err
    assert stored.logs() == before
