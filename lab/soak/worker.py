"""The process of a writer: many entities, each claiming, writing, reading and deleting in a closed loop, all of it logged."""

from __future__ import annotations

import logging
import random
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr, Rejection
from kafka_persist._kafka.driver import open_driver
from kafka_persist.abc import Journal
from kafka_persist.driver import Driver
from kafka_persist.errors import BrokerError, ConnectError, StoredDataError, WriteError, WriteOutcomeUnknown
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim.buggify import BuggifyDriver, Site, open_buggify

from ..history import History, digest
from .crash import CrashingDriver
from .orders import Orders, writer_config
from .plan import CALL_TIMEOUT, LOOK_TIMEOUT
from .process import beat, die_with_parent, until_told
from .stacks import write_on_signals

KEEP: Final = 300
"""Events of an id that deletions leave."""

SITES: Final = (Site.ANSWER_LOST, Site.SENT_LATE, Site.SENT_TWICE, Site.COPY_LATE, Site.NO_OFFSET, Site.ANSWER_SLOW)


class Entity:
    """One persistence id in this process."""

    def __init__(self, journal: Journal, history: History, pid: str, orders: Orders) -> None:
        self._journal = journal
        self._history = history
        self._pid = pid
        self._pause = orders.pause
        self._random = random.Random(f"{orders.seed} {pid} {orders.process}")  # noqa: S311 - chances, not secrets
        self._deleted = 0

    async def run(self) -> None:
        """Write until cancelled, or until the log is damaged."""
        while True:
            try:
                await self._incarnation()
            except WriteOutcomeUnknown:
                await trio.sleep(self._random.uniform(0, 0.2))
            except WriteError:
                await trio.sleep(self._random.uniform(1, 8))
            except BrokerError:
                await trio.sleep(self._random.uniform(0.2, 1))
            except StoredDataError:
                return  # the history says so

    async def _incarnation(self) -> None:
        """Claim, then write until something happens."""
        writer = uuid.uuid4()
        with self._call("claim", writer=str(writer)) as call:
            number = await self._journal.claim(self._pid, writer) + 1
            call.fields["highest"] = number - 1
        if self._random.random() < 0.5:
            await read(self._journal, self._history, self._pid, low=max(1, number - 100))
        while True:
            number += await self._write(writer, number)
            if self._random.random() < 0.02 and number - self._deleted > 2 * KEEP:
                await self._delete(number - KEEP)
            await trio.sleep(self._random.expovariate(1 / self._pause))

    async def _write(self, writer: uuid.UUID, first: int) -> int:
        """Write one batch; how many numbers it used."""
        payloads = [self._payload(writer, first + place) for place in range(self._batch())]
        events = [
            PersistentRepr(persistence_id=self._pid, sequence_nr=first + place, payload=payload, writer=writer)
            for place, payload in enumerate(payloads)
        ]
        marks = [digest(payload) for payload in payloads]
        with self._call("write", writer=str(writer), first=first, marks=marks) as call:
            (result,) = await self._journal.write([AtomicWrite(events)])
            if isinstance(result, Rejection):
                call.phase = "rejected"
        return len(events)

    def _batch(self) -> int:
        count = 1
        while count < 16 and self._random.random() < 0.75:
            count += 1
        return count

    def _payload(self, writer: uuid.UUID, number: int) -> bytes:
        filler = self._random.randbytes(int(100 * 10 ** self._random.random()))
        return b"%s %d %b" % (writer.bytes, number, filler)

    async def _delete(self, to: int) -> None:
        with self._call("delete", to=to):
            await self._journal.delete_to(self._pid, to)
        self._deleted = to

    def _call(self, op: str, **fields: Any) -> Any:
        within = CALL_TIMEOUT if op == "write" else LOOK_TIMEOUT
        return self._history.call(op, self._pid, within=within, **fields)


async def read(journal: Journal, history: History, pid: str, *, low: int = 1) -> int:
    """Replay an id from `low` on and log what it gave; the highest number."""
    with history.call("replay", pid, low=low, within=LOOK_TIMEOUT) as call:
        async with journal.replay(pid, from_sequence_nr=low) as events:
            found: list[tuple[int, str]] = [(each.sequence_nr, digest(each.payload)) async for each in events]
        call.fields["events"] = found
    return found[-1][0] if found else 0


async def connected(stack: AsyncExitStack, config: JournalConfig) -> Driver:
    """Open the real driver; brokers that are down for longer than it waits are tried again, as any supervisor does."""
    while True:
        try:
            return await stack.enter_async_context(open_driver(config))
        except ConnectError as error:
            if not error.retriable:
                raise
            logging.getLogger("lab.soak").warning("started again: %s", error)


@asynccontextmanager
async def open_worker_driver(orders: Orders) -> AsyncIterator[Driver]:
    """The real driver, failing or dying as ordered."""
    async with AsyncExitStack() as stack:
        driver: Driver = await connected(stack, writer_config(orders))
        if orders.faulty:
            driver = await stack.enter_async_context(
                open_buggify(driver, orders.seed, sites=SITES, on=1.0, fires=0.004)
            )
        if orders.crash is not None:
            driver = CrashingDriver(driver, *orders.crash)
        yield driver


def note_fired(history: History, driver: BuggifyDriver) -> Callable[[], None]:
    """Make a function that logs which faults a driver made, if there are new ones."""
    last: dict[str, int] = {}

    def note() -> None:
        counts = {site.name: count for site, count in driver.fired.items()}
        if counts != last:
            last.update(counts)
            history.line(op="fired", counts=counts)

    return note


async def work(orders: Orders) -> None:
    """Run all entities until SIGTERM."""
    history = History(Path(orders.history), orders.process)
    write_on_signals()
    if orders.faulty:
        history.line(op="faulty")
    config = writer_config(orders)
    async with open_worker_driver(orders) as driver, open_journal_on(driver, config) as journal:
        also = [note_fired(history, driver)] if isinstance(driver, BuggifyDriver) else []
        entities = [Entity(journal, history, pid, orders).run for pid in orders.ids]
        await until_told(partial(beat, history, *also), *entities)
    history.line(op="ended")


if __name__ == "__main__":
    die_with_parent()
    trio.run(work, Orders.from_argument(sys.argv[1]))
