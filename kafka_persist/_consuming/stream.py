"""The events of some topics, one at a time, with positions that follow what is finished.

One task polls the reader all the time and fills a bounded buffer; `receive` hands out of it. An event is *finished* when
the next one is asked for, or when the block is left without an exception; only then may its position be committed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs
import trio

from ..errors import PersistenceError, StoreClosed, StoredDataError
from ..model import Event
from .decoding import EventDecoder

if TYPE_CHECKING:
    from .._kafka.group import EventReader, RawEvent

_log = logging.getLogger("kafka_persist.consuming")

OnUndecodable: TypeAlias = Literal["stop", "skip", "dead-letter"]
"""What becomes of a value that cannot be decoded."""

BUFFERED: Final = 1_000
"""Events that wait for the program; librdkafka holds more, up to ``queued.max.messages.kbytes``."""

RESUME_BELOW: Final = BUFFERED // 2
"""A pause throws away what the client has fetched ahead, so there is not one for each event."""


@attrs.frozen(kw_only=True)
class ReceivedEvent(Event):
    """An event with its place, and what the journal stored beside it.

    Attributes:
        topic: the user-defined topic.
        partition: its partition.
        offset: the place in it.
        timestamp: when it was written, milliseconds since the Unix epoch.
        manifest: the writer's, opaque.
        tags: the writer's.
        metadata: the writer's, opaque.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    manifest: str = ""
    tags: frozenset[str] = frozenset()
    metadata: Any = None


def received(decoder: EventDecoder, raw: RawEvent) -> ReceivedEvent:
    """Decode a record.

    Raises:
        StoredDataError: its value is no event, or cannot be read.
    """
    fields, data = decoder.fields(raw.value or b"", f"{raw.log}@{raw.offset}")
    return ReceivedEvent(
        persistence_id=fields.persistence_id,
        sequence_nr=fields.sequence_nr,
        data=data,
        topic=raw.log.topic,
        partition=raw.log.partition,
        offset=raw.offset,
        timestamp=fields.timestamp,
        manifest=fields.manifest,
        tags=fields.tags,
        metadata=fields.metadata,
    )


@attrs.frozen(kw_only=True)
class StreamStatistics:
    """What an `EventStream` has done.

    Attributes:
        received: events handed out.
        undecodable: values that were left out, or sent to the dead-letter topic.
        buffered: events that wait.
        partitions: how many partitions are read here now.
    """

    received: int
    undecodable: int
    buffered: int
    partitions: int


class EventStream(trio.abc.ReceiveChannel[ReceivedEvent]):
    """Events of user-defined topics; opened by `open_events`, used with ``async for`` by one task."""

    def __init__(
        self,
        reader: EventReader,
        decoder: EventDecoder,
        *,
        policy: OnUndecodable,
        send_dead_letter: Callable[[RawEvent, str], Awaitable[None]] | None,
    ) -> None:
        self.failure: Exception | None = None
        self._reader = reader
        self._decoder = decoder
        self._policy = policy
        self._send_dead_letter = send_dead_letter
        self._buffer: deque[RawEvent] = deque()
        self._current: RawEvent | None = None
        self._arrived = trio.Event()
        self._receiving = self._closed = False
        self._received = self._undecodable = 0
        self._full = False

    def __repr__(self) -> str:
        return f"<EventStream {self.statistics()}>"

    def statistics(self) -> StreamStatistics:
        """What was done so far."""
        return StreamStatistics(
            received=self._received,
            undecodable=self._undecodable,
            buffered=len(self._buffer),
            partitions=len(self._reader.partitions),
        )

    async def receive(self) -> ReceivedEvent:
        """Return the next event, and count the one before as finished.

        Raises:
            StoredDataError: a value cannot be decoded, and the policy is "stop": asking again gives the same error.
            JournalHeadLost: events were removed from the topic (retention) before they were read.
            BrokerError: the broker did not answer, or refused.
            StoreClosed: the block was left.
            trio.BusyResourceError: another task is receiving.

        Cancellation: no event is lost.
        """
        if self._receiving:
            raise trio.BusyResourceError("another task receives from this stream; open one stream for each")
        self._receiving = True
        try:
            await trio.lowlevel.checkpoint()
            self.finish()
            while True:
                raw = await self._next()
                event = await self._decoded(raw)
                if event is not None:
                    self._current = raw
                    self._received += 1
                    return event
        finally:
            self._receiving = False

    async def _next(self) -> RawEvent:
        """The next record that still belongs here; it stays in the buffer until it is dealt with."""
        while True:
            if self._closed:
                raise StoreClosed("this stream is closed; receive inside its `async with` block")
            while self._buffer and not self._reader.owns(self._buffer[0]):
                self._buffer.popleft()
            if self._buffer:
                return self._buffer[0]
            if self.failure is not None:
                raise self.failure
            self._arrived = trio.Event()
            await self._arrived.wait()

    async def _decoded(self, raw: RawEvent) -> ReceivedEvent | None:
        """The event in a record; None if it was left out."""
        try:
            event = received(self._decoder, raw)
        except StoredDataError as error:
            if self._policy == "stop":
                raise
            await self._leave_out(raw, error)
            return None
        self._buffer.popleft()
        return event

    async def _leave_out(self, raw: RawEvent, error: StoredDataError) -> None:
        if self._send_dead_letter is not None:
            await self._send_dead_letter(raw, str(error))
        _log.warning("left out (%s): %s", self._policy, error, extra={"event": "consumer.skipped"})
        self._undecodable += 1
        if self._buffer and self._buffer[0] is raw:
            self._buffer.popleft()
        self._reader.finish(raw)

    def finish(self) -> None:
        """The program is done with the last event that it received."""
        if self._current is not None:
            self._reader.finish(self._current)
            self._current = None

    # --- the polling task ----------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection  # an interrupt in here would lose events, or the group's place
    async def run(self) -> None:
        """Poll until cancelled; a failure is raised at the receiver."""
        try:
            while True:
                self._full = len(self._buffer) >= (RESUME_BELOW if self._full else BUFFERED)
                events = await self._reader.read(wanted=not self._full)
                if events:
                    self._buffer.extend(events)
                    self._arrived.set()
        except PersistenceError as error:
            self.failure = error
        finally:
            self._arrived.set()

    async def aclose(self) -> None:
        """Close; idempotent. Leaving the block of `open_events` does it."""
        self._closed = True
        self._arrived.set()
        await trio.lowlevel.checkpoint()
