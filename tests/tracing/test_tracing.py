"""Spans of OpenTelemetry: what there is one for, what it belongs to, and that nothing is there without them."""

from __future__ import annotations

import logging

import attrs
import pytest
import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from kafka_persist import (
    Config,
    EntityType,
    EventProducerConfig,
    EventTopicMapper,
    JournalConfig,
    MemoryBackend,
    MemoryProjectionStore,
    Serializer,
    SnapshotStoreConfig,
    Tagged,
    open_memory_persistence,
    open_persistence,
    open_projection,
)
from kafka_persist.otel import OpenTelemetryTracing


@attrs.frozen
class Added:
    amount: int


def evolve(total: int, event: Added) -> int:
    return total + event.amount


serializer = Serializer()
serializer.register(Added)
counter = EntityType("counter", initial=0, evolve=evolve, snapshot_every=2, serializer=serializer)


def add(total: int, amount: int) -> list[Added]:
    if amount < 0:
        raise ValueError("only upwards")
    return [Added(amount)]


class Spans:
    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = OpenTelemetryTracing(self.provider)

    def named(self, name):
        return [each for each in self.exporter.get_finished_spans() if each.name == f"kafka_persist.{name}"]

    def one(self, name):
        (found,) = self.named(name)
        return found


@pytest.fixture
def spans():
    made = Spans()
    yield made
    made.provider.shutdown()


async def metadata_of(persistence, persistence_id):
    async with persistence.journal.replay(persistence_id) as events:
        return [event.metadata async for event in events]


def traceparent(span):
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def is_child(span, parent):
    return span.parent is not None and span.parent.span_id == parent.get_span_context().span_id


async def test_a_command_is_one_trace(spans):
    """Its opening and its write are children of the command; a span of the program's own is its parent."""
    tracer = spans.provider.get_tracer("program")
    async with (
        open_memory_persistence(serializer=serializer, tracing=spans.tracing) as persistence,
        persistence.entities() as entities,
    ):
        with tracer.start_as_current_span("request") as request:
            await entities.execute(counter, "1", add, 5)
        stored = await metadata_of(persistence, "counter-1")
    execute, persist, recover = spans.one("execute"), spans.one("persist"), spans.one("recover")
    assert is_child(execute, request)
    assert is_child(persist, execute)
    assert is_child(recover, execute)
    assert dict(persist.attributes) == {
        "kafka_persist.persistence_id": "counter-1",
        "kafka_persist.sequence_nr": 1,
        "kafka_persist.events": 1,
    }
    assert stored == [{"traceparent": traceparent(persist)}]


async def test_an_entity_that_is_opened_by_hand(spans):
    """The same, and its snapshots; the event's own metadata stays."""
    async with (
        open_memory_persistence(serializer=serializer, tracing=spans.tracing) as persistence,
        persistence.entity("c", initial=0, evolve=evolve) as entity,
    ):
        await entity.execute(lambda _: [Tagged(Added(1), metadata={"who": "me"}), Added(2)])
        await entity.save_snapshot()
        stored = await metadata_of(persistence, "c")
    persist = spans.one("persist")
    assert is_child(persist, spans.one("execute"))
    assert stored == [{"who": "me", "traceparent": traceparent(persist)}, {"traceparent": traceparent(persist)}]
    assert spans.one("snapshot").attributes["kafka_persist.sequence_nr"] == 2


async def test_a_snapshot_in_the_background_and_a_view(spans):
    async with open_memory_persistence(serializer=serializer, tracing=spans.tracing) as persistence:
        async with persistence.entities() as entities:
            for _ in range(2):
                await entities.execute(counter, "1", add, 5)
        async with persistence.view("counter-1", view_id="v", initial=0, evolve=evolve) as view:
            assert view.state == 10
    assert spans.one("snapshot").attributes["kafka_persist.persistence_id"] == "counter-1"
    assert spans.named("recover")[-1].attributes["kafka_persist.view_id"] == "v"


async def test_a_command_that_refuses_leaves_its_reason(spans):
    async with (
        open_memory_persistence(serializer=serializer, tracing=spans.tracing) as persistence,
        persistence.entities() as entities,
    ):
        with pytest.raises(ValueError, match="only upwards"):
            await entities.execute(counter, "1", add, -1)
    execute = spans.one("execute")
    assert execute.status.status_code is StatusCode.ERROR
    assert "only upwards" in execute.status.description
    assert spans.named("persist") == []


async def test_tasks_do_not_mix_their_traces(spans):
    """Each write belongs to the command of its own task, although one task opens the entity for all."""
    async with (
        open_memory_persistence(serializer=serializer, tracing=spans.tracing) as persistence,
        persistence.entities() as entities,
        trio.open_nursery() as nursery,
    ):
        for _ in range(20):
            nursery.start_soon(entities.execute, counter, "1", add, 1)
    executes = {each.get_span_context().span_id: each.get_span_context().trace_id for each in spans.named("execute")}
    persists = spans.named("persist")
    assert len(executes) == len(set(executes.values())) == len(persists) == 20
    assert {each.parent.span_id: each.get_span_context().trace_id for each in persists} == executes


async def test_nothing_is_recorded_without_it():
    """Off by default: events carry nothing more than before."""
    backend = MemoryBackend()
    async with (
        open_memory_persistence(backend, serializer=serializer) as persistence,
        persistence.entities() as entities,
    ):
        await entities.execute(counter, "1", add, 5)
        assert await metadata_of(persistence, "counter-1") == [None]


@pytest.mark.parametrize(
    "metadata", [None, {}, "text", {"traceparent": 5}, {"traceparent": "nonsense"}, {"traceparent": "00-" + "0" * 32}]
)
def test_an_event_that_was_not_traced_links_to_nothing(spans, caplog, metadata):
    """Anybody may write metadata: what is no trace context is passed over."""

    @attrs.frozen
    class Received:
        metadata: object

    with caplog.at_level(logging.WARNING), spans.tracing.handling(Received(metadata)):
        pass
    assert spans.one("handle").links == ()
    assert caplog.records == []


class To(EventTopicMapper):
    def __init__(self, topic):
        self.topic = topic

    def topics_for(self, event):
        return (self.topic,)


@pytest.mark.broker
@pytest.mark.parametrize("mode", ["at-least-once", "exactly-once"])
async def test_what_is_published_and_applied_links_to_what_was_stored(spans, kafka_server, kafka_prefix, mode):
    """From a row in a read model one gets to the request that caused it."""
    topic = f"{kafka_prefix}published"
    servers = kafka_server.bootstrap_servers
    journal = JournalConfig(
        bootstrap_servers=servers, prefix=f"{kafka_prefix}j-", event_producer=EventProducerConfig(mode=mode)
    )
    config = Config(journal=journal, snapshot_store=SnapshotStoreConfig(bootstrap_servers=servers))
    mapper = To(topic)
    async with (
        open_persistence(
            config, serializer=serializer, event_topic_mapper=mapper, tracing=spans.tracing
        ) as persistence,
        persistence.entities() as entities,
    ):
        await entities.execute(counter, "1", add, 5)
    store = MemoryProjectionStore([], lambda model, event: [*model, event])
    async with open_projection(journal, topic, store, serializer=serializer, tracing=spans.tracing) as projection:
        await projection.catch_up()
    persist = spans.one("persist").get_span_context()
    for name in ("publish", "apply"):
        span = spans.one(name)
        (link,) = span.links
        assert (link.context.trace_id, link.context.span_id) == (persist.trace_id, persist.span_id)
        assert span.attributes["kafka_persist.topic"] == topic
        assert span.attributes["kafka_persist.events"] == 1
    (event,) = store.model
    with spans.tracing.handling(event):
        pass
    assert spans.one("handle").links[0].context.span_id == persist.span_id
