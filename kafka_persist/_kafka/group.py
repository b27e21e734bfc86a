"""A consumer of user-defined topics: a member of a group, or with positions of its own.

Theory of operation
===================

The client is polled on Trio's thread, when librdkafka's descriptor says that there is something (`wakeup`), and all the
time: also while the program is slow. Partitions are then paused, so the group knows that the member lives, and memory
stays bounded.

Callbacks (rebalances, answers to commits) run inside that poll. They only note what happened and answer the group with what
is known, which takes no time. They ask the client nothing that waits, and let no exception out: it is kept, and `read`
raises it. Three things follow:

* *Where a new partition begins* is looked up outside, by `place`, with another client (`lookups`). The group gets an empty
  assignment at once; the partitions are added when their positions are known. No answer is never "no position".
* *Positions are committed asynchronously.* They count as committed when the answer says so. When partitions are taken away,
  the finished positions are handed to the client before the partitions are given up: both go to the coordinator over one
  connection, in this order, before the group assigns the partitions to somebody else. If the commit fails all the same, the
  next owner repeats events: at least once is the promise. A commit that comes too late is refused for its generation.
* *Leaving* waits for the answer to the last commit, within a deadline, and then closes the client in a thread.

Positions are committed for what the program has *finished*, never for what was fetched. What is fetched and not finished
when a partition goes belongs to nobody here: each record carries the number of its assignment, and records of an older one
are neither handed out nor committed.

librdkafka is told to fail where a position is no longer in the log (``auto.offset.reset=error``): events that retention
removed before they were read must not silently go missing. Where a group begins is decided here, in `_begin`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import trio
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from ..driver import Log
from ..errors import PersistenceError
from .assignment import Assignment, as_partitions
from .closing import close_client
from .errors import UNREACHABLE, broker_error, describe, error_in, translated
from .leaving import leave_group
from .positions import Positions
from .topic_lookups import TopicLookups
from .wakeup import TICK_SECONDS, Waiting, wait_on

Find: TypeAlias = Callable[[Sequence[Log]], Awaitable[Mapping[Log, int | None]]]
"""Says where partitions begin; None stands for the configured end of the log."""

_log = logging.getLogger("kafka_persist.consuming")

COMMIT_SECONDS: Final = 5.0
CLOSING_SECONDS: Final = 6.0
"""How long leaving waits for the answer to the last commit, and for the client's end: to a coordinator that answers nothing it
says goodbye for five seconds."""

HURRIED_COMMIT_SECONDS: Final = 0.4
HURRIED_CLOSING_SECONDS: Final = 0.5
"""The same after a cancellation; a broker that answers has done so by then."""

PAUSE_SECONDS: Final = 0.2
"""Between two attempts to look positions up, or to commit the last ones."""

PAUSED_SECONDS: Final = 0.02
"""How soon it is seen that the program has room again: nothing comes then that would wake anybody."""

BATCH: Final = 100
"""Records that are taken at once: other tasks run in between."""


class RawEvent(NamedTuple):
    """A record of a user-defined topic, and the assignment that it came with."""

    log: Log
    offset: int
    key: bytes | None
    value: bytes | None
    assignment: int


class EventReader(TopicLookups):
    """One consumer; see the module. Made in a worker thread, and closed in one."""

    def __init__(self, config: Mapping[str, Any], *, start: Literal["earliest", "latest"]) -> None:
        super().__init__(config)
        self._consumer = Consumer({**config, "enable.partition.eof": True, "on_commit": self._answered})
        self._waiting: Waiting | None = None
        self._start = OFFSET_BEGINNING if start == "earliest" else OFFSET_END
        self._assignment = Assignment()
        self._unplaced, self._in_vain = trio.Event(), False
        self._progress = Positions(lambda offsets: self._consumer.commit(offsets=list(offsets)))
        self._failure: Exception | None = None
        self._group = self._joined = self._closing = False

    # --- what is read --------------------------------------------------------------------------------------------

    def owns(self, event: RawEvent) -> bool:
        """Whether the record's partition has stayed here since it was fetched."""
        return self._assignment.number_of(event.log) == event.assignment

    def finish(self, event: RawEvent) -> None:
        """The program is done with this record and with all before it in its partition."""
        if self.owns(event):
            self._progress.finish(event.log, event.offset)

    @property
    def assigned(self) -> Mapping[Log, int]:
        """What belongs here now, read already or not, and the numbers of the assignments."""
        return self._assignment.owned

    @property
    def partitions(self) -> Sequence[Log]:
        """What is read here now."""
        return self._assignment.placed

    @property
    def ends_reached(self) -> Mapping[Log, int]:
        """Ends of partitions that were reached: no record below them is still to come. Read it between two `read`."""
        return self._progress.ends

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group; `place` must run, and `read` be called all the time."""
        self._group = True
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def assign(self, positions: Mapping[Log, int]) -> None:
        """Read these partitions from these offsets on, in no group."""
        self._take(positions)
        self._assignment.place(positions, named=positions)
        self._consumer.assign([TopicPartition(log.topic, log.partition, at) for log, at in positions.items()])

    # --- reading -------------------------------------------------------------------------------------------------

    async def read(self, *, wanted: bool) -> list[RawEvent]:
        """Take what has come; wait shortly for the first record. Without `wanted` only the group is served.

        Raises:
            PersistenceError: an error that waiting does not heal.
            Exception: what went wrong in a callback.

        Cancellation: no record is lost.
        """
        self._pause(paused=not wanted)
        messages = await self._poll(TICK_SECONDS if wanted else PAUSED_SECONDS)
        if self._failure is not None:
            raise self._failure
        if self._group:
            self._progress.commit_sometimes()
        return [event for message in messages if (event := self._event(message)) is not None]

    async def _poll(self, seconds: float = TICK_SECONDS) -> list[Message]:
        """Take what has come, and let callbacks run; what they left to be done elsewhere is started here."""
        if self._waiting is None:
            self._waiting = wait_on(self._consumer, "consumer")
        with translated("reading user-defined topics"):
            messages = await self._waiting.poll(self._consume, seconds)
        if self._assignment.unplaced:
            self._unplaced.set()
        return messages

    @trio.lowlevel.enable_ki_protection
    def _consume(self, seconds: float) -> list[Message]:
        """Protected, because what the client hands over in here would get lost by an exception."""
        return self._consumer.consume(BATCH, seconds)

    def _event(self, message: Message) -> RawEvent | None:
        log = Log(message.topic() or "", -1 if message.partition() is None else message.partition())  # type: ignore[arg-type]
        error, offset = message.error(), message.offset()
        if error is not None:
            self._note_error(log, error, offset)
            return None
        assert offset is not None
        self._assignment.touched(log)
        self._progress.fetched(log, offset)
        return RawEvent(log, offset, message.key(), message.value(), self._assignment.number_of(log))

    def _note_error(self, log: Log, error: KafkaError, offset: int | None) -> None:
        """A message without a record.

        Raises:
            PersistenceError: waiting does not heal it.
        """
        if error.code() == KafkaError._PARTITION_EOF:
            assert offset is not None
            self._progress.end_reached(log, offset)
        elif error.code() == KafkaError._MAX_POLL_EXCEEDED:  # the member joins again by itself
            _log.warning(
                "the event loop stood still too long, the group took the partitions: %s",
                describe(error),
                extra={"event": "consumer.stood-still"},
            )
        elif error.code() in UNREACHABLE or error.retriable():
            _log.debug("reading %s: %s", log, describe(error))
        elif error.code() == KafkaError._AUTO_OFFSET_RESET and self._assignment.is_untouched(log):
            self._place_again(log, error)
        else:
            raise broker_error(error, f"reading {log}")

    def _place_again(self, log: Log, error: KafkaError) -> None:
        """A broker that had just started could not say where the log begins or ends. Nothing is gone: nothing was read yet."""
        _log.debug("asked again where %s begins or ends: %s", log, describe(error))
        self._assignment.displace(log)
        self._in_vain = True
        with translated(f"reading {log}"):
            self._consumer.incremental_unassign(as_partitions([log]))

    def _pause(self, *, paused: bool) -> None:
        """Stop fetching, also from partitions that came later, or go on."""
        if paused:
            if change := self._assignment.to_pause():
                self._consumer.pause(as_partitions(change))
        elif change := self._assignment.to_resume():
            self._consumer.resume(as_partitions(change))

    # --- partitions come and go ----------------------------------------------------------------------------------

    def _take(self, logs: Iterable[Log]) -> None:
        self._assignment.take(logs := list(logs))
        for log in logs:
            self._progress.begin(log)

    def _give(self, given: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Forget the partitions; return those that the client reads."""
        logs = [Log(each.topic, each.partition) for each in given]
        for log in logs:
            self._progress.begin(log)
        return as_partitions(self._assignment.give(logs))

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Keep a callback's exception for `read`: it must not get into the client's code."""
        try:
            yield
        except KafkaException as exception:
            self._fail(broker_error(error_in(exception), "taking part in the group"))
        except Exception as error:  # noqa: BLE001 - whatever it is, `read` raises it
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Tell the group yes; `place` finds out where to begin, and lets the client read then."""
        with self._kept():
            self._joined = True
            self._take([Log(each.topic, each.partition) for each in partitions])
            consumer.incremental_assign([])

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._kept():
            if not self._closing:  # then nobody is left who could have finished anything since the last commit
                self._progress.commit()
            consumer.incremental_unassign(self._give(partitions))

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        with self._kept():
            consumer.incremental_unassign(self._give(partitions))

    def read_again(self, logs: Iterable[Log]) -> None:
        """Stop reading those that belong here, and ask anew where they begin.

        Raises:
            BrokerError: the client refused.
        """
        mine = [log for log in logs if self._assignment.number_of(log) >= 0]
        placed = self._assignment.give(mine)
        if placed:
            with translated("reading user-defined topics"):
                self._consumer.incremental_unassign(as_partitions(placed))
        self._take(mine)  # by a new number: what was fetched before counts no more
        self._in_vain = True
        self._unplaced.set()

    async def place(self, find: Find | None = None) -> None:
        """Find out where newly assigned partitions begin, and let the client read them; a task beside the one that reads.

        What cannot be looked up now is asked again; what never can is raised by `read`.

        Args:
            find: who says where they begin; by default the group's committed positions.
        """
        find = find or self._find_committed
        failures = 0
        while True:
            await self._unplaced.wait()
            self._unplaced = trio.Event()
            if self._in_vain:
                self._in_vain = False
                await trio.sleep(PAUSE_SECONDS)
            wanted = self._assignment.unplaced
            if not wanted:
                continue
            try:
                positions = await find(list(wanted))
                self._begin(
                    {log: at for log, at in positions.items() if self._assignment.number_of(log) == wanted[log]}
                )
            except PersistenceError as error:
                if not error.retriable:
                    self._fail(error)
                    return
                _log.log(
                    logging.DEBUG if failures else logging.WARNING,
                    "asked again: %s",
                    error,
                    extra={"event": "consumer.position-unknown"},
                )
                failures += 1
                await trio.sleep(PAUSE_SECONDS)
                self._unplaced.set()
            else:
                failures = 0

    async def _find_committed(self, logs: Sequence[Log]) -> Mapping[Log, int | None]:
        return await self.look_up(partial(self.committed, logs))

    def _begin(self, positions: Mapping[Log, int | None]) -> None:
        """Begin at the committed positions; where there is none, at the configured end.

        Raises:
            BrokerError: the client refused.
        """
        begin = [
            TopicPartition(log.topic, log.partition, self._start if position is None else position)
            for log, position in positions.items()
        ]
        if not begin:
            return
        with translated("beginning to read user-defined topics"):
            self._consumer.incremental_assign(begin)
            self._consumer.resume(begin)  # a pause may have outlasted an earlier assignment
        named = [log for log, position in positions.items() if position is not None]
        self._assignment.place(positions, named=named)

    def _answered(self, error: KafkaError | None, partitions: Iterable[TopicPartition]) -> None:
        with self._kept():
            self._progress.answered(error, partitions)

    # --- leaving -------------------------------------------------------------------------------------------------

    async def leave(self) -> None:
        """Commit what is finished, leave the group, end the clients.

        Cancellation: it is bounded, and after a cancellation takes about a second at most.
        """
        begun, hurried = self._left(), True
        try:
            with trio.move_on_after(COMMIT_SECONDS):
                await self._settle()
            hurried = False
        finally:
            if hurried:
                with trio.move_on_after(HURRIED_COMMIT_SECONDS, shield=True):
                    await self._settle()
            if left := self._left():
                _log.warning(
                    "left with %d positions uncommitted: the next reader repeats events",
                    left,
                    extra={"event": "consumer.uncommitted"},
                )
            if self._waiting is not None:
                self._waiting.close()
            answers = not left and (begun or not hurried)  # one that has just been silent will not say goodbye either
            seconds = CLOSING_SECONDS if answers else HURRIED_CLOSING_SECONDS
            await close_client(self.close, "a consumer of events", seconds=seconds)  # noqa: ASYNC102 - shields itself

    def _left(self) -> int:
        """How many positions are not committed yet."""
        return len(self._progress.uncommitted()) if self._group else 0

    async def _settle(self) -> None:
        """Wait until everything finished is committed; what comes meanwhile is nobody's."""
        await trio.lowlevel.checkpoint()
        progress = self._progress
        while self._group and progress.uncommitted() and self._failure is None:
            if begun := progress.answered_all:
                progress.commit()
            try:
                await self._poll()
            except PersistenceError as error:
                self._fail(error)
            if begun and progress.answered_all and progress.uncommitted():
                await trio.sleep(PAUSE_SECONDS)  # it was refused; a rebalance may be under way

    def close(self) -> None:
        """End the clients; blocks. The group gets the partitions back."""
        self._closing = True
        self._lookups.close()
        if self._group and self._failure is None:
            leave_group(self._consumer, joined=lambda: self._joined)
        self._consumer.close()
