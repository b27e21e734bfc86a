"""A read model in a real PostgreSQL: what its errors say, and what is certain after them."""

from __future__ import annotations

import threading

import psycopg
import pytest
import trio

from kafka_persist.errors import (
    ProjectionFailed,
    ReadModelRefused,
    ReadModelUnavailable,
    UsageError,
)
from kafka_persist.projection_postgresql import PostgresqlProjectionStore, open_postgresql_store
from tests.support.postgresql import PASSWORD
from tests.support.waiting import until

from .events import event
from .test_stores import CLEAR, CREATE, PLACE, add


@pytest.fixture
def conninfo(postgresql):
    return postgresql.empty_database()


def opened(conninfo, apply=None, *, create=CREATE, clear=CLEAR):
    return open_postgresql_store(conninfo, apply or add("%s"), create=create, clear=clear)


def totals(conninfo):
    with psycopg.connect(conninfo) as connection:
        return dict(connection.execute("SELECT id, amount FROM total").fetchall())


async def test_its_repr_shows_where_it_is_and_no_password(conninfo):
    async with opened(conninfo) as store:
        store.claim([PLACE])
        text = repr(store)
    assert "connected to database 'test_" in text
    assert "1 partitions claimed" in text
    assert PASSWORD not in text
    assert "not connected" in repr(store)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ((PASSWORD, "wrong"), "check the user's name and password"),
        ((f":{PASSWORD}", ""), "give a password"),
        (("tester:", "nobody:"), "check the user's name and password"),
        (("/test_", "/missing_"), "create the database"),
    ],
    ids=["password", "no-password", "user", "database"],
)
async def test_not_let_in(conninfo, change, remedy):
    """A refusal is no reason to wait, says what to do, and never repeats the password."""
    with pytest.raises(ReadModelRefused, match=remedy) as caught:
        async with opened(conninfo.replace(*change)):
            pass
    assert not caught.value.retriable
    assert PASSWORD not in str(caught.value)


async def test_nobody_answers(conninfo, postgresql):
    """Waiting may help: the error is retriable, and says where nobody answered."""
    with pytest.raises(ReadModelUnavailable, match=r"cannot be reached.*port 1 failed") as caught:
        async with opened(conninfo.replace(f":{postgresql.port}", ":1")):
            pass
    assert caught.value.retriable
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize(
    "text", [f"x {PASSWORD}", f"postgresql://a:{PASSWORD}@host/db?what=1", f"password={PASSWORD} x"]
)
async def test_a_connection_string_that_is_none(text):
    """libpq's own text would quote it, and with it the password."""
    with pytest.raises(UsageError, match="connection string") as caught:
        async with opened(text):
            pass
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    ("statement", "remedy"),
    [
        ("INSERT INTO nothing VALUES (1)", "create the table"),
        ("INSERT INTO total (id, what) VALUES ('a', 1)", "schema and this program"),
        ("SET ROLE reader; INSERT INTO total VALUES ('a', 1)", "GRANT the privilege"),
        ("SET TRANSACTION READ ONLY; INSERT INTO total VALUES ('a', 1)", "connect to the primary"),
    ],
    ids=["table", "column", "privilege", "read-only"],
)
async def test_what_the_function_needs_is_missing(conninfo, postgresql, statement, remedy):
    """It is not the event's fault, so no policy ever skips an event for it; nothing is changed."""
    postgresql.execute("DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    postgresql.execute("GRANT USAGE ON SCHEMA public TO reader", "test_1")

    def apply(connection, received):
        add("%s")(connection, received)
        if received.data == 2:
            connection.execute(statement)

    async with opened(conninfo, apply) as store:
        store.claim([PLACE])
        with pytest.raises(ReadModelRefused, match=remedy):
            store.apply([event(0), event(1)])
        assert store.positions() == {}
        assert store.apply([event(0)]) == 1
    assert totals(conninfo) == {"a": 1}


@pytest.mark.parametrize("count", [1, 2])
async def test_a_constraint_that_is_checked_at_the_end(conninfo, count):
    """The event is named where there is only one; the transaction is undone as a whole."""
    create = "CREATE TABLE IF NOT EXISTS total (id TEXT, amount INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED)"

    def apply(connection, received):
        connection.execute("INSERT INTO total VALUES (%s, 1)", (received.persistence_id,))

    async with opened(conninfo, apply, create=create) as store:
        store.claim([PLACE])
        store.apply([event(0)])
        with pytest.raises(ProjectionFailed, match="duplicate key") as caught:
            store.apply([event(1), event(2)][:count])
        assert caught.value.offset == (1 if count == 1 else None)
        assert store.positions() == {PLACE: 1}


async def test_a_value_that_the_database_refuses_is_the_events_fault(conninfo):
    """So a policy may leave it out."""
    async with opened(conninfo) as store:
        store.claim([PLACE])
        with pytest.raises(ProjectionFailed, match="event 2 of 'a'") as caught:
            store.apply([event(0), event(1, data=2**40)])
        assert isinstance(caught.value.__cause__, psycopg.DataError)


async def test_a_lost_connection_is_made_again(conninfo, postgresql):
    """The call that meets it fails, retriable; the next one connects, and nothing is applied twice."""
    async with opened(conninfo) as store:
        store.claim([PLACE])
        store.apply([event(0)])
        postgresql.stop()
        with pytest.raises(ReadModelUnavailable, match="safe to try again"):
            store.apply([event(1)])
        with pytest.raises(ReadModelUnavailable, match="cannot be reached"):
            store.apply([event(1)])
        postgresql.start()
        assert store.apply([event(0), event(1)]) == 1
    assert totals(conninfo) == {"a": 3}


async def test_a_connection_that_dies_in_the_function(conninfo, postgresql):
    """Then it is not the event's fault either."""

    def apply(connection, received):
        add("%s")(connection, received)
        if kill:
            postgresql.execute(f"SELECT pg_terminate_backend({kill.pop()})")
            connection.execute("SELECT 1")

    kill = []
    async with opened(conninfo, apply) as store:
        store.claim([PLACE])
        kill.append(store._session.connect().info.backend_pid)
        with pytest.raises(ReadModelUnavailable, match="terminating connection"):
            store.apply([event(0)])
        assert store.positions() == {}
        assert store.apply([event(0)]) == 1
    assert totals(conninfo) == {"a": 1}


async def test_the_function_must_not_commit(conninfo):
    """The positions would not go with it."""

    def apply(connection, received):
        add("%s")(connection, received)
        connection.commit()

    async with opened(conninfo, apply) as store:
        store.claim([PLACE])
        with pytest.raises(ProjectionFailed, match="commit"):
            store.apply([event(0)])
    assert totals(conninfo) == {}


def test_a_deadlock_is_no_error(conninfo):
    """Two members touch the same rows in opposite order: PostgreSQL ends one of them, which is applied again."""
    both = threading.Barrier(2)
    waited = set()

    def apply(connection, received):
        me = threading.get_ident()
        for row in received.data:
            connection.execute("UPDATE total SET amount = amount + 1 WHERE id = %s", (row,))
            if me not in waited:
                waited.add(me)
                both.wait(30)

    def run(partition, rows):
        store = PostgresqlProjectionStore(conninfo, apply, create="", clear=CLEAR)
        store.claim([("topic", partition)])
        results.append(store.apply([event(0, data=rows, name=f"id-{partition}", partition=partition)]))
        store.close()

    results = []
    with psycopg.connect(conninfo) as connection:
        connection.execute(CREATE)
        connection.execute("INSERT INTO total VALUES ('x', 0), ('y', 0)")
    threads = [threading.Thread(target=run, args=(number, rows)) for number, rows in enumerate(["xy", "yx"])]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert results == [1, 1]
    assert totals(conninfo) == {"x": 2, "y": 2}


def test_a_claim_waits_for_the_transaction_under_way(conninfo):
    """Otherwise the new owner could read a position that the old one is just about to move."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(connection, received):
        add("%s")(connection, received)
        inside.set()
        assert go_on.wait(30)

    old = PostgresqlProjectionStore(conninfo, slow, create=CREATE, clear=CLEAR)
    new = PostgresqlProjectionStore(conninfo, add("%s"), create=CREATE, clear=CLEAR)
    old.claim([PLACE])
    new.connect()
    applying = threading.Thread(target=old.apply, args=([event(0)],))
    claiming = threading.Thread(target=new.claim, args=([PLACE],))
    applying.start()
    assert inside.wait(30)
    claiming.start()
    claiming.join(0.1)
    assert claiming.is_alive()
    go_on.set()
    applying.join()
    claiming.join()
    assert new.positions() == {PLACE: 1}
    old.close()
    new.close()


async def test_processes_that_start_at_once_create_the_tables_once(conninfo):
    async def start():
        async with opened(conninfo):
            pass

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(start)


async def test_who_may_not_create_tables_can_use_those_that_are_there(conninfo, postgresql):
    """Migrations make them under another user, as in many places."""
    async with opened(conninfo):
        pass
    name = conninfo.rpartition("/")[2]
    postgresql.execute("CREATE ROLE app LOGIN PASSWORD 'app'")
    postgresql.execute("GRANT USAGE ON SCHEMA public TO app", name)
    as_app = postgresql.conninfo(name, "app", "app")
    with pytest.raises(ReadModelRefused, match="GRANT the privilege"):
        async with opened(as_app, create="") as store:
            store.claim([PLACE])
    postgresql.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app", name)
    async with opened(as_app, create="") as store:
        store.claim([PLACE])
        assert store.apply([event(0)]) == 1
    assert totals(conninfo) == {"a": 1}
    postgresql.execute("DROP OWNED BY app", name)
    postgresql.execute("DROP ROLE app")


def is_connecting(thread):
    return "connect" in thread.name


async def test_cancelled_while_it_connects(conninfo):
    """The caller leaves at once although the server says nothing; the thread ends its connection by itself."""
    with trio.socket.socket() as silent:
        await silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        async with trio.open_nursery() as nursery:

            async def connect():
                async with opened(f"postgresql://a:b@127.0.0.1:{port}/c?sslmode=disable&gssencmode=disable"):
                    raise AssertionError

            nursery.start_soon(connect)
            peer, _ = await silent.accept()
            nursery.cancel_scope.cancel()
        assert any(is_connecting(each) for each in threading.enumerate())
        peer.close()
        await until(lambda: not any(is_connecting(each) for each in threading.enumerate()))


async def test_an_unknown_claim_is_the_callers_fault(conninfo):
    async with opened(conninfo) as store:
        with pytest.raises(UsageError, match="was not claimed"):
            store.apply([event(0)])
