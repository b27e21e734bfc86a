"""No secret in the local variables of a traceback, which error trackers, pytest and rich show."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence

import pytest
import trio

from kafka_persist import Config, JournalConfig, SnapshotStoreConfig, load_config, open_persistence
from kafka_persist.__main__ import main
from kafka_persist.config import EventProducerConfig
from kafka_persist.errors import ConfigError
from kafka_persist.journal import open_journal
from kafka_persist.snapshots import open_snapshot_store

CANARY = "c4n4ry"
SECURE = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": CANARY}
WRONG = {"ssl.ca.location": "/nonexistent.pem"}
NOBODY = "127.0.0.1:1"


def shown(value, depth=4):
    """What is shown of a variable: its repr, and what is in it where it is a container."""
    yield repr(value)
    if depth and isinstance(value, Mapping):
        for name, each in value.items():
            yield from shown(name, depth - 1)
            yield from shown(each, depth - 1)
    elif depth and isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for each in value:
            yield from shown(each, depth - 1)


def leaks(error):
    """Where the canary shows: in a message, or in a variable of a frame of the library or of its clients."""
    found, todo, seen = [], [error], set()
    while todo:
        error = todo.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        todo += [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
        found += [f"message of {type(error).__name__}"] if CANARY in f"{error} {error!r}" else []
        for frame, line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename == __file__:
                continue
            where = f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
            variables = dict(frame.f_locals).items()
            found += [f"{where}: {name}" for name, value in variables if any(CANARY in text for text in shown(value))]
    return found


def config(properties, **more):
    journal = JournalConfig(bootstrap_servers=NOBODY, client=properties, connect_timeout=0.5, **more)
    return Config(journal=journal, snapshot_store=SnapshotStoreConfig(bootstrap_servers=NOBODY, client=properties))


OPENERS = {
    "open_persistence": open_persistence,
    "open_journal": lambda config: open_journal(config.journal),
    "open_snapshot_store": lambda config: open_snapshot_store(config.snapshot_store),
}


@pytest.mark.parametrize("properties", [SECURE | WRONG, {"sasl.password": CANARY}], ids=["refused", "nobody there"])
@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS)
async def test_opening_that_fails_shows_no_secret(opener, properties):
    with pytest.raises(Exception) as caught:
        async with opener(config(properties)):
            pass
    assert leaks(caught.value) == []


@pytest.mark.parametrize("mode", ["at-least-once", "exactly-once"])
async def test_a_publisher_that_fails_shows_no_secret(mode):
    event_producer = EventProducerConfig(mode=mode, properties={"sasl.password": CANARY, "ssl.ca.location": "/none"})
    with pytest.raises(Exception) as caught:
        async with open_journal(config(SECURE | WRONG, event_producer=event_producer).journal):
            pass
    assert leaks(caught.value) == []


FILES = {
    "refused by the client": 'client.ssl.ca.location = "/nonexistent.pem"\nclient.security.protocol = "SASL_SSL"',
    "refused by us": "partition = -1",
    "unknown": "no.such.key = 1",
    "no table": "]",
}


@pytest.fixture(params=FILES.values(), ids=FILES)
def file(request, tmp_path):
    lines = f'bootstrap.servers = "{NOBODY}"\nclient.sasl.password = "{CANARY}"\n{request.param}'
    path = tmp_path / "config.toml"
    path.write_text("\n".join(f"kafka-journal.{line}" for line in lines.splitlines()))
    return path


@pytest.mark.parametrize("command", ["check", "publish-pending"])
def test_a_command_that_fails_shows_no_secret(command, file, monkeypatch, capfd):
    """Not on its output, and not in what it catches."""
    caught = []
    run = trio.run

    def noting(*args):
        try:
            return run(*args)
        except BaseException as error:
            caught.append(error)
            raise

    monkeypatch.setattr(trio, "run", noting)
    assert main([command, "--config", str(file)]) == 2
    assert CANARY not in "".join(capfd.readouterr())
    assert [leak for error in caught for leak in leaks(error)] == []


def test_a_file_that_is_refused_shows_no_secret(file):
    found = []
    try:
        load_config(file, environ={})
    except ConfigError as error:
        found = leaks(error)
    assert found == []
