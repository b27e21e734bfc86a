"""Clients that do not end, clients in use, and clients that nobody wants any more."""

from __future__ import annotations

import logging
import threading

import pytest
import trio
import trio.testing

from kafka_persist._kafka.blocking import Blocking, Users, wait_for
from kafka_persist._kafka.closing import close_client
from kafka_persist._kafka.making import make_client


async def test_a_client_that_does_not_end_is_left_behind_with_a_warning(caplog):
    """``Consumer.close()`` may never return after broker faults; leaving a store's block must."""
    stuck = threading.Event()
    with caplog.at_level(logging.WARNING, "kafka_persist.client"), trio.fail_after(30):
        await close_client(stuck.wait, "a consumer", seconds=0.05)
    assert "a consumer did not end within 0.05 s" in caplog.text
    (left,) = [each for each in threading.enumerate() if each.name == "closing a consumer"]
    stuck.set()
    with trio.fail_after(30):
        while left.name == "closing a consumer":  # noqa: ASYNC110 - Trio renames a worker that has finished
            await trio.sleep(0.01)


async def test_a_cancelled_caller_waits_for_the_closing_all_the_same():
    closed = threading.Event()
    with trio.CancelScope() as scope:
        scope.cancel(reason="the test leaves")
        await close_client(closed.set, "a consumer")
    assert closed.is_set()


def test_a_client_in_use_is_closed_by_its_last_user():
    """Brokers that move must not close a client under a call (``AdminClient has been closed``)."""
    closed: list[str] = []
    users = Users(lambda: closed.append("closed"))
    with users:
        with users:
            users.close()
        assert closed == []
    assert closed == ["closed"]
    users.close()
    with users:
        pass
    assert closed == ["closed"]


def test_a_client_that_nobody_uses_is_closed_at_once():
    closed: list[str] = []
    Users(lambda: closed.append("closed")).close()
    assert closed == ["closed"]


async def test_waiting_for_an_answer_that_never_comes_ends_with_the_caller():
    from concurrent.futures import Future

    never: Future[None] = Future()
    blocking = Blocking()
    with trio.fail_after(10), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(blocking.run, lambda: wait_for(never, 3600))
            await trio.testing.wait_all_tasks_blocked(0.05)
            scope.cancel(reason="the test leaves")
    with pytest.raises(TimeoutError, match="no answer within 0 s"), trio.fail_after(10):
        await blocking.run(lambda: wait_for(never, 0))


async def test_a_client_whose_maker_left_is_closed_by_the_thread_that_made_it():
    """A user's ``oauth_cb`` may block while a client is made."""
    go_on, closed = threading.Event(), threading.Event()

    def make() -> str:
        go_on.wait()
        return "client"

    with trio.fail_after(10):
        with trio.move_on_after(0.05):
            await make_client(make, lambda _client: closed.set(), "a producer")
        assert not closed.is_set()
        go_on.set()
        await trio.to_thread.run_sync(closed.wait)
