"""One random history of a journal on a simulated broker: processes that claim, write, read, delete, crash and go on.

Hypothesis generates the operations, `play` interprets them, and every call goes into a history, line by line, which the same
checker judges that judges the soaks. Besides, a model of what may be stored is kept: unknown outcomes make it a set of logs.
"""

from __future__ import annotations

import random
import uuid
from contextlib import AsyncExitStack

import attrs
import trio

from kafka_persist import AtomicWrite, JournalConfig, PersistentRepr, Rejection
from kafka_persist.errors import PersistenceError, StoredDataError
from kafka_persist.journal import open_journal_on
from kafka_persist_testkit.sim import SeededNetwork, SimKafka, open_buggify, open_sim_broker, open_sim_kafka
from lab.checker import Checker
from lab.history import History, Line, digest, outcome_of

DELIVERY, STALL = 2.0, 1.0
CONFIG = JournalConfig(delivery_timeout=DELIVERY, recovery_stall_timeout=STALL, replay_batch_bytes=1024)
IDS = ("a", "a/b", "ä b")


class Memory(History):
    """A history in memory, on Trio's clock."""

    def __init__(self, process: str, lines: list[Line]) -> None:
        import itertools

        self.process = process
        self._lines = lines
        self._calls = itertools.count(1)
        self.dead = False

    def line(self, **fields) -> None:
        if not self.dead:
            self._lines.append({"t": trio.current_time(), "proc": self.process, **fields})


@attrs.define(eq=False)
class Process:
    """A journal on a driver of its own, in a task of its own, and what its entities know."""

    journal: object
    driver: SimKafka
    history: Memory
    scope: trio.CancelScope
    leave: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)
    writers: dict[str, uuid.UUID] = attrs.field(factory=dict)
    next: dict[str, int] = attrs.field(factory=dict)


class Player:
    """Interprets operations, each on a process and an id."""

    def __init__(self, broker, nursery, seed: int, *, trouble: float) -> None:
        self.broker = broker
        self.nursery = nursery
        self.random = random.Random(seed)
        self.trouble = trouble
        self.lines: list[Line] = []
        self.processes: dict[int, Process] = {}
        self.starting = trio.Lock()
        self.count = 0

    async def process(self, number: int) -> Process:
        async with self.starting:
            if number not in self.processes:
                self.processes[number] = await self.nursery.start(self._run)
        return self.processes[number]

    async def _run(self, task_status) -> None:
        self.count += 1
        seeds = self.random.randrange(1 << 30), self.random.randrange(1 << 30)
        network = SeededNetwork(seeds[0], timeout=DELIVERY, trouble=self.trouble)
        with trio.CancelScope() as scope:
            async with AsyncExitStack() as stack:
                driver = await stack.enter_async_context(open_sim_kafka(self.broker, CONFIG, network))
                inner = await stack.enter_async_context(open_buggify(driver, seeds[1], on=0.25 if self.trouble else 0))
                journal = await stack.enter_async_context(open_journal_on(inner, CONFIG))
                process = Process(journal, driver, Memory(f"p{self.count}", self.lines), scope)
                task_status.started(process)
                await process.leave.wait()
        process.ended.set()

    async def crash(self, number: int, seconds: float) -> None:
        """End a process in the middle of what it does: its history ends, what it sent is on its way."""
        await trio.sleep(seconds)
        process = self.processes.pop(number, None)
        if process is not None:
            process.history.dead = True
            process.driver.close()
            process.scope.cancel()
            await process.ended.wait()

    async def restart(self, number: int) -> None:
        process = self.processes.pop(number, None)
        if process is not None:
            process.leave.set()
            await process.ended.wait()

    async def close(self) -> None:
        for number in list(self.processes):
            await self.restart(number)

    # --- operations ----------------------------------------------------------------------------------------------

    async def claim(self, number: int, pid: str) -> None:
        process, writer = await self.process(number), uuid.UUID(int=self.random.getrandbits(128), version=4)
        process.writers.pop(pid, None)
        with process.history.call("claim", pid, writer=str(writer), within=self.within) as call:
            highest = await process.journal.claim(pid, writer)
            call.fields["highest"] = highest
        process.writers[pid], process.next[pid] = writer, highest + 1

    @property
    def within(self) -> float:
        return 25 * (DELIVERY + STALL) + 30

    async def write(self, number: int, pid: str, sizes: list[int], large: int) -> None:
        """Several atomic writes at once, as a busy entity makes them; one may be rejected."""
        process = await self.process(number)
        if pid not in process.writers:
            await self.claim(number, pid)
        writer = process.writers.get(pid)
        if writer is None:  # lost already, to another operation at the same time
            return
        async with trio.open_nursery() as nursery:
            for place, size in enumerate(sizes):
                first = process.next[pid]
                process.next[pid] += size
                nursery.start_soon(self._write, process, writer, pid, first, size, place == large)

    async def _write(self, process: Process, writer: uuid.UUID, pid: str, first: int, size: int, large: bool) -> None:
        filler = 300_000 if large else self.random.randrange(300)
        payloads = [b"%b %d %d " % (writer.bytes, first + place, filler) + bytes(filler) for place in range(size)]
        events = [
            PersistentRepr(persistence_id=pid, sequence_nr=first + place, payload=payload, writer=writer)
            for place, payload in enumerate(payloads)
        ]
        fields = {"writer": str(writer), "first": first, "marks": [digest(payload) for payload in payloads]}
        try:
            with process.history.call("write", pid, within=self.within, **fields) as call:
                (result,) = await process.journal.write([AtomicWrite(events)])
                if isinstance(result, Rejection):
                    call.phase = "rejected"
        except PersistenceError as error:
            if outcome_of(error) in ("unknown", "fenced", "failed") and process.writers.get(pid) == writer:
                del process.writers[pid]

    async def replay(self, number: int, pid: str, low: int) -> None:
        process = await self.process(number)
        with process.history.call("replay", pid, low=low, within=self.within) as call:
            async with process.journal.replay(pid, from_sequence_nr=low) as events:
                call.fields["events"] = [[event.sequence_nr, digest(event.payload)] async for event in events]

    async def highest(self, number: int, pid: str) -> None:
        process = await self.process(number)
        with process.history.call("highest", pid, within=self.within) as call:
            call.fields["highest"] = await process.journal.highest_sequence_nr(pid)

    async def delete(self, number: int, pid: str, to: int) -> None:
        process = await self.process(number)
        with process.history.call("delete", pid, to=to, within=self.within):
            await process.journal.delete_to(pid, to)

    async def bookmark(self, number: int, other: int, pid: str) -> None:
        """One process takes a bookmark, another begins there."""
        process, reader = await self.process(number), await self.process(other)
        if (mark := process.journal.bookmark(pid)) is not None and process is not reader:
            reader.journal.resume_from(pid, mark)

    async def cancelled(self, seconds: float, async_fn, *args) -> None:
        with trio.move_on_after(seconds):
            await async_fn(*args)

    async def outage(self, seconds: float) -> None:
        self.broker.stop()
        try:
            await trio.sleep(seconds)
        finally:
            self.broker.start()

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)

    # --- the whole -------------------------------------------------------------------------------------------------

    async def play(self, operations) -> None:
        """Each operation is ("name", arguments...), or ("both", one, other): at the same time."""
        for operation in operations:
            await self.do(operation)
        await self.close()
        self.trouble = 0.0
        await trio.sleep(5 * DELIVERY)  # whatever is still on its way lands
        for pid in IDS:
            await self.do(("replay", 99, pid, 1))
            await self.do(("claim", 98, pid))
            await self.do(("replay", 97, pid, 1))
        await self.close()

    async def do(self, operation) -> None:
        name, *arguments = operation
        if name == "both":
            async with trio.open_nursery() as nursery:
                for each in arguments:
                    nursery.start_soon(self.do, each)
            return
        if name == "cancelled":
            seconds, inner = arguments
            with trio.move_on_after(seconds):
                await self.do(inner)
            return
        try:
            await getattr(self, name)(*arguments)
        except StoredDataError:
            raise
        except PersistenceError:
            pass  # the history says so

    def verdict(self):
        checker = Checker()
        for line in self.lines:
            checker.take(line)
        return checker.verdict


async def history_of(operations, seed: int, *, trouble: float):
    """Play one history; its verdict and its lines."""
    with trio.fail_after(5_000):  # of the clock that jumps: a call that waits forever is a failure, not a hang
        return await _history_of(operations, seed, trouble)


async def _history_of(operations, seed: int, trouble: float):
    async with open_sim_broker() as broker, trio.open_nursery() as nursery:
        player = Player(broker, nursery, seed, trouble=trouble)
        await player.play(operations)
    return player.verdict(), player.lines, broker
