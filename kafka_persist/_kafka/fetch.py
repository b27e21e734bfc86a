"""One stretch of a log while it is being read: what each message means for it. No client is called here.

An offset that is not in the log gives the same error below its start and above its end. Which of the two it was, the next
fetch from the beginning tells by its watermarks (`locate`). So "no answer" and "nothing there" are never the same thing.

A log that ends below what the caller has seen may be shown by a deposed leader that has not noticed yet. So such an end is
not believed at once: the leader is asked for again, for `SHORT_LOG_PATIENCE` seconds.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs
import trio
from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message

from ..driver import SHORT_LOG_PATIENCE, Log, LogRange, OffsetGone, Record
from ..errors import CorruptRecord, PersistenceError
from .errors import MISSING, OUT_OF_RANGE, UNREACHABLE, broker_error, describe

BAD_RECORD_ATTEMPTS: Final = 3

RECORD_BYTES: Final = 100
"""What a record counts for beside its value."""

_TAIL_BASE: Final = -2000
"""librdkafka's ``RD_KAFKA_OFFSET_TAIL_BASE``; less n it is the place n records before the end."""


Watermarks: TypeAlias = Callable[[], LogRange]


class Step(enum.Enum):
    """What the client has to do after a message."""

    GO_ON = "go on"
    DONE = "done"
    ASSIGN = "assign again"
    ASSIGN_LATER = "assign again after a pause"


@attrs.define(eq=False)
class Fetch:
    """A stretch of a log while it is being read.

    Attributes:
        log: which.
        start: the wanted offset; None for the beginning; negative counts from the end as it is now.
        stop: read below this offset; None for the end as it is now.
        room: bytes after which it is enough for now.
        exact: the log must hold `start`, or end there; otherwise that is a failure.
        patience: seconds for which a log that seems to end too early is asked for again.
        next_offset: where to read on; None before anything is known.
        records: what came.
        bounds: of the log, when the first answer came.
        failure: why there is no going on.
        missing: the broker says that there is no such topic.
        progress: counts what came.
        reason: the last passing trouble.
        probing: assigned at an offset of no meaning, to learn the leader.
        assigned: librdkafka fetches it.
        assign_at: when to assign again, on the monotonic clock; None while it is assigned.
        done: nothing more will come.
    """

    log: Log
    start: int | None
    stop: int | None
    room: int
    exact: bool = False
    patience: float = SHORT_LOG_PATIENCE
    next_offset: int | None = None
    records: list[Record] = attrs.field(factory=list)
    bounds: LogRange | None = None
    failure: PersistenceError | None = None
    missing: bool = False
    progress: int = 0
    reason: str = ""
    probing: bool = False
    assigned: bool = False
    assign_at: float | None = None
    done: bool = False
    _doubt_until: float | None = None
    _locating: bool = False
    _bad: int = 0
    _task: trio.lowlevel.Task | None = None

    def __attrs_post_init__(self) -> None:
        if self.start is not None and self.start >= 0:
            self.next_offset = self.start

    @property
    def place(self) -> int:
        """Where librdkafka is to begin; it finds the log's beginning and places near its end by itself."""
        if self._locating or (self.next_offset is None and self.start is None):
            return OFFSET_BEGINNING
        if self.next_offset is not None:
            return self.next_offset
        assert self.start is not None
        return _TAIL_BASE + self.start

    @property
    def doubting(self) -> bool:
        """The log seems to end too early, and is asked for again."""
        return self._doubt_until is not None

    # --- what came -----------------------------------------------------------------------------------------------

    def take(self, message: Message, watermarks: Watermarks) -> Step:
        """Take a record into account; called once per record of every recovery.

        Args:
            message: the record.
            watermarks: gives the log's bounds as the last answer of the broker told them.
        """
        offset = message.offset()
        assert offset is not None
        if self.bounds is None or self._locating:
            step = self._locate(offset, watermarks())
            if step is not Step.GO_ON:
                return step
        stop, next_offset = self.stop, self.next_offset
        assert stop is not None
        assert next_offset is not None
        if offset >= stop:
            self.next_offset = max(next_offset, stop)
            return Step.DONE
        if offset >= next_offset:
            value = message.value()
            self.records.append(Record(offset, message.key(), value))
            self.room -= RECORD_BYTES if value is None else RECORD_BYTES + len(value)
            self.next_offset = offset + 1
            self.progress += 1
            self._bad = 0
            self._doubt_until = None
            if offset + 1 == stop or self.room <= 0:
                return Step.DONE
        return Step.GO_ON

    def at_end(self, offset: int, watermarks: Watermarks) -> Step:
        """Note the end of the log: offsets below it that brought no record hold none (they are markers)."""
        if self.bounds is None or self._locating:
            step = self._locate(offset, attrs.evolve(watermarks(), end=offset))
            if step is not Step.GO_ON:
                return step
        assert self.stop is not None
        assert self.next_offset is not None
        if offset >= self.stop:
            self.next_offset = max(self.next_offset, self.stop)
            return Step.DONE
        self.next_offset = max(self.next_offset, offset)
        return self._doubt(offset)

    def _locate(self, offset: int, found: LogRange) -> Step:
        """The first answer: where the log begins and ends, and whether the wanted offset is in it."""
        first, end = min(found.start, offset), max(found.end, offset)
        wanted = self.next_offset
        if wanted is None:  # from the beginning, or from near the end
            self.next_offset = first if self.start is None else offset
        elif self._locating:
            self._locating = False
            if wanted < first:
                return self._cut(first, end)
            if wanted > end:
                self.bounds, self.stop = None, wanted if self.stop is None else self.stop
                return self._doubt(end, LogRange(first, end))
            return Step.ASSIGN  # it is in the log after all
        else:
            first = min(first, wanted)
        self.bounds = LogRange(first, end)
        if self.stop is None:
            self.stop = end
        return Step.GO_ON

    def _cut(self, first: int, end: int) -> Step:
        """The log begins behind the wanted offset; what comes now is its beginning."""
        if self.exact or self.records:
            self.failure = OffsetGone(
                f"{self.log} was cut at offset {first} while it was read: offset {self.next_offset} is gone"
            )
            return Step.DONE
        self.bounds, self.next_offset = LogRange(first, end), first
        if self.stop is None:
            self.stop = end
        return Step.GO_ON

    def _doubt(self, end: int, found: LogRange | None = None) -> Step:
        """The log ends too early: ask again for a while, perhaps another leader answers; then it is so."""
        now = time.monotonic()
        self.reason = f"it ends at offset {end}, before what is to be read"
        if self._doubt_until is None:
            self._doubt_until = now + self.patience
        if now < self._doubt_until:
            return Step.ASSIGN_LATER
        if found is not None and self.exact:
            self.failure = OffsetGone(f"reading {self.log} from offset {self.next_offset}: it ends at offset {end}")
        start = self.bounds.start if self.bounds is not None else end
        self.bounds = LogRange(start, end) if found is None else found
        return Step.DONE

    def fail(self, error: KafkaError) -> Step:
        """Take an error in place of a message into account."""
        code = error.code()
        self.reason = describe(error)
        if code in OUT_OF_RANGE:
            if self.probing:
                self.probing = False
                return Step.ASSIGN  # the leader has answered, so it is known now
            if self.place == OFFSET_BEGINNING:
                return Step.ASSIGN_LATER  # librdkafka could not find the beginning: no answer, not an empty log
            if self.next_offset is None:
                self.start = None  # fewer records than were wanted from the end: all of them
            else:
                self._locating = True
            return Step.ASSIGN
        if code == KafkaError._BAD_MSG:
            self._bad += 1
            if self._bad < BAD_RECORD_ATTEMPTS:
                return Step.GO_ON
            self.failure = CorruptRecord(
                f"{self.log}@{self.next_offset}: the broker's copy fails its checksum ({error.str()}). Other ids go on; "
                "restore the partition from a healthy replica"
            )
            return Step.DONE
        if code in MISSING:
            self.missing = True
            return Step.DONE
        if code in UNREACHABLE:
            return Step.GO_ON  # the client asks again by itself
        self.failure = broker_error(error, f"reading {self.log} from offset {self.next_offset}")
        return Step.DONE

    # --- the task that waits ---------------------------------------------------------------------------------------

    def finish(self) -> None:
        """It is done: wake the task that waits for it."""
        self.done = True
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def wait_done(self, seconds: float) -> None:
        """Wait until it is done, at most `seconds`."""
        with trio.move_on_after(seconds):
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._withdraw)

    def _withdraw(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
