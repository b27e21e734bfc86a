"""The process of a writer: many entities, each claiming, writing, reading and deleting in a closed loop, all of it logged."""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr, Rejection
from kafka_persist._kafka.driver import open_driver
from kafka_persist.abc import Journal
from kafka_persist.config import EventProducerConfig
from kafka_persist.driver import Driver
from kafka_persist.errors import BrokerError, StoredDataError, WriteError, WriteOutcomeUnknown
from kafka_persist.journal import open_journal_on

from ..history import History, digest
from ..sim.buggify import BuggifyDriver, Site, open_buggify
from .crash import CrashingDriver
from .plan import CALL_TIMEOUT, CONNECT_TIMEOUT, DELIVERY_TIMEOUT, LOOK_TIMEOUT, STALL_TIMEOUT
from .stacks import write_on_signals

EMPTY_MAPPER: Final = "kafka_persist.publishing:EmptyEventTopicMapper"
"""The journal alone is under test: nothing is published."""

PR_SET_PDEATHSIG: Final = 1
BEAT: Final = 0.5
STOPPED: Final = 0.5
"""A beat that comes this much too late means that the process did not run."""

KEEP: Final = 300
"""Events of an id that deletions leave."""

SITES: Final = (Site.ANSWER_LOST, Site.SENT_LATE, Site.SENT_TWICE, Site.COPY_LATE, Site.NO_OFFSET, Site.ANSWER_SLOW)


@attrs.frozen(kw_only=True)
class Orders:
    """What a worker is told on its command line.

    Attributes:
        servers: the brokers.
        history: the file to write to.
        process: its name, unique in the run.
        ids: the persistence ids.
        seed: where its chances come from.
        pause: mean seconds between two writes of an id.
        faulty: its driver fails by itself.
        crash: where to die, and in which append; None: nowhere.
    """

    servers: str
    history: str
    process: str
    ids: Sequence[str]
    seed: int
    pause: float = 0.2
    faulty: bool = False
    crash: tuple[str, int] | None = None

    def to_argument(self) -> str:
        """One word of a command line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> Orders:
        """The orders of a command line's word."""
        return cls(**json.loads(text))


def config(servers: str) -> JournalConfig:
    """The journal's configuration in a soak."""
    return JournalConfig(
        bootstrap_servers=servers,
        delivery_timeout=DELIVERY_TIMEOUT,
        recovery_stall_timeout=STALL_TIMEOUT,
        connect_timeout=CONNECT_TIMEOUT,
        event_producer=EventProducerConfig(topic_mapper_class=EMPTY_MAPPER),
        client={"reconnect.backoff.max.ms": 500},
    )


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


@asynccontextmanager
async def open_worker_driver(orders: Orders) -> AsyncIterator[Driver]:
    """The real driver, failing or dying as ordered."""
    async with AsyncExitStack() as stack:
        driver: Driver = await stack.enter_async_context(open_driver(config(orders.servers)))
        if orders.faulty:
            driver = await stack.enter_async_context(
                open_buggify(driver, orders.seed, sites=SITES, on=1.0, fires=0.004)
            )
        if orders.crash is not None:
            driver = CrashingDriver(driver, *orders.crash)
        yield driver


async def beat(history: History, driver: Driver) -> None:
    """Log when this process did not run, what it uses, and which faults its driver made."""
    last, beats, base = time.monotonic(), 0, 0
    fired: dict[str, int] = {}
    while True:
        await trio.sleep(BEAT)
        now, beats = time.monotonic(), beats + 1
        if now - last > BEAT + STOPPED:
            history.line(op="stopped", seconds=now - last - BEAT)
        last = now
        if beats % 20 == 0:
            used = resources()
            base = base or used["rss"]
            history.line(op="resources", **used, max_rss=base + 64 * 1024 * 1024, max_threads=64, max_fds=512)
        if isinstance(driver, BuggifyDriver) and beats % 4 == 0:
            counts = {site.name: count for site, count in driver.fired.items()}
            if counts != fired:
                fired = counts
                history.line(op="fired", counts=counts)


def resources() -> dict[str, int]:
    """Memory, threads and open files of this process."""
    proc = Path("/proc/self")
    pages = int((proc / "statm").read_text().split()[1])
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": len(list((proc / "task").iterdir())),
        "fds": len(list((proc / "fd").iterdir())),
    }


def die_with_parent() -> None:
    """Ask the kernel to end this process when the supervisor is gone, however it went."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)


async def work(orders: Orders) -> None:
    """Run all entities until SIGTERM."""
    history = History(Path(orders.history), orders.process)
    write_on_signals()
    async with open_worker_driver(orders) as driver, open_journal_on(driver, config(orders.servers)) as journal:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beat, history, driver)
                for pid in orders.ids:
                    nursery.start_soon(Entity(journal, history, pid, orders).run)
                async for _ in signals:
                    nursery.cancel_scope.cancel(reason="SIGTERM")
                    break
    history.line(op="ended")


if __name__ == "__main__":
    die_with_parent()
    trio.run(work, Orders.from_argument(sys.argv[1]))
