"""`python -m kafka_persist publish-pending`, and the mapper of the examples."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import trio

from kafka_persist import Event, EventDecoder, Serializer
from kafka_persist.__main__ import main

from .test_publishing import stored_unpublished

SERIALIZER = Serializer()
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.broker
def test_the_command_publishes(broker, tmp_path, capsys):
    """What a dead process left is published, and a second run finds nothing."""
    name = f"{broker.prefix}left"
    trio.run(stored_unpublished, broker, name)
    config = tmp_path / "config.toml"
    config.write_text(f'kafka-journal.prefix = "{broker.prefix}j-"\n')
    command = ["publish-pending", "--config", str(config), "--bootstrap-servers", broker.servers, "--json"]
    assert main(command) == 0
    assert main([*command, name]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first, second) == (
        {"ids": 1, "ids_behind": 1, "events": 2},
        {"ids": 1, "ids_behind": 0, "events": 0},
    )
    decode = EventDecoder()
    own = [value for _, _, value in broker.read("events") if name.encode() in value]  # others publish there, too
    events = [decode(value) for value in own]
    assert [event.sequence_nr for event in events if event.persistence_id == name] == [1, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--serializer", "no_such_module:x"],
        ["--serializer", "json:dumps"],
        ["--config", "no-such-file.toml"],
    ],
)
def test_wrong_arguments(arguments, capsys):
    """What cannot work is said in one line, with the exit code for it."""
    assert main(["publish-pending", *arguments]) == 2
    assert capsys.readouterr().out.startswith("publish-pending: ")


@pytest.mark.source
def test_the_example_mapper():
    """The documentation's example is the original's: two topics for a, one for b, none for others."""
    spec = importlib.util.spec_from_file_location("event_topics", EXAMPLES / "event_topics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mapper = module.ExampleEventTopicMapper()
    topics = {name: tuple(mapper.topics_for(Event(name, 1, None))) for name in "abc"}
    assert topics == {"a": ("topic-a-1", "topic-a-2"), "b": ("topic-b",), "c": ()}
