"""``verify``: what counts, what does not and why, and everything that is wrong; on a real broker, in both layouts."""

from __future__ import annotations

import uuid

import attrs
import pytest
import trio
from confluent_kafka import Producer

from kafka_persist import (
    AtomicWrite,
    EmptyEventTopicMapper,
    Encoded,
    PersistentRepr,
    SnapshotMetadata,
    WriterFenced,
    load_config,
    open_journal,
    open_snapshot_store,
)
from kafka_persist._shared.place import partition_of
from kafka_persist.serialization import RawSerializer

pytestmark = pytest.mark.broker


QUIET = {"serializer": RawSerializer(), "event_topic_mapper": EmptyEventTopicMapper()}  # no records about publishing


def event(persistence_id, number, writer, name="Deposited"):
    payload = Encoded(name, 1, {"cents": number})
    return PersistentRepr(persistence_id=persistence_id, sequence_nr=number, payload=payload, writer=writer)


@attrs.frozen
class Journal:
    """A journal of this test's own, made by the same configuration with another prefix."""

    base: object
    config: object

    def verify(self, capsys, *arguments, code=0):
        return self.base.rows(capsys, "verify", *arguments, code=code)

    def write(self, persistence_id, *numbers, **options):
        trio.run(self._write, persistence_id, numbers, options)

    async def _write(self, persistence_id, numbers, options):
        writer = uuid.uuid4()
        async with open_journal(self.config.journal, **QUIET) as journal:
            await journal.claim(persistence_id, writer)
            for number in numbers:
                await journal.write([AtomicWrite([event(persistence_id, number, writer, **options)])])

    def log_of(self, persistence_id):
        journal = self.config.journal
        if journal.layout == "shared":
            return journal.shared_topic, partition_of(persistence_id, journal.shared.partitions)
        return journal.topic_name(persistence_id), 0

    def append(self, persistence_id, value):
        """Write to an id's log as a stranger would."""
        topic, partition = self.log_of(persistence_id)
        producer = Producer({"bootstrap.servers": self.base.servers})
        producer.produce(topic, value=value, key=b"stranger", partition=partition)
        assert producer.flush(30) == 0
        producer.close()


@pytest.fixture
def own(stored, monkeypatch):
    prefix = f"v{uuid.uuid4().hex[:8]}-"
    monkeypatch.setenv("KAFKA_PERSIST__KAFKA_JOURNAL__PREFIX", f"{prefix}j-")
    monkeypatch.setenv("KAFKA_PERSIST__KAFKA_SNAPSHOT_STORE__PREFIX", f"{prefix}s-")
    return Journal(stored, load_config(stored.config))


def log_and_id(rows):
    log, *ids = rows
    (found,) = ids
    return log, found


def test_a_sound_id(stored, capsys):
    log, found = log_and_id(stored.rows(capsys, "verify", "account-1"))
    assert log["problems"] == found["problems"] == []
    assert log["records"] == log["counted"] > 0
    assert (found["persistence_id"], found["highest_sequence_nr"], found["deleted_to"]) == ("account-1", 4, 1)
    assert (found["events"], found["holes"]) == (3, [])


def test_all_of_a_journal_is_summed_up(stored, capsys):
    printed = stored.run(capsys, "verify", "--all")
    assert "2 ids, 4 events: nothing wrong" in printed.err
    verdicts = {line.split("\t")[0] for line in printed.out.splitlines()}
    assert verdicts == {"sound"}


def test_verifying_writes_nothing_and_creates_nothing(stored, capsys):
    before = stored.logs()
    stored.run(capsys, "verify", "--all")
    stored.run(capsys, "verify", "account-1", "--serializer", stored.program("serializer"))
    assert stored.logs() == before


async def fence(config, persistence_id):
    """Two processes write to one id; the first one's last write lands behind the other's claim."""
    one, other = uuid.uuid4(), uuid.uuid4()
    async with (
        open_journal(config, **QUIET) as first,
        open_journal(config, **QUIET) as second,
    ):
        await first.claim(persistence_id, one)
        await first.write([AtomicWrite([event(persistence_id, 1, one)])])
        await second.claim(persistence_id, other)
        with pytest.raises(WriterFenced):
            await first.write([AtomicWrite([event(persistence_id, 2, one)])])
        await second.write([AtomicWrite([event(persistence_id, 2, other)])])


def test_a_fenced_write_is_reported_with_its_reason_and_is_no_fault(own, capsys):
    trio.run(fence, own.config.journal, "a")
    log, found = log_and_id(own.verify(capsys, "a"))
    (skipped,) = log["skipped"]
    assert "behind the claim of epoch 2 that fenced it" in skipped["why"]
    assert (log["counted"], log["records"], log["claims"]) == (4, 5, 2)
    assert (found["events"], found["problems"]) == (2, [])


def test_numbers_that_no_event_has_are_reported_and_are_no_fault(own, capsys):
    own.write("a", 1, 4)
    _, found = log_and_id(own.verify(capsys, "a"))
    assert (found["holes"], found["events"], found["problems"]) == ([[2, 3]], 2, [])


def test_a_record_of_a_stranger_is_damage_and_what_is_before_it_is_reported(own, capsys):
    own.write("a", 1, 2)
    own.append("a", b"no record")
    log, found = log_and_id(own.verify(capsys, "a", code=1))
    (problem,) = log["problems"]
    assert (problem["error"], problem["offset"]) == ("CorruptRecord", 3)
    assert found["events"] == 2
    rows = own.verify(capsys, "--all", code=1)
    assert sum(len(row["problems"]) for row in rows) == 1
    lines = own.base.run(capsys, "verify", "a", code=1).out.splitlines()
    assert sum(line.startswith("WRONG\t") and "CorruptRecord" in line for line in lines) == 1


def test_damage_of_one_id_does_not_hide_the_others(own, capsys):
    """In the layout with a topic for each id the other id is whole; with shared logs at least if it is in another one."""
    own.write("a", 1)
    own.write("d", 1)
    assert own.log_of("a") != own.log_of("d")
    own.append("a", b"no record")
    rows = own.verify(capsys, "--all", code=1)
    assert {row["persistence_id"] for row in rows if "persistence_id" in row} == {"a", "d"}


def test_a_payload_that_the_program_cannot_read_is_found_with_its_serializer(own, capsys):
    own.write("a", 1)
    own.write("a", 2, name="Forgotten")
    own.write("a", 3)
    assert own.verify(capsys, "a")
    rows = own.verify(capsys, "a", "--serializer", own.base.program("serializer"), code=1)
    _, found = log_and_id(rows)
    (problem,) = found["problems"]
    assert problem["error"] == "UnknownManifest"
    assert "'Forgotten'" in problem["message"]
    assert found["holes"] == []


async def save(config, persistence_id, number):
    async with open_snapshot_store(config) as store:
        await store.save(SnapshotMetadata(persistence_id=persistence_id, sequence_nr=number), {"cents": 0})


def test_a_snapshot_that_is_newer_than_the_last_event_is_found(own, capsys):
    own.write("a", 1)
    trio.run(save, own.config.snapshot_store, "a", 7)
    _, found = log_and_id(own.verify(capsys, "a", code=1))
    assert [each["error"] for each in found["problems"]] == ["orphan"]
    assert own.verify(capsys, "a", "--no-snapshots")


def test_an_id_that_was_never_opened_is_not_there(own, capsys):
    assert "never been" in own.base.run(capsys, "verify", "nobody", code=1).err
    assert own.base.run(capsys, "verify", "--all").out == ""


@pytest.mark.parametrize("arguments", [[], ["a", "--all"]])
def test_either_an_id_or_all(stored, capsys, arguments):
    assert "--all" in stored.run(capsys, "verify", *arguments, code=2).err
