"""Sinks that tell a tracing system of each event that is published; in use only where a program traces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from .._core.event_format import PublishedFields, decode_event
from ..driver import Ack, EventSink, Fate, Log, PublishedRecord, TransactionalSink, Transactor
from ..tracing import Tracing, span_of


def traced(sink: EventSink | TransactionalSink, tracing: Tracing | None) -> EventSink | TransactionalSink:
    """The sink itself where nothing is traced."""
    if tracing is None:
        return sink
    return _Sink(sink, tracing) if isinstance(sink, EventSink) else _TransactionalSink(sink, tracing)


def _fields(value: bytes) -> PublishedFields:
    return decode_event(value, "an event that is published")


class _Sink(EventSink):
    def __init__(self, sink: EventSink, tracing: Tracing) -> None:
        self._sink = sink
        self._tracing = tracing

    def submit(self, topic: str, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        fields = _fields(value)
        attributes: dict[str, str | int] = {
            "kafka_persist.topic": topic,
            "kafka_persist.persistence_id": fields.persistence_id,
            "kafka_persist.sequence_nr": fields.sequence_nr,
            "kafka_persist.events": 1,
        }
        end = self._tracing.begin("kafka_persist.publish", attributes, events=[fields.metadata])

        def answered(ack: Ack) -> None:
            end("" if ack.fate is Fate.STORED else ack.reason)
            on_ack(ack)

        self._sink.submit(topic, key, value, answered)


class _TransactionalSink(TransactionalSink):
    def __init__(self, sink: TransactionalSink, tracing: Tracing) -> None:
        self._sink = sink
        self._tracing = tracing

    async def published_up_to(self, log: Log) -> int | None:
        return await self._sink.published_up_to(log)

    def open(self, log: Log) -> AbstractAsyncContextManager[Transactor]:
        return self._open(log)

    @asynccontextmanager
    async def _open(self, log: Log) -> AsyncIterator[Transactor]:
        async with self._sink.open(log) as transactor:
            yield _Transactor(transactor, self._tracing)


class _Transactor(Transactor):
    def __init__(self, transactor: Transactor, tracing: Tracing) -> None:
        self._transactor = transactor
        self._tracing = tracing

    @property
    def published_up_to(self) -> int:
        return self._transactor.published_up_to

    @property
    def wanted(self) -> bool:
        return self._transactor.wanted

    async def publish(self, records: Sequence[PublishedRecord], up_to: int) -> None:
        if not records:  # only the number moves: nothing is published
            await self._transactor.publish(records, up_to)
            return
        events = [_fields(record.value) for record in records]
        with span_of(
            self._tracing,
            "publish",
            [event.metadata for event in events],
            topic=records[0].topic,
            persistence_id=events[0].persistence_id,
            sequence_nr=events[0].sequence_nr,
            events=len(events),
        ):
            await self._transactor.publish(records, up_to)
