"""What every `ProjectionStore` of the library promises, on each of them."""

from __future__ import annotations

import pytest

from kafka_persist import MemoryProjectionStore
from kafka_persist.errors import ProjectionFailed, ProjectionFenced
from kafka_persist.projection_postgresql import PostgresqlProjectionStore
from kafka_persist.projection_sqlite import SqliteProjectionStore

from .events import event

CREATE = "CREATE TABLE IF NOT EXISTS total (id TEXT PRIMARY KEY, amount INTEGER NOT NULL)"
CLEAR = "DELETE FROM total"
ADD = "INSERT INTO total AS t VALUES ({0}, {0}) ON CONFLICT (id) DO UPDATE SET amount = t.amount + excluded.amount"
PLACE = ("topic", 0)


class PoisonError(Exception):
    pass


def add(mark):
    def apply(connection, received):
        connection.execute(ADD.format(mark), (received.persistence_id, received.data))
        if received.data == 13:
            raise PoisonError("thirteen")

    return apply


def add_to_dict(model, received):
    if received.data == 13:
        raise PoisonError("thirteen")
    return {**model, received.persistence_id: model.get(received.persistence_id, 0) + received.data}


class Memory:
    def __init__(self, _request):
        self.first = MemoryProjectionStore({}, add_to_dict)

    def store(self):
        return self.first.another()

    def totals(self):
        return self.first.model

    def close(self):
        pass


class Sqlite:
    def __init__(self, request):
        self.path = str(request.getfixturevalue("tmp_path") / "model.db")
        self.stores = []

    def store(self):
        self.stores.append(SqliteProjectionStore(self.path, add("?"), create=CREATE, clear=CLEAR))
        return self.stores[-1]

    def totals(self):
        return dict(self.stores[-1].connection.execute("SELECT id, amount FROM total").fetchall())

    def close(self):
        for each in self.stores:
            each.connection.close()


class Postgresql:
    def __init__(self, request):
        self.server = request.getfixturevalue("postgresql")
        self.conninfo = self.server.empty_database()
        self.stores = []

    def store(self):
        self.stores.append(PostgresqlProjectionStore(self.conninfo, add("%s"), create=CREATE, clear=CLEAR))
        return self.stores[-1]

    def totals(self):
        return dict(self.server.execute("SELECT id, amount FROM total", self.conninfo.rpartition("/")[2]).fetchall())

    def close(self):
        for each in self.stores:
            each.close()


@pytest.fixture(params=[Memory, Sqlite, Postgresql], ids=lambda kind: kind.__name__.lower())
def kind(request):
    made = request.param(request)
    yield made
    made.close()


@pytest.fixture
def store(kind):
    made = kind.store()
    made.claim([PLACE, ("topic", 1)])
    return made


def test_events_and_positions_go_together(kind, store):
    """What a later process reads is both, or neither."""
    assert store.apply([event(0), event(1), event(0, 7, name="b", partition=1)]) == 3
    assert kind.totals() == {"a": 3, "b": 7}
    assert kind.store().positions() == {PLACE: 2, ("topic", 1): 1}
    with pytest.raises(ProjectionFailed) as caught:
        store.apply([event(2), event(3, data=13), event(4)])
    failed = caught.value
    assert (failed.persistence_id, failed.topic, failed.partition, failed.offset) == ("a", "topic", 0, 3)
    assert failed.sequence_nr == 4
    assert isinstance(failed.__cause__, PoisonError)
    assert kind.totals() == {"a": 3, "b": 7}
    assert store.positions() == {PLACE: 2, ("topic", 1): 1}


def test_an_event_that_is_there_twice_counts_once(kind, store):
    """Whether it is repeated in one batch or in a later one; another topic numbers its events by itself."""
    assert store.apply([event(0, 1), event(1, 2), event(2, 1), event(3, 2)]) == 2
    assert store.apply([event(4, 2), event(5, 3)]) == 1
    store.claim([("other", 0)])
    assert store.apply([event(0, 1, topic="other")]) == 1
    assert kind.totals() == {"a": 1 + 2 + 3 + 1}
    assert store.positions()[PLACE] == 6


def test_a_batch_whose_answer_got_lost_is_not_applied_again(kind, store):
    """Who has claimed the partition may repeat it: it finds that it was applied, also if only a part was."""
    store.apply([event(0), event(1)])
    assert store.apply([event(0), event(1), event(2)]) == 1
    assert kind.totals() == {"a": 6}


def test_a_claim_fences_the_one_before(kind, store):
    """The older one cannot apply, leave out or advance any more; its other partitions are not affected."""
    store.apply([event(0)])
    other = kind.store()
    other.claim([PLACE])
    assert other.positions() == {PLACE: 1}
    for call in (
        lambda: store.apply([event(0, 5, name="b", partition=1), event(1)]),
        lambda: store.skip("topic", 0, 1, None),
        lambda: store.advance({PLACE: 9}),
    ):
        with pytest.raises(ProjectionFenced, match="another process") as caught:
            call()
        assert caught.value.topic == "topic"
    assert other.positions() == {PLACE: 1}
    assert store.apply([event(0, 5, name="b", partition=1)]) == 1
    assert other.apply([event(1)]) == 1
    assert kind.totals() == {"a": 3, "b": 5}
    store.claim([PLACE])
    with pytest.raises(ProjectionFenced):
        other.apply([event(2)])


def test_leaving_an_event_out(store):
    """It counts as applied, and its place is passed."""
    store.apply([event(0)])
    store.skip("topic", 0, 1, event(1))
    store.skip("topic", 0, 2, None)
    assert store.positions() == {PLACE: 3}
    assert store.last_applied("a") == 2
    assert store.last_applied("b") == 0
    assert store.apply([event(3, 2)]) == 0


def test_advancing_never_goes_back(store):
    store.advance({PLACE: 5, ("topic", 1): 3})
    store.advance({PLACE: 4})
    assert store.positions() == {PLACE: 5, ("topic", 1): 3}


def test_clearing_empties_everything_and_ends_all_claims(kind, store):
    """Who still has events in hand must not apply them to a model that begins anew."""
    other = kind.store()
    other.claim([("topic", 1)])
    store.apply([event(0), event(1)])
    store.clear()
    assert (kind.totals(), store.positions(), store.last_applied("a")) == ({}, {}, 0)
    with pytest.raises(ProjectionFenced):
        other.apply([event(5, partition=1)])
    store.claim([PLACE])
    assert store.apply([event(0)]) == 1
    assert kind.totals() == {"a": 1}


@pytest.mark.parametrize("name", ["ä" * 1000, "with\0nul", "\N{PILE OF POO}" * 1000], ids=["long", "nul", "longest"])
def test_any_persistence_id_can_be_noted(store, name):
    """An index takes shorter keys than the longest id, and a text of some databases has no NUL."""
    store.skip("topic", 0, 0, event(0, 3, name=name))
    assert store.last_applied(name) == 3
    assert store.last_applied(name + "x") == 0
