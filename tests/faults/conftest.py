"""A real broker that may be mistreated, processes that write to it, and short ways to say what is stored."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trio

import kafka_persist
from kafka_persist import EventProducerConfig, JournalConfig, PersistentRepr, open_journal
from lab.soak.raw import Stranger
from tests.support.writer import Writer

PROGRAM = Path(__file__).with_name("writer.py")
NO_EVENTS = EventProducerConfig(topic_mapper_class="kafka_persist.publishing:EmptyEventTopicMapper")

HASTY = {
    "log.retention.ms": "1",
    "log.retention.check.interval.ms": "100",
    "log.initial.task.delay.ms": "100",
    "log.segment.delete.delay.ms": "100",
    "transaction.state.log.num.partitions": "1",
}
"""Where a topic does not say otherwise, everything is old after a millisecond: as if the clock had moved by years."""


@attrs.define(eq=False)
class Place:
    """A broker, and journals on it."""

    server: object

    @property
    def stranger(self) -> Stranger:
        return Stranger(self.server.bootstrap_servers)

    def open(self, **changes):
        servers = self.server.bootstrap_servers
        return open_journal(JournalConfig(**{"bootstrap_servers": servers, "event_producer": NO_EVENTS, **changes}))

    async def written(self, pid: str, count: int, **changes) -> Writer:
        writer = Writer(pid)
        async with self.open(**changes) as journal:
            await journal.claim(pid, writer.uuid)
            for number in range(1, count + 1):
                await journal.write([writer.write(number, number)])
        return writer

    async def events(self, pid: str) -> list[PersistentRepr]:
        """What a process reads that knows nothing yet."""
        async with self.open() as journal, journal.replay(pid) as events:
            return [event async for event in events]


@pytest.fixture(scope="package")
def rough(kafka_server_factory) -> Place:
    return Place(kafka_server_factory(properties=HASTY))


@pytest.fixture
def calm(kafka_server) -> Place:
    """The session's server: not to be mistreated."""
    return Place(kafka_server)


class Program:
    """A process that runs `writer.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.stored = 0

    async def line(self) -> str:
        with trio.fail_after(30):
            line = (await trio.to_thread.run_sync(self.process.stdout.readline)).strip()
        if line.startswith("stored"):
            self.stored = int(line.split()[1])
        return line

    async def lines_until(self, wanted: str) -> str:
        while not (line := await self.line()).startswith(wanted):
            assert line.startswith("stored"), line
        return line

    async def error(self) -> str:
        """The name of the error that ends its incarnation."""
        while (line := await self.line()).startswith("stored"):
            pass
        return line

    def go_on(self) -> None:
        self.process.stdin.write("again\n")
        self.process.stdin.flush()


@contextmanager
def running(place: Place, pid: str, *words: object):
    """Start `writer.py`; it is killed at the end."""
    paths = os.pathsep.join([str(Path(kafka_persist.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(PROGRAM), place.server.bootstrap_servers, pid, *map(str, words)]
    environ = os.environ | {"PYTHONPATH": paths}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()
