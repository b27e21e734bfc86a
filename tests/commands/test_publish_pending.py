"""``kafka-persist publish-pending``: where it finds the program's mapper and serializer, and what it says without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import uuid
from pathlib import Path

import attrs
import pytest
import trio

import kafka_persist
from kafka_persist import (
    AtomicWrite,
    EmptyEventTopicMapper,
    EventProducerConfig,
    EventTopicMapper,
    JournalConfig,
    PersistentRepr,
    Serializer,
    TopicsConfig,
    open_journal,
)
from kafka_persist.__main__ import main

INSTALLED = str(Path(sysconfig.get_path("scripts")) / "kafka-persist")

PROGRAM = """
import attrs
from kafka_persist import EventTopicMapper, Serializer

@attrs.frozen
class Deposited:
    cents: int

def serializer():
    made = Serializer()
    made.register(Deposited)
    return made

class Mapper(EventTopicMapper):
    def topics_for(self, event):
        return ("{topic}",)

MAPPER, SERIALIZER, NUMBER = Mapper(), serializer(), 5
"""


@attrs.frozen
class Deposited:
    cents: int


class To(EventTopicMapper):
    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


def config(server, prefix, *, create=True):
    return JournalConfig(
        bootstrap_servers=server.bootstrap_servers,
        prefix=f"{prefix}j-",
        topics=TopicsConfig(create=create),
        event_producer=EventProducerConfig(),
        delivery_timeout=10,
    )


async def store_unpublished(server, prefix):
    """Store an event of a registered type whose topic may not be created yet."""
    serializer, writer = Serializer(), uuid.uuid4()
    serializer.register(Deposited)
    async with open_journal(config(server, prefix), event_topic_mapper=EmptyEventTopicMapper()) as journal:
        await journal.prepare(["id"])
    options = {"serializer": serializer, "event_topic_mapper": To(f"{prefix}topic")}
    async with open_journal(config(server, prefix, create=False), **options) as journal:
        await journal.claim("id", writer)
        event = PersistentRepr(persistence_id="id", sequence_nr=1, payload=Deposited(5), writer=writer)
        await journal.write([AtomicWrite([event])])


@pytest.fixture
def pending(kafka_server, kafka_prefix, tmp_path):
    """A journal with one event that is not published, and a directory with the program's module."""
    trio.run(store_unpublished, kafka_server, kafka_prefix)
    (tmp_path / "program.py").write_text(PROGRAM.format(topic=f"{kafka_prefix}topic"))
    (tmp_path / "config.toml").write_text(f'kafka-journal.prefix = "{kafka_prefix}j-"\n')

    def run(*arguments, python=(INSTALLED,)):
        command = [*python, "publish-pending", "--bootstrap-servers", kafka_server.bootstrap_servers, *arguments]
        source = str(Path(kafka_persist.__file__).parents[1])
        env = {**os.environ, "PYTHONPATH": source} if python[0] == sys.executable else os.environ
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env, check=False, timeout=120)
        assert "Traceback" not in run.stderr
        return run.returncode, run.stdout

    return run


@pytest.mark.broker
@pytest.mark.parametrize("named", [("serializer", "Mapper"), ("SERIALIZER", "MAPPER")], ids=["made", "objects"])
def test_the_installed_command_finds_the_programs_objects_in_the_current_directory(pending, named):
    arguments = ["--config", "config.toml", "--serializer", f"program:{named[0]}", "--mapper", f"program:{named[1]}"]
    code, printed = pending(*arguments, "--json")
    assert (code, json.loads(printed)) == (0, {"ids": 1, "ids_behind": 1, "events": 1})


@pytest.mark.broker
def test_a_type_that_is_not_registered_names_the_option_of_the_serializer(pending):
    module = (sys.executable, "-m", "kafka_persist")
    code, printed = pending("--config", "config.toml", "--mapper", "program:Mapper", python=module)
    assert code == 2
    assert "--serializer PACKAGE.MODULE:NAME" in printed
    assert "'Deposited' version 1 is not registered" in printed


def test_without_a_word_about_the_mapper_nothing_is_published(capsys):
    """The default mapper's topic is where the program's events would be, and stay."""
    assert main(["publish-pending", "--bootstrap-servers", "127.0.0.1:1"]) == 2
    printed = capsys.readouterr().out
    assert "--config FILE" in printed
    assert "--mapper PACKAGE.MODULE:NAME" in printed


def test_a_mapper_from_the_environment_is_a_word(monkeypatch, capsys):
    name = "KAFKA_PERSIST__KAFKA_JOURNAL__EVENT_PRODUCER__TOPIC_MAPPER_CLASS"
    monkeypatch.setenv(name, "kafka_persist.publishing:EmptyEventTopicMapper")
    monkeypatch.setenv("KAFKA_PERSIST__KAFKA_JOURNAL__CONNECT_TIMEOUT", "0.5")
    assert main(["publish-pending", "--bootstrap-servers", "127.0.0.1:1"]) == 2
    assert "no Kafka broker answered" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--serializer", "no_such_module:x"], "ModuleNotFoundError"),
        (["--serializer", "json"], "package.module:NAME"),
        (["--serializer", "json:dumps"], "TypeError"),
        (
            ["--serializer", "builtins:dict"],
            "must be a kafka_persist.Serializer, or a function or class that makes one",
        ),
        (["--mapper", "math:pi"], "must be a kafka_persist.EventTopicMapper"),
    ],
)
def test_what_is_no_serializer_or_mapper_is_refused_by_the_option(arguments, said, capsys):
    assert main(["publish-pending", "--config", "none.toml", *arguments]) == 2
    printed = capsys.readouterr().out
    assert printed.startswith(f"publish-pending: {arguments[0]} ")
    assert said in printed
