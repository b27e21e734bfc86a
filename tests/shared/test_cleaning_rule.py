"""The rule of cleaning, without a journal: every reader knows the same, whenever the cleaner stops and wherever the log begins."""

from __future__ import annotations

import random

import attrs
import pytest

from kafka_persist import (
    CorruptRecord,
    JournalHeadLost,
)
from kafka_persist._core.chain import Head
from kafka_persist._core.index import Index, MemoryTable
from kafka_persist._core.items import Marker, Run, State


def what_is_there(index):
    """All that an index says of its ids, where things stand left out."""
    names = sorted(index.table.ids("", 100))
    states = {name: index.table.state(name)[:2] for name in names}
    runs = {name: [(run.first, run.last, run.entries) for run in index.runs(name, 1, 1 << 60)] for name in names}
    return index.counts, states, {name: found for name, found in runs.items() if found}


@attrs.define
class Cleaned:
    """A log with its owner's index, and a cleaner that works in steps; it can be stopped between any two."""

    items: list = attrs.field(factory=list)
    start: int = 0
    owner: Index = attrs.field(factory=lambda: Index(MemoryTable()))
    place: int = 0
    marked: int = -1

    def append(self, *items):
        self.items.append(items)
        self.owner.take(len(self.items) - 1, items, "log")

    def write(self, name, count):
        first = self.owner.table.state(name).highest + 1
        entries = b"\x81" + b"".join(number.to_bytes(8, "big") for number in range(first, first + count))
        self.append(Run(name, b"w" * 16, first, first + count - 1, entries))

    def delete(self, name, short_of):
        state = self.owner.table.state(name)
        if state.highest - short_of > state.floor:
            self.append(State(name, state.highest, state.highest - short_of))

    def carry(self):
        if self.place < len(self.items) - 1:
            alive = [self.owner.still_alive(item, self.place) for item in self.items[self.place]]
            if any(alive):
                self.append(*filter(None, alive))
            self.place += 1
            self.marked = -1

    def mark(self):
        if self.place > self.start:
            self.marked = len(self.items)
            self.append(Marker(*self.owner.counts))

    def cut(self):
        if self.marked >= 0:
            self.start = self.place

    def crash(self):
        self.place, self.marked = self.start, -1

    def read(self, index):
        """Bring a reader's index up to date."""
        begin = index.offset + 1
        if begin < self.start:
            begin = self.start
            index.begin_at_cut()
        for offset in range(begin, len(self.items)):
            index.take(offset, self.items[offset], "log")
        index.check_complete("log")


def step(log, name, chance):
    """One more step: most of them clean."""
    match chance.randrange(12):
        case 0 | 1 | 2:
            log.write(name, chance.randint(1, 3))
        case 3:
            log.delete(name, 0)
        case 4:
            log.delete(name, 1)
        case 5 | 6 | 7 | 8:
            log.carry()
        case 9:
            log.mark()
        case 10:
            log.cut()
        case 11:
            log.crash()


@pytest.mark.parametrize("seed", range(300))
def test_every_reader_knows_the_same_at_any_time(seed):
    """One that begins now, and those that stopped reading at any moment before, far behind the cut."""
    chance = random.Random(seed)
    log, readers = Cleaned(), []
    for _ in range(60):
        step(log, chance.choice("abc"), chance)
        if chance.randrange(4) == 0:
            readers.append(Index(MemoryTable()))
            log.read(readers[-1])
        fresh = Index(MemoryTable())
        log.read(fresh)
        assert what_is_there(fresh) == what_is_there(log.owner), seed
        if readers and chance.randrange(3) == 0:
            reader = readers.pop(chance.randrange(len(readers)))
            log.read(reader)
            assert what_is_there(reader) == what_is_there(log.owner), seed


@pytest.mark.parametrize("seed", range(300))
def test_a_foreign_cut_is_found_out_unless_nothing_is_missing(seed):
    chance = random.Random(seed)
    log = Cleaned()
    for _ in range(40):
        step(log, chance.choice("ab"), chance)
    log.start = chance.randint(log.start, len(log.items))
    reader = Index(MemoryTable())
    try:
        log.read(reader)
    except JournalHeadLost:
        return
    assert what_is_there(reader) == what_is_there(log.owner), seed


@pytest.mark.parametrize("before", [[], [Run("a", b"w" * 16, 1, 1, b"\x81x"), State("a", 1, 1)]])
def test_a_copy_of_what_was_never_there_is_refused(before):
    index = Index(MemoryTable())
    index.take(0, before, "log@0")
    with pytest.raises(CorruptRecord, match=r"log@1: .* are said to be a copy"):
        index.take(1, [Run("a", b"w" * 16, 1, 1, b"\x81x", carried=True)], "log@1")


def test_the_volume_is_that_of_the_log_and_of_what_is_alive():
    log = Cleaned()
    for number in range(100):
        log.write("a", 1)
        log.delete("a", 0)
        if number % 10 == 0:
            log.write("b", 1)
    alive = log.owner.volume.alive
    assert alive < 1_500 < log.owner.volume.log
    fresh = Index(MemoryTable())
    log.read(fresh)
    assert fresh.volume == log.owner.volume
    fresh.has_cut(1 << 40)
    assert fresh.volume.log == alive


def test_the_marker_is_of_what_stands_before_it():
    log = Cleaned()
    log.write("a", 1)
    log.owner.head = Head(0)
    log.write("b", 1)
    log.place = 1
    log.mark()
    assert log.items[-1] == (Marker(2, 2, 2, 0),)
