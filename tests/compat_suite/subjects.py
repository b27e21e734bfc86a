"""Factories, good and bad, for the tests of the suite itself."""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from contextlib import asynccontextmanager

import trio

from compat_suite.memory_faults import open_memory_faults
from kafka_persist.memory import MemoryBackend, open_memory_journal, open_memory_snapshot_store

BACKEND = MemoryBackend()

NOT_CALLABLE = 5
PAYLOADS = ("a", 1)


def good_journal():
    return open_memory_journal(BACKEND)


def untraced_journal():
    """As a store of compiled code looks to those who trace Python: no line of it can be seen."""
    sys.settrace(None)
    threading.settrace(None)
    return open_memory_journal(BACKEND)


def good_snapshot_store():
    return open_memory_snapshot_store(BACKEND)


def good_faults():
    return open_memory_faults()


def raises_when_called():
    raise ValueError("no configuration")


async def a_coroutine_function():  # noqa: ASYNC124 - stands for an asynchronous factory
    return None


def not_a_context_manager():
    return object()


@asynccontextmanager
async def gives_something_else():
    yield object()


@asynccontextmanager
async def raises_on_entry():
    raise ConnectionError("nobody is listening")
    yield


@asynccontextmanager
async def hangs_on_entry():
    await trio.sleep_forever()
    yield


@asynccontextmanager
async def hangs_shielded():
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
    yield


@asynccontextmanager
async def blocks_the_thread():
    time.sleep(60)  # noqa: ASYNC251 - that is the point
    yield


@asynccontextmanager
async def leaks_a_task():
    trio.lowlevel.spawn_system_task(trio.sleep_forever)
    async with good_journal() as journal:
        yield journal


@asynccontextmanager
async def fails_on_exit():
    async with good_journal() as journal:
        yield journal
    raise OSError("the file is gone")


@asynccontextmanager
async def swallows_errors():
    async with good_journal() as journal:
        with contextlib.suppress(Exception):
            yield journal


@asynccontextmanager
async def leaves_a_thread():
    threading.Thread(target=time.sleep, args=(300,), name="left behind").start()
    async with good_journal() as journal:
        yield journal


@asynccontextmanager
async def crashes_in_a_call():
    async with good_journal() as journal:

        async def claim(persistence_id, writer):
            await trio.lowlevel.checkpoint()
            raise AttributeError("'NoneType' object has no attribute 'cursor'")

        journal.claim = claim
        yield journal


@asynccontextmanager
async def forgets_deletes():
    async with good_journal() as journal:

        async def delete_to(persistence_id, to_sequence_nr):
            await trio.lowlevel.checkpoint()

        journal.delete_to = delete_to
        yield journal


@asynccontextmanager
async def exits_on_entry():
    raise SystemExit(4)
    yield


def die():
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


@asynccontextmanager
async def dies_on_entry():
    die()
    yield


@asynccontextmanager
async def dies_in_a_delete():
    async with good_journal() as journal:

        async def delete_to(persistence_id, to_sequence_nr):
            await trio.lowlevel.checkpoint()
            die()

        journal.delete_to = delete_to
        yield journal
