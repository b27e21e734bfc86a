"""This process's part of the group: one worker for each shard that the group gives to it.

The group says who should have a shard; the chain says who has. A member believes the group, and claims what it is given. It is
told of a revocation by the reader, between two readings: the worker then takes no more commands, completes the batch that it
is at, and lets go of the shard's entities. Nobody waits for that: the next owner's claim comes before or after the batch's record,
and either way each command takes effect once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from .._lifecycle import Background
from .._shared.commands import CommandLog
from .._shared.place import partition_of
from ..driver import Log
from ..errors import PersistenceError, StoredDataError, printable
from ..model import check_persistence_id
from .batches import Received
from .ports import CommandReader
from .records import asker_of, decode_command
from .worker import Parts, Phase, Undecided, Worker

_log = logging.getLogger("kafka_persist.shards")

MOST_WAITING: Final = 2_000
"""Commands that are read ahead, of all shards; then they wait in the topic."""

RETRY_PAUSE: Final = 0.2
"""Seconds after which a group that could not be asked is asked again."""


class Member:
    """Takes part in the group.

    Args:
        reader: reads the command topic as a member of the group.
        topic: the command topic.
        logs: the journal's, by partition.
        parts: for the workers.
        tasks: run them.
    """

    def __init__(
        self, reader: CommandReader, topic: str, logs: Sequence[CommandLog], parts: Parts, tasks: Background
    ) -> None:
        self._reader = reader
        self._topic = topic
        self._logs = logs
        self._parts = parts
        self._tasks = tasks
        self._workers: dict[Log, Worker] = {}
        self._undecided: dict[Log, Undecided] = {}
        self._leaving = False
        self.changed: trio.Event = trio.Event()
        """Set, and replaced, when a shard has come or gone."""
        self.problem: str = ""
        """Why the group cannot be served; "" if it can."""

    def __repr__(self) -> str:
        return f"<Member of {self._topic}: {list(self._workers.values())}>"

    @property
    def workers(self) -> Sequence[Worker]:
        """One for each shard that is here, comes or goes."""
        return list(self._workers.values())

    def is_here(self, partition: int) -> bool:
        """Whether a shard takes commands in this process."""
        worker = self._workers.get(Log(self._topic, partition))
        return worker is not None and worker.here

    def may_open(self, partition: int) -> bool:
        """Whether entities of a shard may be opened: also for the batch that is finished while the shard leaves."""
        worker = self._workers.get(Log(self._topic, partition))
        return worker is not None and worker.begin >= 0 and worker.valid

    async def run(self) -> None:
        """Take part, forever."""
        self._reader.subscribe([self._topic])
        self._tasks.spawn(self._reader.place, self._find)
        while True:
            try:
                await self._step()
                self.problem = ""
            except PersistenceError as error:
                if not error.retriable:
                    raise
                self.problem = str(error)
                text = "the group cannot be served, and is tried again: %s"
                _log.warning(text, error, extra={"event": "shards.group-failed"})
                await trio.sleep(RETRY_PAUSE)

    async def leave(self) -> None:
        """Complete the batches that are in flight, and take no more."""
        self._leaving = True
        for worker in self.workers:
            worker.leave()
        await trio.lowlevel.checkpoint()
        for worker in self.workers:
            await worker.done.wait()

    async def _step(self) -> None:
        waiting = sum(len(worker.waiting) for worker in self._workers.values())
        records = await self._reader.read(wanted=waiting < MOST_WAITING)
        self._reconcile()
        for record in records:
            worker = self._workers.get(record.log)
            if worker is not None and worker.phase is Phase.HERE and self._reader.owns(record):
                worker.put(record, received(record.log, record.offset, record.value, len(self._logs)))
        for worker in self._workers.values():
            for record in worker.finished:
                self._reader.finish(record)
            worker.finished.clear()

    def _reconcile(self) -> None:
        """Start workers for what has come, and tell those to leave whose assignment has ended."""
        assigned = self._reader.assigned
        for log, worker in self._workers.items():
            if assigned.get(log) != worker.number and worker.phase is not Phase.LEAVING:
                worker.leave()
        for log, number in assigned.items():
            if log not in self._workers and log.partition < len(self._logs) and not self._leaving:
                self._start(log, number)

    def _start(self, log: Log, number: int) -> None:
        undecided = self._undecided.pop(log, None)
        worker = Worker(log, self._logs[log.partition], number, self._parts, undecided)
        if self._tasks.spawn(worker.run, self._note_change, self._ended):
            self._workers[log] = worker

    def _note_change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def _ended(self, worker: Worker) -> None:
        """A worker has ended: the next one begins where the log says, if the shard still belongs here."""
        del self._workers[worker.partition]
        if worker.undecided is not None:
            self._undecided[worker.partition] = worker.undecided
        self._note_change()
        if self._reader.assigned.get(worker.partition) == worker.number and not self._leaving:
            self._reader.read_again([worker.partition])

    async def _find(self, logs: Sequence[Log]) -> Mapping[Log, int]:
        """Where the shards begin that are claimed by now; at least one of them, or none that is wanted any more."""
        while True:
            self._reconcile()
            found = {
                log: self._workers[log].begin
                for log in logs
                if log in self._workers and self._workers[log].phase is Phase.HERE
            }
            if found:
                await trio.lowlevel.checkpoint()
                return found
            with trio.move_on_after(RETRY_PAUSE):
                await self.changed.wait()
            if not any(log in self._reader.assigned for log in logs):
                return {}


def received(log: Log, offset: int, value: bytes | None, partitions: int) -> Received:
    """Read a record of the command topic; what cannot be read is noted with it."""
    where = f"{log}@{offset}"
    try:
        command = decode_command(value, where)
        persistence_id = check_persistence_id(f"{command.type}-{command.id}")
    except (StoredDataError, PersistenceError) as error:
        text = "a command cannot be read, and is left out: %s"
        _log.warning(text, error, extra={"event": "shards.command-skipped"})
        return Received(offset, "", None, str(error), asker_of(value))
    reply_to = command.place, command.asker, command.number
    if partition_of(persistence_id, partitions) != log.partition:
        problem = f"{where}: {printable(persistence_id)} belongs to another partition"
        return Received(offset, "", None, problem, reply_to)
    return Received(offset, persistence_id, command, "", reply_to)


def holds(partitions: int) -> Callable[[int], Callable[[str], bool]]:
    """For a partition: whether it has an id."""

    def of(partition: int) -> Callable[[str], bool]:
        return lambda persistence_id: partition_of(persistence_id, partitions) == partition

    return of
