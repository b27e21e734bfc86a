"""Publishing from shared logs: in the log's order, nothing missing, whoever dies and whatever is refused."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager, suppress

import attrs
import pytest
import trio

from kafka_persist import (
    ConfigError,
    EventTopicMapper,
    JournalConfig,
    PublicationPending,
    SweepIncomplete,
    UnsupportedOperation,
    WriterFenced,
)
from kafka_persist._core.event_format import decode_event
from kafka_persist._publishing.routing import Mapping
from kafka_persist._publishing.service import Publishing
from kafka_persist._shared import ladder, outbox
from kafka_persist._shared.ladder import Ladder, Rung
from kafka_persist.config import EventProducerConfig
from kafka_persist.driver import Ack, EventSink, Fate
from kafka_persist.journal import open_journal, open_journal_on
from kafka_persist.publishing import EmptyEventTopicMapper
from kafka_persist_testkit.sim import open_sim_kafka

from .worlds import Writer, open_world, replayed


class ByName(EventTopicMapper):
    """Events of ids that begin with "quiet" go nowhere, all others to "events"; those of "both" to two topics."""

    def topics_for(self, event):
        if event.persistence_id.startswith("quiet"):
            return ()
        return ("events", "more") if event.persistence_id.startswith("both") else ("events",)


@attrs.define(eq=False)
class Sink(EventSink):
    """Takes records, or is silent, or refuses the next ones; in trouble it refuses one with all that is behind it, as a client does
    whose partition has no leader."""

    records: list = attrs.field(factory=list)
    silent: bool = False
    refusing: int = 0
    held: list = attrs.field(factory=list)
    coming: int = 0
    trouble: random.Random | None = None

    def submit(self, topic, key, value, on_ack):
        self.coming += 1
        trio.lowlevel.current_trio_token().run_sync_soon(self._take, topic, key, value, on_ack)

    def _take(self, topic, key, value, on_ack):
        self.coming -= 1
        if self.trouble and not self.refusing and self.trouble.random() < 0.05:
            self.refusing = self.coming + 1
        if self.silent:
            self.held.append(on_ack)
        elif self.refusing:
            self.refusing = max(0, self.refusing - 1)
            on_ack(Ack(Fate.REFUSED, reason="not now"))
        else:
            event = decode_event(value, "published")
            assert key == event.persistence_id.encode()
            self.records.append((topic, event.persistence_id, event.sequence_nr, event.data))
            on_ack(Ack(Fate.STORED, len(self.records)))

    def of(self, topic="events"):
        """What is in a topic: numbers by id, in order."""
        found = {}
        for each, persistence_id, number, _ in self.records:
            if each == topic:
                found.setdefault(persistence_id, []).append(number)
        return found


@asynccontextmanager
async def open_publishing(world, sink, *, mapper=None, mode="at-least-once", wait=False, **shared):
    config = attrs.evolve(world.config(**shared), event_producer=EventProducerConfig(mode=mode, await_publication=wait))
    publishing = Publishing(Mapping(mapper or ByName(), config), sink)
    async with (
        open_sim_kafka(world.broker, config) as driver,
        open_journal_on(driver, config, publishing=publishing) as journal,
    ):
        yield journal


async def store(journal, name, writes, events=2):
    writer = await Writer(journal, name).claim()
    for number in range(writes):
        await writer.write(*[f"{name} {number} {step}" for step in range(events)])
    return writer


def in_order(numbers):
    """Repeated, perhaps, but never one before the first appearance of one that was stored before it."""
    return list(dict.fromkeys(numbers)) == sorted(set(numbers))


async def test_all_events_of_all_ids_are_published_once_and_in_order(autojump_clock):
    async with open_world() as world:
        sink = Sink()
        async with open_publishing(world, sink) as journal, trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(store, journal, f"order-{number}", 5)
            nursery.start_soon(store, journal, "quiet-1", 5)
            nursery.start_soon(store, journal, "both-1", 5)
        wanted = {f"order-{number}": list(range(1, 11)) for number in range(20)} | {"both-1": list(range(1, 11))}
        assert sink.of() == wanted
        assert sink.of("more") == {"both-1": list(range(1, 11))}
        async with open_publishing(world, sink) as journal:  # the log says that nothing is missing
            await store(journal, "order-0", 1)
        assert sink.of() == wanted | {"order-0": list(range(1, 13))}


@pytest.mark.parametrize("directory", [False, True], ids=["in memory", "on disk"])
async def test_what_a_dead_process_left_is_published_by_the_next_owner(autojump_clock, tmp_path, directory):
    where = {"directory": str(tmp_path)} if directory else {}
    async with open_world() as world:
        dead, heir = Sink(), Sink()
        async with open_publishing(world, dead, **where) as journal:
            await store(journal, "order-1", 3)
            await trio.sleep(1)
            dead.silent = True
            await store(journal, "order-2", 300)
            await store(journal, "quiet-1", 3)
        assert dead.of() == {"order-1": list(range(1, 7))}
        async with open_publishing(world, heir, **where) as journal:
            await store(journal, "order-3", 1)
        assert heir.of()["order-2"] == list(range(1, 601))
        assert heir.of()["order-3"] == [1, 2]
        assert "order-1" not in heir.of()


async def test_refused_records_are_sent_again_in_order(autojump_clock):
    async with open_world() as world:
        sink = Sink(trouble=random.Random(7))
        async with open_publishing(world, sink) as journal, trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(store, journal, f"order-{number}", 30)
        sink.trouble = None
        async with open_publishing(world, sink) as journal:
            await journal.publish_pending()
            assert journal.publishing_statistics().behind == 0
        for number in range(5):
            found = sink.of()[f"order-{number}"]
            assert set(found) == set(range(1, 61))
            assert in_order(found)


async def test_a_failure_is_counted_and_told_and_does_not_delay_a_write(autojump_clock, caplog):
    async with open_world() as world:
        sink = Sink(refusing=2)
        async with open_publishing(world, sink) as journal:
            began = trio.current_time()
            await store(journal, "order-1", 1)
            assert trio.current_time() - began < 0.1
            await trio.sleep(5)
            statistics = journal.publishing_statistics()
            assert (statistics.published, statistics.failures >= 1) == (2, True)
            assert "not now" in statistics.last_failure
        warnings = [record for record in caplog.records if getattr(record, "event", "") == "publishing.delayed"]
        assert len(warnings) >= 1
        assert sink.of() == {"order-1": [1, 2]}


async def test_what_finds_no_room_in_memory_is_read_back(autojump_clock, monkeypatch):
    monkeypatch.setattr(outbox, "KEPT_BYTES", 200)
    async with open_world() as world:
        sink = Sink()
        async with open_publishing(world, sink) as journal, trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(store, journal, f"order-{number}", 20)
        for number in range(10):
            assert set(sink.of()[f"order-{number}"]) == set(range(1, 41))
            assert in_order(sink.of()[f"order-{number}"])


async def test_cleaning_leaves_what_is_not_published_and_copies_are_not_published(autojump_clock):
    small = {"cleaning_ratio": 1.25, "cleaning_least_bytes": 2_000}
    async with open_world() as world:
        silent, heir = Sink(silent=True), Sink()
        async with open_publishing(world, silent, **small) as journal:
            kept = await store(journal, "kept", 1)
            for number in range(60):
                writer = await store(journal, f"gone-{number}", 1)
                await journal.delete_to(writer.pid, 2)
            await trio.sleep(100)
            assert world.log().start == 0
        async with open_publishing(world, heir, **small) as journal:
            for number in range(60):
                writer = await store(journal, f"later-{number}", 1)
                await journal.delete_to(writer.pid, 2)
            await trio.sleep(100)
            assert world.log().start > 0
            assert await replayed(journal, kept.pid) == ["kept 0 0", "kept 0 1"]
        wanted = {"kept", *(f"gone-{number}" for number in range(60)), *(f"later-{number}" for number in range(60))}
        assert heir.of() == {name: [1, 2] for name in wanted}


async def test_a_cleaner_that_waits_for_publication_does_not_ask_again_and_again(autojump_clock):
    async with (
        open_world() as world,
        open_publishing(world, Sink(silent=True), cleaning_ratio=1.25, cleaning_least_bytes=2_000) as journal,
    ):
        for number in range(40):
            writer = await store(journal, f"gone-{number}", 1)
            await journal.delete_to(writer.pid, 2)
        scan, scans = journal._driver.scan, []

        async def counted(*args):
            scans.append(args)
            return await scan(*args)

        journal._driver.scan = counted
        await trio.sleep(100)
        assert len(scans) < 5


async def test_closing_does_not_wait_for_what_was_put_off(autojump_clock):
    async with open_world() as world:
        sink = Sink(refusing=1_000_000)
        async with open_publishing(world, sink) as journal:
            await store(journal, "order-1", 1)
            await trio.sleep(30)  # the pauses have grown
            await store(journal, "order-1", 1)
            began = trio.current_time()
        assert trio.current_time() - began < 0.5


async def test_events_that_go_nowhere_start_no_task(autojump_clock):
    async with open_world() as world, open_publishing(world, Sink()) as journal:
        writer = await Writer(journal, "quiet-1").claim()
        await trio.sleep(1)
        spawned = []
        way = next(iter(journal._publication._outboxes.values()))._way
        spawn = way.spawn
        object.__setattr__(way, "spawn", lambda *args: spawned.append(args) or spawn(*args))
        for number in range(10):
            await writer.write(number)
        await trio.sleep(1)
        assert spawned == []
        assert journal._shards[0].log.chain.head.published == 10


async def test_a_write_may_wait_for_its_publication(autojump_clock):
    async with open_world() as world:
        sink = Sink()
        async with open_publishing(world, sink, wait=True) as journal:
            await store(journal, "order-1", 1)
            assert sink.of() == {"order-1": [1, 2]}
            sink.silent = True
            began = trio.current_time()
            await store(journal, "order-1", 1)  # stored, and told so, though nobody confirms the publication
            assert trio.current_time() - began == pytest.approx(2.0, abs=0.5)


async def test_pending_events_are_published_without_taking_the_log_over(autojump_clock):
    async with open_world() as world:
        silent, helper = Sink(silent=True), Sink()
        async with open_publishing(world, silent) as owner, open_publishing(world, helper) as other:
            writer = await store(owner, "order-1", 2)
            report = await other.publish_pending()
            assert (report.ids, report.ids_behind, report.events) == (1, 1, 2)
            assert helper.of() == {"order-1": [1, 2, 3, 4]}
            await writer.write("more")  # still the owner
            helper.silent = True
            with pytest.raises(SweepIncomplete, match="not published") as caught:
                await other.publish_pending(["order-1"])
            assert isinstance(*caught.value.failures.values(), PublicationPending)


async def test_fire_and_forget_sends_once_and_forgets(autojump_clock):
    async with open_world() as world:
        sink = Sink(refusing=1)
        async with open_publishing(world, sink, mode="fire-and-forget") as journal:
            await store(journal, "order-1", 3)
            await trio.sleep(5)
            assert sink.of() == {"order-1": [2, 3, 4, 5, 6]}
            assert journal.publishing_statistics().failures == 1
        async with open_publishing(world, sink, mode="fire-and-forget") as journal:
            await store(journal, "order-1", 1)
        assert sink.of() == {"order-1": [2, 3, 4, 5, 6, 7, 8]}


async def test_a_journal_that_publishes_nothing_holds_no_cleaning_up(autojump_clock):
    small = {"cleaning_ratio": 1.25, "cleaning_least_bytes": 2_000}
    async with open_world() as world:
        async with open_publishing(world, Sink(), mapper=EmptyEventTopicMapper(), **small) as journal:
            for number in range(80):
                writer = await store(journal, f"gone-{number}", 1)
                await journal.delete_to(writer.pid, 2)
            await trio.sleep(100)
        assert world.log().start > 0


async def test_a_program_that_publishes_nothing_does_not_call_published_what_another_one_left(autojump_clock):
    """An import into a log of a running service, for example: what the service has still to publish is published later."""
    small = {"cleaning_ratio": 1.25, "cleaning_least_bytes": 2_000}
    async with open_world() as world:
        sink = Sink(silent=True)
        async with open_publishing(world, sink) as service:
            await store(service, "order-1", 2)
        async with open_publishing(world, Sink(), mapper=EmptyEventTopicMapper(), **small) as other:
            for number in range(60):
                writer = await store(other, f"imported-{number}", 1)
                await other.delete_to(writer.pid, 2)
            await trio.sleep(100)
            with pytest.raises(UnsupportedOperation, match="publishes nothing"):
                await other.publish_pending()
        assert world.log().start == 0  # cleaning leaves it, too
        sink.silent = False
        async with open_publishing(world, sink) as service:
            await store(service, "order-2", 1)
        assert sink.of()["order-1"] == [1, 2, 3, 4]


async def test_exactly_once_is_refused(autojump_clock):
    config = JournalConfig(layout="shared", event_producer=EventProducerConfig(mode="exactly-once"))
    with pytest.raises(ConfigError, match="exactly once"):
        async with open_journal(config, event_topic_mapper=ByName()):
            pass


@pytest.mark.parametrize("seed", range(8))
async def test_nothing_is_missing_whatever_dies_and_is_refused(autojump_clock, seed, monkeypatch):
    """Processes that take the log from each other, and leave in the middle; topics in trouble; little memory; cleaning."""
    monkeypatch.setattr(outbox, "KEPT_BYTES", 2_000)
    chance, sink, stored = random.Random(seed), Sink(trouble=random.Random(seed)), {}
    small = {"cleaning_ratio": 1.25, "cleaning_least_bytes": 3_000}

    async def live(journal, name):
        for number in range(30):
            pid = f"{name}-{number}"
            with suppress(WriterFenced):
                stored[pid] = (await store(journal, pid, 2)).highest
                if number % 3:
                    await journal.delete_to(pid, 4)

    async with open_world() as world:
        for round_ in range(4):
            with trio.move_on_after(chance.uniform(0.05, 2)):
                async with (
                    open_publishing(world, sink, **small) as one,
                    open_publishing(world, sink, **small) as other,
                    trio.open_nursery() as nursery,
                ):
                    nursery.start_soon(live, one, f"one-{round_}")
                    nursery.start_soon(live, other, f"other-{round_}")
        sink.trouble, sink.refusing = None, 0
        async with open_publishing(world, sink, **small) as last:
            await last.publish_pending()
        for pid, highest in stored.items():
            assert set(sink.of().get(pid, ())) == set(range(1, highest + 1)), (seed, pid)
            assert in_order(sink.of()[pid]), (seed, pid)


def test_a_ladder_keeps_what_is_not_published_and_stays_small(monkeypatch):
    monkeypatch.setattr(ladder, "MOST_RUNGS", 16)
    chance = random.Random(3)
    steps, all_rungs, published = Ladder(Rung()), [Rung()], 0
    for offset in range(2_000):
        all_rungs.append(Rung(all_rungs[-1].number + chance.randint(0, 3), offset))
        steps.add(all_rungs[-1])
        if chance.randrange(20) == 0:
            published = chance.randint(published, all_rungs[-1].number)
            steps.forget_below(published)
        assert len(steps._rungs) <= 17
        assert steps.lowest.number <= published
        for number in (published, all_rungs[-1].number):
            found = steps.below(number)
            assert found in all_rungs
            assert found.number <= number
