"""The small records that a store with a shared topic remembers."""

from __future__ import annotations

from kafka_persist._core import snapshot_format as form
from kafka_persist._core.snapshot_format import SaveKey
from kafka_persist._snapshots.recent import RecentRecords
from kafka_persist.driver import Log, Record


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first():
    recent, log = RecentRecords(max_bytes=2500), Log("topic", 3)
    key = SaveKey(form.digest_of("id"), 1, 1, bytes(16))
    for offset in range(5):
        recent.put(log, [Record(offset, key.commit(), b"x" * 500), Record(offset + 100, key.chunk(0), b"x")])
    recent.put(log, [Record(9, key.commit(), b"x" * 100_000), Record(10, key.commit(), None)])
    assert [offset for offset in range(200) if recent.get(log, offset)] == [2, 3, 4]
    assert "3, 2100 bytes" in repr(recent)
    recent.put(log, [Record(4, key.commit(), b"y")])
    assert "3, 1601 bytes" in repr(recent)
    recent.forget(Log("topic", 2))
    assert recent.get(log, 4).value == b"y"
    recent.forget(log)
    assert "0, 0 bytes" in repr(recent)
