"""What is stored in a shared log on its way to user-defined topics.

Publishing follows the log: its items are numbered, each record says up to which *item* everything is published, and one task for
each log hands the events over in the log's order. So the events of an id keep theirs.

What this process stores waits in memory, bounded. Everything else is read back from the log: what a dead process left, what did not
fit into memory, and after a failure all that was not confirmed. Runs that cleaning has carried are copies, and are not published again;
cleaning leaves alone what is not published yet.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import attrs
import trio

from .._core.chain import Chain
from .._core.entries import encode_entry, make_events, read_entries
from .._core.envelope import decode_envelope
from .._core.event_format import event_prefix, event_value
from .._core.follower import Follower
from .._core.items import Run, decode_items
from .._journal.batch import Item
from .._journal.reading import Counted, judged
from .._publishing.context import Flow
from .._publishing.event_topics import EventTopics
from .._publishing.retry import pause_after
from .._publishing.routing import Mapping, Topics
from ..driver import Ack, Driver, EventSink, Fate
from ..errors import PersistenceError, PublicationPending
from ..serialization import Serializer
from .ladder import Rung
from .log import SharedLog
from .waiting import SharedItem

_log = logging.getLogger("kafka_persist.publishing")

KEPT_BYTES: Final = 4 * 1024 * 1024
"""Events of one log that wait in memory; more are read back."""


@attrs.frozen(kw_only=True)
class Way:
    """How events of all logs of a journal get to their topics.

    Attributes:
        driver: the journal's.
        spawn: starts a task in the journal's nursery.
        serializer: of the payloads, for the mapper.
        mapping: where events go.
        topics: creates topics before the first event goes there.
        sink: takes them.
        flow: bounds what is on its way.
        reliable: False for "fire-and-forget": what fails is not sent again.
    """

    driver: Driver
    spawn: Callable[..., bool]
    serializer: Serializer
    mapping: Mapping
    topics: EventTopics
    sink: EventSink
    flow: Flow
    reliable: bool


class Outgoing(NamedTuple):
    """The events of one item that go somewhere.

    Attributes:
        number: the item's.
        key: of the published records: the id.
        events: topics and value of each.
    """

    number: int
    key: bytes
    events: Sequence[tuple[Topics, bytes]]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(len(value) for _, value in self.events)


@attrs.define(eq=False)
class _InFlight:
    number: int
    left: int


class Outbox:
    """One log's."""

    def __init__(self, log: SharedLog, way: Way) -> None:
        self.log = log
        self.failures = 0
        self.last_failure = ""
        self._way = way
        self._waiting: deque[Outgoing] = deque()
        self._waiting_bytes = 0
        self._known_to = 0
        self._sent_to = 0
        self._behind = True
        self._in_flight: deque[_InFlight] = deque()
        self._flying = 0
        self._failed = ""
        self._failures_in_a_row = 0
        self._running = False
        self._hurry = trio.Event()
        self._changed = trio.Event()

    def __repr__(self) -> str:
        return f"<Outbox of {self.log.log}: {self.published} published, {self._sent_to} sent, {self._known_to} stored>"

    @property
    def published(self) -> int:
        """Items up to this number are in their topics, or go to none."""
        return max(self.log.published, self.log.chain.head.published)

    @property
    def behind(self) -> bool:
        """Whether events have to be read back."""
        return self._running and self._behind

    @property
    def busy(self) -> bool:
        """Something is handed over, or will be (what was put off after a failure is not waited for)."""
        return self._flying > 0 or (self._running and not self._failures_in_a_row)

    # --- what the journal tells ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """The log was read to its end, or claimed: publish what it says is missing."""
        head = self.log.chain.head
        if head.highest > self._known_to:  # somebody else has written
            self._known_to = head.highest
            self._behind = True
        if not self._in_flight:
            self._sent_to = max(self._sent_to, self.published)
        if not self._running and (not self._way.reliable or self._sent_to >= self._known_to):
            self._behind = False
        self._start()

    def stored(self, items: Sequence[Item]) -> None:
        """These writes of this process count. Called from a delivery report: it neither waits nor raises."""
        for item in items:
            assert isinstance(item, SharedItem)
            self._known_to = max(self._known_to, item.number)
            if item.topics and not self._behind:
                prefix = event_prefix(item.persistence_id)
                pairs = zip(item.topics, item.events, strict=True)
                events = [(topics, event_value(prefix, entry)) for topics, entry in pairs if topics]
                self._keep(Outgoing(item.number, item.persistence_id.encode(), events))
        self._start()

    def _keep(self, outgoing: Outgoing) -> None:
        self._waiting.append(outgoing)
        self._waiting_bytes += outgoing.size
        if self._waiting_bytes > KEPT_BYTES:
            self._waiting.clear()
            self._waiting_bytes = 0
            self._behind = True

    # --- the task ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._running:
            return
        if not (self._behind or self._failed or self._waiting):
            self._skip_to(self._known_to)
        elif self._known_to > self._sent_to or self._failed:
            self._running = self._way.spawn(self._run)

    async def _run(self) -> None:
        try:
            while self._known_to > self._sent_to or self._failed:
                try:
                    await self._go_on()
                except PersistenceError as error:
                    self._failed = self._failed or str(error)
                if self._failed:
                    await self._start_again()
        finally:
            self._running = False
            self._way.flow.notify()

    async def _go_on(self) -> None:
        """Hand over everything that is there."""
        if not self._way.reliable:
            self._behind = False
        elif self._behind:
            await self._read_back()
        while self._waiting and not (self._behind or self._failed):
            outgoing = self._waiting[0]
            await self._make_room({topic for topics, _ in outgoing.events for topic in topics})
            if self._waiting and self._waiting[0] is outgoing and not self._failed:
                self._waiting.popleft()
                self._waiting_bytes -= outgoing.size
                self._send(outgoing)
        if not (self._behind or self._failed or self._waiting):
            self._skip_to(self._known_to)

    async def _make_room(self, topics: set[str]) -> None:
        await self._way.topics.ensure(topics)
        await self._way.flow.wait_for_room()

    async def _start_again(self) -> None:
        """Something was refused: once nothing is in flight, everything from the last confirmation on is sent again, after a pause."""
        while self._flying:
            await self._way.flow.wait_for_change()
        reason, self._failed = self._failed, ""
        self._note_failure(reason)
        pause = pause_after(self._failures_in_a_row)
        self._failures_in_a_row += 1
        self._way.flow.notify()  # closing does not wait for it any more
        self._in_flight.clear()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._sent_to, self._behind = self.published, True
        self._hurry = trio.Event()
        with trio.move_on_after(pause):
            await self._hurry.wait()

    def _note_failure(self, reason: str) -> None:
        self.failures += 1
        self.last_failure = f"{self.log.log}: {reason}"
        level = logging.DEBUG if self._failures_in_a_row else logging.WARNING
        _log.log(
            level,
            "events are stored but not published yet: %s",
            self.last_failure,
            extra={"event": "publishing.delayed"},
        )

    # --- reading back --------------------------------------------------------------------------------------------

    async def _read_back(self) -> None:
        """Send what the log has from the first unsent item on, up to its head as it is now."""
        # Before the first await: what is stored from here on waits in memory, so nothing falls between the two.
        self._behind = False
        self._waiting.clear()
        self._waiting_bytes = 0
        head = self.log.chain.head
        try:
            rung = self.log.ladder.below(self._sent_to)
            scan = await self._way.driver.scan(self.log.log, max(0, rung.offset), max(0, rung.offset) + 1)
            start = scan.range.start
            follower = Follower(self._chain_at(rung, [record.value for record in scan.records], start))
            async with self._way.driver.open_reader(self.log.log, max(follower.position, start)) as reader:
                while records := await reader.read(head.offset + 1):
                    for counted in judged(follower, self.log.log, records, start):
                        await self._send_record(counted)
                        if self._failed or self._behind:
                            return
        except BaseException:  # also a cancellation: what was not sent has to be read once more
            self._behind = True
            raise
        self._skip_to(head.highest)

    def _chain_at(self, rung: Rung, values: Sequence[bytes | None], start: int) -> Chain:
        name = self.log.chain.persistence_id
        if rung.offset < start or not values:
            return Chain(name, shared=True)
        envelope = decode_envelope(values[0], f"{self.log.log}@{rung.offset}")
        return self.log.chain_behind(rung.offset, envelope)

    async def _send_record(self, counted: Counted) -> None:
        await trio.lowlevel.checkpoint()
        if counted.last <= self._sent_to or not counted.first:
            return
        where = f"{self.log.log}@{counted.offset}"
        items = decode_items(counted.value, counted.start, counted.last - counted.first + 1, where)
        for number, item in enumerate(items, counted.first):
            if number > self._sent_to and isinstance(item, Run) and not item.carried:
                outgoing = self._outgoing(number, item, where)
                await self._make_room({topic for topics, _ in outgoing.events for topic in topics})
                if self._failed:
                    return
                self._send(outgoing)

    def _outgoing(self, number: int, run: Run, where: str) -> Outgoing:
        way, prefix = self._way, event_prefix(run.persistence_id)
        of = run.persistence_id, run.first, run.last, run.writer
        events = make_events(read_entries(run.entries, 0, where), of, way.serializer, where, run.first, run.last)
        found = [
            (topics, event_value(prefix, encode_entry(event, way.serializer.dump(event.payload))))
            for event in events
            if (topics := way.mapping.topics_of(event, self.log.log.topic))
        ]
        return Outgoing(number, run.persistence_id.encode(), found)

    # --- sending -------------------------------------------------------------------------------------------------

    def _send(self, outgoing: Outgoing) -> None:
        if not outgoing.events:
            self._skip_to(outgoing.number)
            return
        flying = _InFlight(outgoing.number, sum(len(topics) for topics, _ in outgoing.events))
        self._in_flight.append(flying)
        self._sent_to = outgoing.number
        for topics, value in outgoing.events:
            for topic in topics:
                self._flying += 1
                self._way.flow.sent(len(value))
                self._way.sink.submit(topic, outgoing.key, value, partial(self._answered, flying, topic, len(value)))

    def _answered(self, flying: _InFlight, topic: str, size: int, ack: Ack) -> None:
        self._flying -= 1
        stored = ack.fate is Fate.STORED
        if not stored and self._way.reliable:
            self._way.topics.suspect({topic})
            self._failed = self._failed or f"{topic}: {ack.reason}"
            self._start()
        else:
            if not stored:
                self._note_failure(f"{topic}: {ack.reason}")
            flying.left -= 1
            self._advance()
        self._way.flow.answered(size, confirmed=stored)

    def _skip_to(self, number: int) -> None:
        """Nothing between what was sent and this number goes anywhere."""
        if number > self._sent_to:
            self._sent_to = number
            self._advance()

    def _advance(self) -> None:
        """Let `published` follow the confirmations."""
        reached = self.log.published
        while self._in_flight and not self._in_flight[0].left:
            reached = self._in_flight.popleft().number
        if not self._in_flight:
            reached = self._sent_to
        if reached > self.log.published:
            self.log.published = reached
            self._failures_in_a_row = 0
            self._changed.set()
            self._changed = trio.Event()

    # --- waiting -------------------------------------------------------------------------------------------------

    async def wait(self, number: int, seconds: float) -> None:
        """Wait until the items up to `number` are published.

        Raises:
            PublicationPending: not within `seconds`; publishing goes on.
        """
        self._hurry.set()
        with trio.move_on_after(seconds):
            while self.published < number:
                await self._changed.wait()
        if self.published < number:
            reason = self.last_failure or "the brokers have not confirmed them"
            raise PublicationPending(
                f"events of {self.log.log} are stored, but not published to their topics after {seconds:g} s: {reason}"
            )
