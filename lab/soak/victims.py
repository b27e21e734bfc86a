"""Damage to logs that exist for it: each victim is written, damaged, and must then be reported, never read as whole."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr
from kafka_persist.config import Layout
from kafka_persist.errors import (
    BrokerError,
    CorruptRecord,
    ForeignEvent,
    JournalHeadLost,
    JournalTruncated,
    PersistenceError,
    RecoveryStalled,
    StoredDataError,
    WriteError,
    WriteOutcomeUnknown,
)
from kafka_persist.journal import KafkaJournal, open_journal
from kafka_persist_testkit.server import TestServer

from .orders import victim_config
from .raw import Stranger

EVENTS: Final = 12
PAYLOAD: Final = 200
ATTEMPTS: Final = 30


class Missed(Exception):  # noqa: N818 - a result, not a failure of the soak
    """Damage was read as if nothing had happened."""


class Victims:
    """Makes, damages and reads victims, one per call."""

    def __init__(self, server: TestServer, seed: int, layout: Layout) -> None:
        self._server = server
        self._layout: Layout = layout
        self._stranger = Stranger(server.bootstrap_servers)
        self._copies = min(3, len(server.brokers))
        self._random = random.Random(seed)  # noqa: S311 - chances, not secrets
        self._count = 0

    def head_deleted(self) -> str:
        """Row 17: a stranger deletes the first records."""
        pid = self._written()
        self._stranger.delete_records(self._topic(pid), 4)
        return self._reported(pid, JournalHeadLost)

    def recreated(self) -> str:
        """Row 18: the topic is deleted and created again while a journal is open."""
        return trio.run(self._recreated)

    async def _recreated(self) -> str:
        pid, writer = self._name(), uuid.uuid4()
        async with open_journal(self._config(pid)) as journal:
            await _write(journal, pid, writer, EVENTS)
            await trio.to_thread.run_sync(self._stranger.recreate, self._topic(pid))
            try:
                await journal.write([_batch(pid, writer, EVENTS + 1)])
            except (JournalTruncated, WriteError) as error:
                return type(error).__name__
        raise Missed(f"{pid}: a write was stored in a topic that had been recreated")

    def transaction(self) -> str:
        """Row 54: somebody's transaction stays open on the topic: reading must not end before it."""
        pid = self._written()
        producer = self._stranger.open_transaction(self._topic(pid))
        try:
            return self._reported(pid, CorruptRecord, ForeignEvent, RecoveryStalled)
        finally:
            self._stranger.abort(producer)

    def byte_flipped(self) -> str:
        """Row 14: a byte changes in a segment while the broker is stopped cleanly."""
        pid = self._written()
        self._server.broker.stop()
        try:
            self._flip(pid, tail=False)
        finally:
            self._server.broker.start()
        return self._reported(pid, CorruptRecord)

    def tail_damaged(self) -> str:
        """Row 15: the last batch is damaged, the broker recovers after a crash and cuts it off.

        A process that had seen the records must report it. A new one cannot know.
        """
        return trio.run(self._tail_damaged)

    async def _tail_damaged(self) -> str:
        pid, writer = self._name(), uuid.uuid4()
        async with open_journal(self._config(pid)) as journal:
            await _write(journal, pid, writer, EVENTS)
            await trio.to_thread.run_sync(self._crash_and_damage, pid)
            try:
                await journal.write([_batch(pid, writer, EVENTS + 1)])
            except (WriteOutcomeUnknown, BrokerError):
                return await _claimed(journal, pid)  # the broker was still starting
            except StoredDataError as error:
                return type(error).__name__
        raise Missed(f"{pid}: a write was stored behind acknowledged records that the broker had cut off")

    def _crash_and_damage(self, pid: str) -> None:
        self._server.broker.kill()
        try:
            self._flip(pid, tail=True)
        finally:
            self._server.broker.start()

    # --- parts -----------------------------------------------------------------------------------------------------

    def _name(self) -> str:
        self._count += 1
        return f"victim-{self._count}-{self._random.randrange(1 << 32):08x}"

    def _config(self, pid: str) -> JournalConfig:
        return victim_config(self._server.bootstrap_servers, self._copies, self._layout, pid)

    def _topic(self, pid: str) -> str:
        return self._config(pid).shared_topic if self._layout == "shared" else pid

    def _written(self) -> str:
        pid = self._name()
        trio.run(self._write_all, pid)
        return pid

    async def _write_all(self, pid: str) -> None:
        async with open_journal(self._config(pid)) as journal:
            await _write(journal, pid, uuid.uuid4(), EVENTS)

    def _reported(self, pid: str, *errors: type[PersistenceError]) -> str:
        """The name of the error that a new process meets."""
        return trio.run(self._read_all, pid, errors)

    async def _read_all(self, pid: str, errors: tuple[type[PersistenceError], ...]) -> str:
        async with open_journal(self._config(pid)) as journal:
            try:
                async with journal.replay(pid) as events:
                    found = [event.sequence_nr async for event in events]
            except errors as error:
                return type(error).__name__
        raise Missed(f"{pid}: a damaged log was replayed as {found}")

    def _flip(self, pid: str, *, tail: bool) -> None:
        """Change a byte in the value of one record: of the last one, or of one in the middle."""
        (segment,) = sorted(self._log_dir().glob(f"{self._topic(pid)}-0/*.log"))
        data = bytearray(segment.read_bytes())
        where = data.rindex(b"victim-payload") if tail else data.index(b"victim-payload", len(data) // 2)
        data[where] ^= 0x01
        segment.write_bytes(data)

    def _log_dir(self) -> Path:
        assert self._server.data_dir is not None
        (properties,) = [
            line.split("=", 1)[1]
            for line in self._server.broker.config_path.read_text().splitlines()
            if line.startswith("log.dirs=")
        ]
        return Path(properties)


def _batch(pid: str, writer: uuid.UUID, number: int) -> AtomicWrite:
    payload = b"victim-payload" + bytes(PAYLOAD)
    return AtomicWrite([PersistentRepr(persistence_id=pid, sequence_nr=number, payload=payload, writer=writer)])


async def _claimed(journal: KafkaJournal, pid: str) -> str:
    """The error that a process which had seen the records meets when it claims their id again."""
    for _ in range(ATTEMPTS):
        try:
            highest = await journal.claim(pid, uuid.uuid4())
        except (WriteOutcomeUnknown, BrokerError):
            await trio.sleep(1)
        except StoredDataError as error:
            return type(error).__name__
        else:
            raise Missed(f"{pid}: a claim found {highest} events; {EVENTS} had been seen")
    raise Missed(f"{pid}: no claim was answered")


async def _write(journal: KafkaJournal, pid: str, writer: uuid.UUID, count: int) -> None:
    for attempt in range(ATTEMPTS):
        try:
            await journal.claim(pid, writer)
            break
        except (WriteOutcomeUnknown, BrokerError):  # after the fault before
            if attempt + 1 == ATTEMPTS:
                raise
            await trio.sleep(1)
    for number in range(1, count + 1):
        await journal.write([_batch(pid, writer, number)])


def row_of(victims: Victims) -> dict[str, Callable[[], str]]:
    """Which victim belongs to which row."""
    return {
        "14": victims.byte_flipped,
        "15": victims.tail_damaged,
        "17": victims.head_deleted,
        "18": victims.recreated,
        "54": victims.transaction,
    }
