"""The index of a shared partition: a fold that joins on to the log exactly where it may."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kafka_persist._core import snapshot_format as form
from kafka_persist._core.snapshot_format import Commit, SaveKey
from kafka_persist._core.snapshot_shared_index import Joint, MemorySnapshotTable, SharedSnapshotIndex
from kafka_persist._index.lmdb_rows import open_rows
from kafka_persist.driver import Record

IDS = ["a", "b", "c"]
STEPS = st.lists(
    st.tuples(st.just("save"), st.sampled_from(IDS), st.integers(0, 3), st.integers(0, 2))
    | st.tuples(st.just("delete"), st.integers(0, 20))
    | st.tuples(st.just("compact"), st.integers(0, 60), st.booleans())
    | st.tuples(st.just("remember"))
    | st.tuples(st.just("begin anew")),
    max_size=40,
)


class Topic:
    """A partition that is written to, compacted, and now and then replaced by another one."""

    def __init__(self):
        self.records, self.end, self.keys, self.count = [], 0, [], 0

    def append(self, key, value):
        self.records.append(Record(self.end, key, value))
        self.end += 1

    def save(self, owner, number, pieces):
        self.count += 1
        key, first = SaveKey(form.digest_of(owner), number, self.count, self.count.to_bytes(16, "big")), self.end
        for index in range(pieces):
            self.append(key.chunk(index), form.encode_chunk(key.chunk(index), owner, b"x"))
        commit = Commit(first + 1, max(1, pieces), pieces, first, None if pieces else b"x")
        self.append(key.commit(), form.encode_commit(key.commit(), owner, commit))
        self.keys.append((key, pieces))

    def delete(self, which):
        if which < len(self.keys):
            key, pieces = self.keys.pop(which)
            self.append(key.commit(), None)
            for index in range(pieces):
                self.append(key.chunk(index), None)

    def compact(self, until, tombstones):
        until = min(until, self.end - 1)
        last = {record.key: record.offset for record in self.records if record.offset < until}
        self.records = [
            record
            for record in self.records
            if record.offset >= until
            or (last[record.key] == record.offset and not (tombstones and record.value is None))
        ]

    def restart(self):
        self.records, self.end, self.keys = [], 0, []


def whole(topic):
    index = SharedSnapshotIndex(MemorySnapshotTable())
    index.fold(topic.records)
    index.finish(topic.end)
    return index


def visible(index):
    return {name: {save.key for save in index.saves_of(name).visible().values()} for name in IDS}


def extended(index, topic):
    """Read on where the index ends; False if it does not join on."""
    joint = Joint(index)
    records = [record for record in topic.records if record.offset >= joint.start]
    for record in records:
        if not joint.holds([record]):
            return False
        index.fold([record])
    return joint.ends(topic.end)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_an_index_that_joins_on_tells_what_the_whole_partition_tells(steps):
    """However old it is, and whatever the brokers removed meanwhile; what does not join on is found out."""
    topic, remembered = Topic(), []
    for step, *of in steps:
        if step == "remember":
            remembered.append(whole(topic))
        else:
            {"save": topic.save, "delete": topic.delete, "compact": topic.compact, "begin anew": topic.restart}[step](
                *of
            )
    for index in remembered:
        if index.anchor is not None and extended(index, topic):
            assert visible(index) == visible(whole(topic))


def test_what_is_only_longer_joins_on():
    topic = Topic()
    topic.save("a", 1, 2)
    index = whole(topic)
    topic.save("b", 1, 0)
    topic.delete(0)
    assert extended(index, topic)
    assert visible(index) == visible(whole(topic)) == {"a": set(), "b": visible(index)["b"], "c": set()}


def test_a_deletion_whose_tombstone_is_gone_is_not_missed():
    """The index names a snapshot that was deleted; nothing in the log says so any more, but there is a hole."""
    topic = Topic()
    topic.save("a", 1, 0)
    topic.save("b", 1, 0)
    index = whole(topic)
    topic.delete(0)
    topic.save("c", 1, 0)
    topic.compact(topic.end - 1, True)
    assert visible(index)["a"]
    assert not extended(index, topic)
    assert not visible(whole(topic))["a"]


def test_another_history_of_the_same_length_is_found_out():
    topic = Topic()
    for number in range(5):
        topic.save("a", number, 0)
    index = whole(topic)
    topic.restart()
    for number in range(9):
        topic.save("a", number, 0)
    assert not extended(index, topic)


def test_rows_and_summary_survive_on_disk(tmp_path):
    topic = Topic()
    topic.save("a", 1, 2)
    topic.save("b", 7, 0)
    table = open_rows(str(tmp_path), "snapshots-0", "about")
    index = SharedSnapshotIndex(table)
    index.fold(topic.records)
    index.save()
    table.close(keep=True)
    again = SharedSnapshotIndex(open_rows(str(tmp_path), "snapshots-0", "about"))
    assert (again.position, again.anchor, visible(again)) == (topic.end, index.anchor, visible(whole(topic)))
    topic.delete(0)
    assert extended(again, topic)
    assert not visible(again)["a"]
    again.table.close(keep=True)


def test_a_summary_of_another_format_is_not_believed():
    class Old(MemorySnapshotTable):
        def summary(self):
            return b"\x83\x18\x63\x01\x02"

    assert SharedSnapshotIndex(Old()).anchor is None
