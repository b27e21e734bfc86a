"""One shard in this process: from its assignment until it is given up.

Theory of operation. A worker claims its log, which fences whoever had it; what the log then says is the position at which the
commands go on. It executes batches as long as the shard belongs here. When anything goes wrong that is not about one command, it
ends, and the member starts the next one: the next claim decides what became of everything before.

What a batch without a certain outcome would have answered is kept: if the log was not claimed since, or the next claim is this
process's own, nobody else was there in between. The commands below the position were then executed by that batch, so their
answers are right.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
import trio

from .._live.registry import Registry
from .._shared.commands import CommandLog
from ..driver import Log
from ..errors import PersistenceError
from .batches import Received, next_batch
from .executing import Executor
from .records import Answer

_log = logging.getLogger("kafka_persist.shards")

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds before a claim that failed is tried again; doubled each time."""


class Phase(enum.Enum):
    """Where a shard is."""

    CLAIMING = "claiming"
    """Its log is being claimed, and its index brought up to date."""
    HERE = "here"
    """It takes commands."""
    LEAVING = "leaving"
    """It takes no more."""


@attrs.define
class Undecided:
    """What a batch without a certain outcome would have answered.

    Attributes:
        epoch: of the claim under which it was executed.
        answers: of its commands.
    """

    epoch: int
    answers: Sequence[tuple[Received, Answer]]


@attrs.define(eq=False)
class Counters:
    """What the shards of this process have done.

    Attributes:
        executed: commands that took effect, or were refused.
        batches: how many writes that took.
        claims: times that a shard came here, or was claimed again.
        failures: batches that were given up.
    """

    executed: int = 0
    batches: int = 0
    claims: int = 0
    failures: int = 0
    last_failure: str = ""


@attrs.define(eq=False)
class Parts:
    """What the workers of a member share.

    Attributes:
        registry: the entities.
        answer: sends the answer to a command.
        address: where this process takes requests.
        batch: commands in one batch at most.
        make_executor: of a log.
        holds: whether an id belongs to a partition.
        counters: what was done.
    """

    registry: Registry
    answer: Callable[[Received, Answer], None]
    address: str
    batch: int
    make_executor: Callable[[CommandLog], Executor]
    holds: Callable[[int], Callable[[str], bool]]
    counters: Counters = attrs.field(factory=Counters)


class Worker:
    """One shard under one assignment.

    Args:
        partition: the command topic's.
        log: the journal's.
        number: of the assignment.
        parts: shared with the other workers.
        undecided: what the worker before it left.
    """

    def __init__(self, partition: Log, log: CommandLog, number: int, parts: Parts, undecided: Undecided | None) -> None:
        self.partition = partition
        self.number = number
        self.phase = Phase.CLAIMING
        self.begin = -1
        """The offset from which on it wants its commands, once it has claimed its log."""
        self.epoch = -1
        self.waiting: deque[tuple[Any, Received]] = deque()
        self.finished: list[Any] = []
        """Records that are done, for the group."""
        self.undecided = undecided
        self.done = trio.Event()
        self.log = log
        self._parts = parts
        self._executor = parts.make_executor(log)
        self._more = trio.Event()
        self._leave = trio.Event()

    def __repr__(self) -> str:
        return f"<Worker {self.partition} {self.phase.value}, {len(self.waiting)} commands wait>"

    @property
    def here(self) -> bool:
        """Whether it takes commands, under its own claim."""
        return self.phase is Phase.HERE and self.valid

    @property
    def valid(self) -> bool:
        """Whether its claim is the last one that this process knows of."""
        return self.log.epoch == self.epoch and self.log.owned

    def put(self, raw: Any, received: Received) -> None:
        """Take a command that has come."""
        self.waiting.append((raw, received))
        self._more.set()

    def leave(self) -> None:
        """Take no more; what is in flight is finished."""
        self.phase = Phase.LEAVING
        self._leave.set()
        self._more.set()

    async def run(self, claimed: Callable[[], None], ended: Callable[[Worker], None]) -> None:
        """Claim, execute, until told to leave or something fails.

        Args:
            claimed: called when `begin` is known.
            ended: called at the end.
        """
        try:
            if await self._claim():
                claimed()
                await self._work()
        finally:
            self.phase = Phase.LEAVING
            self._parts.registry.retire(self._parts.holds(self.partition.partition))
            self.done.set()
            ended(self)

    async def _claim(self) -> bool:
        """Claim the log; False if it was told to leave before it could."""
        failures = 0
        while not self._leave.is_set():
            try:
                self.epoch = await self.log.claim(self._parts.address)
                break
            except PersistenceError as error:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**failures)
                _log.log(
                    logging.DEBUG if failures else logging.WARNING,
                    "the shard of %s cannot be claimed, and is tried again: %s",
                    self.partition,
                    error,
                    extra={"event": "shard.claim-failed"},
                )
                failures += 1
                with trio.move_on_after(pause):
                    await self._leave.wait()
        else:
            return False
        self._parts.counters.claims += 1
        self._parts.registry.retire(self._parts.holds(self.partition.partition))
        self.begin = self.log.position
        self._answer_undecided()
        self.phase = Phase.HERE if not self._leave.is_set() else Phase.LEAVING
        text = "the shard of %s is here, and goes on at command %d"
        _log.info(text, self.partition, self.begin, extra={"event": "shard.here"})
        return True

    def _answer_undecided(self) -> None:
        undecided, self.undecided = self.undecided, None
        if undecided is not None and undecided.epoch in (self.epoch, self.epoch - 1):
            for received, answer in undecided.answers:
                if received.offset < self.begin:
                    self._parts.answer(received, answer)

    async def _work(self) -> None:
        while self.phase is Phase.HERE:
            while not self.waiting and self.phase is Phase.HERE:
                self._more = trio.Event()
                await self._more.wait()
            if self.phase is not Phase.HERE:
                return
            if not self.valid:
                self._note_failure(None)
                return
            if not await self._execute_some():
                return

    async def _execute_some(self) -> bool:
        """Execute the next batch; False if it was not completed."""
        await trio.lowlevel.checkpoint()
        records = deque(received for _, received in self.waiting)
        batch = next_batch(records, self.log.position, self._parts.batch)
        raws = [self.waiting.popleft()[0] for _ in range(len(self.waiting) - len(records))]
        if not batch:
            self.finished += raws[-1:]
            return True
        epoch = self.epoch
        executed = await self._executor.run(batch)
        counters = self._parts.counters
        counters.batches += 1
        counters.executed += len(executed.done)
        for received, answer in executed.done:
            self._parts.answer(received, answer)
        if executed.failure is None:
            self.finished += raws[-1:]
            return True
        if executed.undecided:
            self.undecided = Undecided(epoch, executed.undecided)
        self._note_failure(executed.failure)
        return False

    def _note_failure(self, failure: PersistenceError | None) -> None:
        counters = self._parts.counters
        counters.failures += 1
        counters.last_failure = str(failure or "another process has claimed the log")
        text = "the shard of %s is claimed again: %s"
        _log.info(text, self.partition, counters.last_failure, extra={"event": "shard.claimed-again"})
