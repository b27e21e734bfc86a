"""The index of a shared log is the fold of its records: in memory and on disk, from the start and from a cut."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafka_persist import CorruptRecord, JournalHeadLost
from kafka_persist._core.cbor import encode
from kafka_persist._core.chain import Head
from kafka_persist._core.entries import join_entries
from kafka_persist._core.index import IdState, Index, MemoryTable
from kafka_persist._core.items import CARRIED_EXTRA_BYTES, Marker, Run, State, decode_items, encode_item
from kafka_persist._index.lmdb_table import open_table

WRITER = b"w" * 16
IDS = ["a", "b", "a/" + "x" * 900, "ü" * 500, ""]
LONG = [name for name in IDS if name]
ABOUT = "journal: log 0 of 1"


def entries(first, last):
    return join_entries([bytes((0x18, number % 200 + 24)) for number in range(first, last + 1)])


def run(name, first, last):
    return Run(name, WRITER, first, last, entries(first, last))


@attrs.define
class Model:
    """What exists, the plain way."""

    highest: dict[str, int] = attrs.field(factory=dict)
    floor: dict[str, int] = attrs.field(factory=dict)
    runs: dict[str, list[Run]] = attrs.field(factory=dict)

    def take(self, item):
        name = item.persistence_id
        if isinstance(item, Run):
            self.runs.setdefault(name, []).append(item)
            self.highest[name] = item.last
        else:
            self.highest[name], self.floor[name] = item.highest, item.floor

    def alive(self, name):
        return [each for each in self.runs.get(name, []) if each.last > self.floor.get(name, 0)]

    def marker(self):
        runs = sum(len(self.alive(name)) for name in self.runs)
        return Marker(len(self.highest), runs, sum(self.highest.values()), sum(self.floor.values()))


@st.composite
def histories(draw):
    """What owners append: new runs, deletions."""
    model, records = Model(), []
    for _ in range(draw(st.integers(1, 25))):
        items = []
        for _ in range(draw(st.integers(1, 4))):
            name = draw(st.sampled_from(LONG))
            highest = model.highest.get(name, 0)
            if highest and draw(st.integers(0, 3)) == 0:
                floor = draw(st.integers(model.floor.get(name, 0), highest))
                items.append(State(name, highest, floor))
            else:
                first = highest + draw(st.integers(1, 2))
                items.append(run(name, first, first + draw(st.integers(0, 3))))
            model.take(items[-1])
        records.append(items)
    return records


def model_of(records):
    model = Model()
    for items in records:
        for item in items:
            model.take(item)
    return model


def agrees(index, model):
    assert index.counts == model.marker()
    assert sorted(index.table.ids("", 100)) == sorted(model.highest)
    for name in model.highest:
        state = index.table.state(name)
        assert (state.highest, state.floor) == (model.highest[name], model.floor.get(name, 0))
        for low in (1, state.floor + 1, max(1, state.highest - 2)):
            wanted = [(each.first, each.last, each.entries) for each in model.alive(name) if each.last >= low]
            found = [(each.first, each.last, each.entries) for each in index.runs(name, low, state.highest, 2)]
            assert found == wanted, (name, low)


def fold(index, records, begin=0):
    for offset, items in enumerate(records[begin:], begin):
        index.take(offset, items, f"log@{offset}")
    index.head = Head(len(records) - 1)


@given(histories())
def test_the_index_is_what_the_records_say(records):
    index = Index(MemoryTable())
    fold(index, records)
    agrees(index, model_of(records))


@given(histories())
def test_a_record_that_was_taken_is_not_taken_again(records):
    index = Index(MemoryTable())
    fold(index, records)
    fold(index, records)
    agrees(index, model_of(records))


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """A fresh directory for each example."""
    return iter(lambda: tmp_path_factory.mktemp("index"), None)


@given(histories(), st.integers(0, 25))
def test_the_index_on_disk_is_the_same_and_goes_on_where_it_was_closed(directories, records, place):
    directory = str(next(directories))
    index = Index(open_table(directory, 0, ABOUT))
    fold(index, records[:place])
    agrees(index, model_of(records[:place]))
    index.save()
    index.table.close(keep=True)
    index = Index(open_table(directory, 0, ABOUT))
    assert index.offset == len(records[:place]) - 1
    fold(index, records, index.offset + 1)
    agrees(index, model_of(records))
    index.table.close(keep=False)


def carried(records, cut):
    """What an owner appends before it cuts the log to record `cut`: what is alive below it, and the count of all."""
    model, older = model_of(records), records[:cut]
    last_state = {}
    for offset, items in enumerate(records):
        last_state |= {item.persistence_id: offset for item in items if isinstance(item, State)}
    items = [
        item._replace(carried=True)
        for record in older
        for item in record
        if isinstance(item, Run) and item in model.alive(item.persistence_id)
    ]
    items += [
        State(name, model.highest[name], model.floor[name]) for name, offset in last_state.items() if offset < cut
    ]
    return [items, [model.marker()]] if items else [[model.marker()]]


@given(histories(), st.data())
def test_a_reader_that_begins_at_a_cut_knows_the_same(records, data):
    """Everything alive was carried over the cut; the highest number of an id without events, too."""
    cut = data.draw(st.integers(1, len(records)))
    whole = records + carried(records, cut)
    late = Index(MemoryTable())
    late.begin_at_cut()
    fold(late, whole, cut)
    late.check_complete("log")
    agrees(late, model_of(records))
    early = Index(MemoryTable())
    fold(early, whole)
    agrees(early, model_of(records))


@given(histories(), st.data())
def test_a_cut_that_loses_something_is_found_out(records, data):
    """A foreign deletion cuts further than was carried: either nothing is missing, or the reader is told."""
    cut = data.draw(st.integers(1, len(records)))
    whole = records + carried(records, cut)
    further = data.draw(st.integers(cut, len(whole)))
    late = Index(MemoryTable())
    late.begin_at_cut()
    try:
        fold(late, whole, further)
        late.check_complete("log")
    except JournalHeadLost:
        return
    agrees(late, model_of(records))


CONTRADICTIONS = {
    "a run that overlaps": [run("a", 2, 4)],
    "a state with a lower number": [State("a", 2, 0)],
    "a state with a lower floor": [State("a", 3, 1), State("a", 3, 0)],
    "a marker that counts other ids": [Marker(2, 1, 3, 0)],
    "a marker that counts other runs": [Marker(1, 2, 3, 0)],
    "a marker that counts other numbers": [Marker(1, 1, 4, 0)],
    "a marker that counts other floors": [Marker(1, 1, 3, 1)],
}


@pytest.mark.parametrize("items", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_what_contradicts_the_index_is_refused(items):
    index = Index(MemoryTable())
    index.take(0, [run("a", 1, 3)], "log@0")
    with pytest.raises(CorruptRecord, match=r"^log@1: "):
        index.take(1, items, "log@1")


def test_an_uncut_log_needs_no_marker_and_a_cut_one_does():
    index = Index(MemoryTable())
    index.check_complete("log")
    index.begin_at_cut()
    with pytest.raises(JournalHeadLost, match="carried over"):
        index.check_complete("log")


ITEMS = [
    run("a", 1, 3),
    run("a", 1, 3)._replace(carried=True),
    run("ü" * 500, 2**62, 2**62),
    State("a", 3, 3),
    State("b", 2**63 - 1, 0),
    Marker(0, 0),
    Marker(7, 9),
]


def test_items_come_back():
    value = b"xyz" + join_entries([encode_item(item) for item in ITEMS])
    found = decode_items(value, 3, len(ITEMS), "log@1")
    assert found == ITEMS
    assert list(map(type, found)) == list(map(type, ITEMS))


def test_a_copy_is_longer_by_what_is_kept_free_for_it():
    """The largest run that is stored must fit into a record once more."""
    stored = run("a", 1, 3)
    assert len(encode_item(stored._replace(carried=True))) == len(encode_item(stored)) + CARRIED_EXTRA_BYTES


BAD = {
    "not an array": b"\x01",
    "an item of four with an id": b"\x81\x84\x61a\x01\x02\x03",
    "an item of two": b"\x81\x82\x01\x02",
    "a run without entries": join_entries([encode_item(run("a", 1, 1)._replace(entries=b"\x80"))]),
    "a run whose entries are text": join_entries([encode_item(run("a", 1, 1)._replace(entries="x"))]),
    "a run backwards": join_entries([encode_item(run("a", 1, 1)._replace(first=2))]),
    "a run that says 2 of being carried": join_entries([encode([*run("a", 1, 1)[:5], 2])]),
    "a run at 0": join_entries([encode_item(run("a", 1, 1)._replace(first=0))]),
    "a writer of 15 bytes": join_entries([encode_item(run("a", 1, 1)._replace(writer=bytes(15)))]),
    "an id that is empty": join_entries([encode_item(run("", 1, 1))]),
    "an id that is a number": join_entries([encode_item(State(1, 1, 0))]),
    "an id of 1,001 characters": join_entries([encode_item(State("x" * 1001, 1, 0))]),
    "a floor above the highest": join_entries([encode_item(State("a", 1, 2))]),
    "a state without a number": join_entries([encode_item(State("a", 0, 0))]),
    "a boolean": join_entries([encode_item(State("a", True, 0))]),
    "a negative count": join_entries([encode_item(Marker(-1))]),
    "two items": join_entries([encode_item(Marker(1))] * 2),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_malformed_items_are_corrupt(value):
    with pytest.raises(CorruptRecord):
        decode_items(value, 0, 1, "log@1")


def test_a_state_says_where_its_floor_stands():
    """Cleaning carries a floor that stands below the cut; a highest number is carried by the runs."""
    index = Index(MemoryTable())
    index.take(0, [run("a", 1, 3)], "log@0")
    assert index.table.state("a") == IdState(3, 0, -1)
    index.take(1, [State("a", 3, 2)], "log@1")
    index.take(2, [run("a", 4, 4)], "log@2")
    assert index.table.state("a") == IdState(4, 2, 1)
