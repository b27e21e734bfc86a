"""A compacted log in memory in Kafka's place: it can be compacted at any moment, and die at any record."""

from __future__ import annotations

from contextlib import asynccontextmanager

import trio

from kafka_persist.driver import Ack, Driver, Fate, LogRange, LogReader, Record, Scan
from kafka_persist.errors import TopicMissing

BATCH = 3


class CompactedLog(Driver):
    """Any number of topics, one partition of each.

    Attributes:
        appends: records handed over so far.
        dies_at: from this append on nothing is answered in time; None for never.
        lands: whether the append at which it dies reaches the log all the same.
        refuses: keys and values for which this gives True are refused.
        holds: keys for which this gives True get no answer until `release`.
        delays: records for which this gives True are answered as unknown, and land with `land`.
    """

    max_record_bytes = 1_000_000

    def __init__(self):
        self.topics: dict[str, list[Record]] = {}
        self.ends: dict[str, int] = {}
        self.specs = {}
        self.appends = 0
        self.dies_at: int | None = None
        self.lands = False
        self.refuses = lambda _key, _value: False
        self.holds = lambda _key: False
        self.held = []
        self.delays = lambda _key: False
        self.late = []
        self.scans = 0

    def submit(self, log, key, value, on_ack):
        number, self.appends = self.appends, self.appends + 1
        dead = self.dies_at is not None and number >= self.dies_at
        if dead and not (self.lands and number == self.dies_at):
            ack = Ack(Fate.UNKNOWN, reason="the broker is down")
        elif self.delays(key):
            self.late.append((log.topic, key, value))
            ack = Ack(Fate.UNKNOWN, reason="no answer in time")
        elif self.refuses(key, value):
            ack = Ack(Fate.REFUSED, reason="somebody does not like it")
        else:
            offset = self.append(log.topic, key, value)
            ack = Ack(Fate.UNKNOWN, reason="the answer was lost") if dead else Ack(Fate.STORED, offset)
        if self.holds(key):
            self.held.append((on_ack, ack))
        else:
            trio.lowlevel.current_trio_token().run_sync_soon(on_ack, ack)

    def release(self):
        for on_ack, ack in self.held:
            on_ack(ack)
        self.held.clear()

    def land(self):
        for record in self.late:
            self.append(*record)
        self.late.clear()

    def append(self, topic, key, value):
        records = self.topics[topic]
        offset = self.ends.get(topic, 0)
        records.append(Record(offset, key, value))
        self.ends[topic] = offset + 1
        return offset

    def compact(self, topic, *, until=None, tombstones=False):
        """Keep the last record of each key below `until`, as a broker may; tombstones too have their time."""
        records = self.topics.get(topic, [])
        until = self.ends.get(topic, 0) - 1 if until is None else until  # the active segment has at least one record
        last = {record.key: record.offset for record in records if record.offset < until}
        self.topics[topic] = [
            record
            for record in records
            if record.offset >= until
            or (last[record.key] == record.offset and not (tombstones and record.value is None))
        ]

    async def scan(self, log, start, stop):
        await trio.lowlevel.checkpoint()
        self.scans += 1
        if log.topic not in self.topics:
            raise TopicMissing(log.topic)
        end = self.ends.get(log.topic, 0)
        begin = max(0, end + start if start is not None and start < 0 else start or 0)
        stop = end if stop is None else stop
        found = [record for record in self.topics[log.topic] if begin <= record.offset < stop]
        taken = found[:BATCH]
        return Scan(LogRange(0, end), taken, taken[-1].offset + 1 if len(found) > BATCH else max(begin, stop))

    @asynccontextmanager
    async def open_reader(self, log, start):
        await trio.lowlevel.checkpoint()
        yield Reader(self, log, start)

    async def partition_count(self, topic):
        await trio.lowlevel.checkpoint()
        return self.specs[topic].partitions

    async def delete_before(self, log, offset):
        raise NotImplementedError

    async def ensure_topics(self, specs):
        await trio.lowlevel.checkpoint()
        for spec in specs:
            self.specs[spec.name] = spec
            self.topics.setdefault(spec.name, [])


class Reader(LogReader):
    def __init__(self, driver, log, start):
        self.driver, self.log, self.next = driver, log, start

    async def read(self, stop):
        await trio.lowlevel.checkpoint()
        taken = [record for record in self.driver.topics[self.log.topic] if self.next <= record.offset < stop][:BATCH]
        self.next = taken[-1].offset + 1 if taken else stop
        return taken
