"""Applies records to the store of a read model, and does what the policy says with those that fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from ..driver import Log
from ..errors import ProjectionFailed
from ..tracing import Tracing, span_of
from .decoding import EventDecoder
from .failing import ErrorPolicy, failure_of
from .projection_store import ProjectionStore
from .stream import ReceivedEvent, received

if TYPE_CHECKING:
    from .._kafka.dead_letters import SendDeadLetter
    from .._kafka.group import RawEvent

_log = logging.getLogger("kafka_persist.projection")

T = TypeVar("T")


class Applier:
    """Applies records to one store.

    Attributes:
        applied: events that changed the read model.
        skipped: records that were left out.
        moved: set when something was applied or left out; then there is another one.
    """

    def __init__(
        self,
        store: ProjectionStore,
        decoder: EventDecoder,
        policy: ErrorPolicy,
        send_dead_letter: SendDeadLetter | None,
        tracing: Tracing | None = None,
    ) -> None:
        self.applied: int = 0
        self.skipped: int = 0
        self.moved: trio.Event = trio.Event()
        self._store = store
        self._decoder = decoder
        self._policy = policy
        self._send_dead_letter = send_dead_letter
        self._tracing = tracing
        self._limiter = trio.CapacityLimiter(1)

    async def in_store(self, sync_fn: Callable[[], T]) -> T:
        """Call the store, in a thread, one call at a time, to its end: a transaction is not left in the middle."""
        return await trio.to_thread.run_sync(sync_fn, limiter=self._limiter)

    async def apply(self, records: Sequence[RawEvent], positions: dict[Log, int]) -> None:
        """Apply records in their order, and note in `positions` how far they were applied or left out.

        Raises:
            StoredDataError: a record cannot be read, and the policy is to stop.
            ProjectionFailed: an event cannot be applied, and the policy is to stop.
            PersistenceError: the store refuses for another reason.

        Cancellation: a batch is applied completely or not at all.
        """
        await trio.lowlevel.checkpoint()
        rest = records
        while rest:
            events, failure = self._decode(rest)
            if events:
                with self._span(events):
                    self.applied += await self._apply_events(events, rest)
                positions.update({Log(event.topic, event.partition): event.offset + 1 for event in events})
                self._tell_moved()
            rest = rest[len(events) :]
            if failure is not None:
                await self._give_up(rest[0], None, failure)
                positions[rest[0].log] = rest[0].offset + 1
                rest = rest[1:]

    def _span(self, events: Sequence[ReceivedEvent]) -> AbstractContextManager[None]:
        links = (event.metadata for event in events)
        return span_of(self._tracing, "apply", links, topic=events[0].topic, events=len(events))

    def _decode(self, records: Sequence[RawEvent]) -> tuple[list[ReceivedEvent], Exception | None]:
        """The events in records, up to the first one that cannot be read, and its error."""
        events: list[ReceivedEvent] = []
        for record in records:
            try:
                events.append(received(self._decoder, record))
            except Exception as error:  # noqa: BLE001 - what came before it is applied first
                return events, error
        return events, None

    async def _apply_events(self, events: Sequence[ReceivedEvent], records: Sequence[RawEvent]) -> int:
        try:
            return await self.in_store(partial(self._store.apply, events))
        except Exception as error:
            failed = failure_of(events, error)
            if failed is None:
                raise
            if self._policy.stops_at_once:
                raise failed from (error.__cause__ if failed is error else error)
        applied = 0  # one by one: all but the event at fault are applied, and that one is known
        for event, record in zip(events, records, strict=False):
            applied += await self._apply_one(event, record)
            self._tell_moved()
        return applied

    async def _apply_one(self, event: ReceivedEvent, record: RawEvent) -> int:
        failures = 0
        while True:
            try:
                return await self.in_store(partial(self._store.apply, [event]))
            except Exception as error:
                failed = failure_of([event], error)
                if failed is None:
                    raise
                if failed is not error:
                    failed.__cause__ = failed.__cause__ or error
                # Otherwise the store failed, and would fail for the next event, too.
                is_of_event = failed is error and isinstance(failed, ProjectionFailed)
            failures += 1
            if not self._policy.tries_again(failures):
                if not is_of_event:
                    raise failed
                await self._give_up(record, event, failed)
                return 0
            if failures == 1:
                _log.warning("trying again: %s", failed, extra={"event": "projection.retrying"})
            await trio.sleep(self._policy.pause(failures))

    async def _give_up(self, record: RawEvent, event: ReceivedEvent | None, error: Exception) -> None:
        """Leave a record out, or raise its error: as the policy says.

        Raises:
            Exception: `error`, if the policy is to stop.
        """
        if self._policy.then == "stop":
            raise error
        if self._send_dead_letter is not None:
            await self._send_dead_letter(record, str(error))
        topic, partition = record.log.topic, record.log.partition
        await self.in_store(partial(self._store.skip, topic, partition, record.offset, event))
        self.skipped += 1
        self._tell_moved()
        _log.warning("left out (%s): %s", self._policy.then, error, extra={"event": "projection.skipped"})

    def _tell_moved(self) -> None:
        self.moved.set()
        self.moved = trio.Event()
