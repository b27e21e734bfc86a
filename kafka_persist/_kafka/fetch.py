"""One stretch of a log while it is being read: what each message means for it. No client is called here.

Where a log ends
================

The end event of a partition is not the end of the log: it is the leader's high watermark, and that of a leader that was just
elected lags behind what its predecessor acknowledged, for as long as a replica of it is missing. A reader who took it for
the end would miss acknowledged records. ``ListOffsets`` does not answer before the watermark has caught up (KIP-207). So an
end is believed only if that request says so, and librdkafka makes it when a partition is assigned at ``OFFSET_END``: the
first message then stands at the end, and the watermarks that came with it say where the log begins.

* Without a `stop`, that comes first: it fixes `stop` and the bounds, and a log without anything new is done.
* With a `stop`, reading begins at once; only an end before `stop`, or an offset that is not in the log, leads there.

A log that ends before what the caller has seen may be shown by a deposed leader that has not noticed yet. So such an end is
not believed at once: it is asked for again, for `SHORT_LOG_PATIENCE` seconds.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import attrs
import trio
from confluent_kafka import OFFSET_END, KafkaError, Message

from .._waiter import Waiter
from ..driver import SHORT_LOG_PATIENCE, Log, LogRange, OffsetGone, Record
from ..errors import CorruptRecord, PersistenceError
from .errors import MISSING, OUT_OF_RANGE, UNREACHABLE, broker_error, describe

BAD_RECORD_ATTEMPTS: Final = 3

HOLES: Final = 2
"""How often one reading looks a second time where offsets hold no record."""

RECORD_BYTES: Final = 100
"""What a record counts for beside its value."""

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
    _asking_for_end: bool = False
    _hole: int = -1
    _holes_left: int = HOLES
    _bad: int = 0
    _waiter: Waiter = attrs.field(factory=Waiter)

    def __attrs_post_init__(self) -> None:
        if self.start is not None and self.start >= 0:
            self.next_offset = self.start
        self._asking_for_end = self.stop is None or self.next_offset is None

    @property
    def place(self) -> int:
        """Where librdkafka is to begin."""
        if self._asking_for_end:
            return OFFSET_END
        assert self.next_offset is not None
        return self.next_offset

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
        if self._asking_for_end:
            return self._found_end(offset, watermarks().start)
        stop, next_offset = self.stop, self.next_offset
        assert stop is not None
        assert next_offset is not None
        if self.bounds is None:
            found = watermarks()
            self.bounds = LogRange(min(found.start, next_offset), max(found.end, offset + 1))
        if offset > next_offset and self._is_new_hole(next_offset):
            return Step.ASSIGN
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

    def take_run(self, messages: Sequence[Message], place: int) -> int:
        """Take records while each stands where the one before ends: what `take` does with them, in one loop.

        Returns:
            The place of the first message that needs `take`, `at_end` or `fail`, or belongs to another log.
        """
        next_offset, stop = self.next_offset, self.stop
        if self._asking_for_end or self.bounds is None or next_offset is None or stop is None:
            return place
        (topic, partition), append, room, begin = (
            (self.log.topic, self.log.partition),
            self.records.append,
            self.room,
            place,
        )
        last = stop - 1
        while place < len(messages):
            message = messages[place]
            if (
                message.offset() != next_offset
                or next_offset >= last
                or room <= 0
                or message.error() is not None
                or message.topic() != topic
                or message.partition() != partition
            ):
                break
            value = message.value()
            append(Record(next_offset, message.key(), value))
            room -= RECORD_BYTES if value is None else RECORD_BYTES + len(value)
            next_offset += 1
            place += 1
        if place > begin:
            self.next_offset, self.room = next_offset, room
            self.progress += place - begin
            self._bad, self._doubt_until = 0, None
        return place

    def at_end(self, offset: int, watermarks: Watermarks) -> Step:
        """Take the end event into account: offsets below it that brought no record hold none (they are markers)."""
        if self._asking_for_end:
            return self._found_end(offset, watermarks().start)
        assert self.stop is not None
        assert self.next_offset is not None
        if self.bounds is None:
            self.bounds = LogRange(min(watermarks().start, self.next_offset), offset)
        if offset > self.next_offset and self._is_new_hole(self.next_offset):
            return Step.ASSIGN
        if offset >= self.stop:
            self.next_offset = max(self.next_offset, self.stop)
            return Step.DONE
        self.next_offset = max(self.next_offset, offset)
        self._asking_for_end = True
        return Step.ASSIGN

    def _is_new_hole(self, offset: int) -> bool:
        """Whether to read once more from an offset that brought no record.

        Markers and compaction leave holes that stay; but what a client skipped while its broker went away (seen once in a
        rolling restart) is there the next time. A few times in one reading: a compacted log has many.
        """
        if self._holes_left == 0 or offset == self._hole:
            return False
        self._holes_left -= 1
        self._hole = offset
        return True

    def _found_end(self, end: int, begin: int) -> Step:
        """The log certainly reaches from `begin` to `end`; go on where reading has to."""
        self._asking_for_end = False
        begin = min(begin, end)
        if self.next_offset is None:
            self.next_offset = begin if self.start is None else max(begin, end + self.start)
        if self.next_offset < begin:
            if self.exact or self.records:
                self.failure = OffsetGone(
                    f"{self.log} was cut at offset {begin} while it was read: offset {self.next_offset} is gone"
                )
                return Step.DONE
            self.next_offset, self.bounds = begin, None
        if self.bounds is None:
            self.bounds = LogRange(begin, end)
        if self.next_offset > end or (self.stop is not None and self.next_offset == end < self.stop):
            return self._doubt(begin, end)
        if self.stop is None:
            self.stop = end
        return Step.DONE if self.next_offset >= self.stop else Step.ASSIGN

    def _doubt(self, begin: int, end: int) -> Step:
        """The log ends too early: ask again for a while, perhaps another leader answers; then it is so."""
        now = time.monotonic()
        self.reason = f"it ends at offset {end}, before what is to be read"
        if self._doubt_until is None:
            self._doubt_until = now + self.patience
        if now < self._doubt_until:
            self._asking_for_end = True
            return Step.ASSIGN_LATER
        assert self.next_offset is not None
        if self.next_offset > end and self.exact:
            self.failure = OffsetGone(f"reading {self.log} from offset {self.next_offset}: it ends at offset {end}")
        self.bounds = LogRange(begin, end)
        return Step.DONE

    def fail(self, error: KafkaError) -> Step:
        """Take an error instead of a message into account."""
        code = error.code()
        self.reason = describe(error)
        if code in OUT_OF_RANGE:
            if self.probing:
                self.probing = False
                return Step.ASSIGN  # the leader has answered, so it is known now
            if self._asking_for_end:
                return Step.ASSIGN_LATER  # the leader cannot tell its end now: no answer, not an empty log
            self._asking_for_end = True
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
        self._waiter.wake()

    async def wait_done(self, seconds: float) -> None:
        """Wait until it is done, at most `seconds`."""
        with trio.move_on_after(seconds):
            await self._waiter.wait(lambda _: trio.lowlevel.Abort.SUCCEEDED)
