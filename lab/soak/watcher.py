"""The process of a reader: replays every id again and again, and at the very end everything, from a fresh process."""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path

import trio

from kafka_persist.abc import Journal
from kafka_persist.errors import PersistenceError
from kafka_persist.journal import open_journal

from ..history import History
from .orders import Orders, writer_config
from .plan import LOOK_TIMEOUT
from .process import die_with_parent, until_told
from .worker import read

OVERLAP = 50
"""Events that a replay reads again, to compare them with what they were."""


async def watch(journal: Journal, history: History, orders: Orders) -> None:
    """Replay one id after the other, mostly their newest events, sometimes all."""
    chances = random.Random(orders.seed)  # noqa: S311 - chances, not secrets
    seen: dict[str, int] = {}
    while True:
        for pid in orders.ids:
            low = 1 if chances.random() < 0.05 else max(1, seen.get(pid, 0) - OVERLAP)
            try:
                seen[pid] = await read(journal, history, pid, low=low) or seen.get(pid, 0)
                if chances.random() < 0.2:
                    with history.call("highest", pid, within=LOOK_TIMEOUT) as call:
                        call.fields["highest"] = await journal.highest_sequence_nr(pid)
            except PersistenceError:
                await trio.sleep(0.2)  # the history says what it was
            await trio.sleep(orders.pause)


async def replay_all(journal: Journal, history: History, orders: Orders) -> None:
    """Replay every id once, whole."""
    for pid in orders.ids:
        try:
            await read(journal, history, pid)
        except PersistenceError as error:
            sys.stderr.write(f"{pid}: {error}\n")


async def run(orders: Orders, *, last: bool) -> None:
    """Watch until SIGTERM, or (`last`) replay everything once."""
    history = History(Path(orders.history), orders.process)
    async with open_journal(writer_config(orders)) as journal:
        if last:
            await replay_all(journal, history, orders)
            return
        await until_told(partial(watch, journal, history, orders))


if __name__ == "__main__":
    die_with_parent()
    trio.run(partial(run, Orders.from_argument(sys.argv[1]), last=sys.argv[2:] == ["last"]))
