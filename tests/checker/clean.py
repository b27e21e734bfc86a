"""Random clean histories: a tiny journal in memory, which does everything right, writes the lines that processes would."""

from __future__ import annotations

import itertools
import random

PIDS = ("a", "b")


class Log:
    """One id: the batches that count, and what is still to be decided."""

    def __init__(self) -> None:
        self.events: list[tuple[int, str]] = []
        self.highest = 0
        self.floor = 0
        self.writer = ""
        self.former = ""
        self.open: list[list[tuple[int, str]]] = []


class Author:
    """Makes a history, step by step."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[dict] = []
        self.logs = {pid: Log() for pid in PIDS}
        self.calls = itertools.count(1)
        self.marks = itertools.count(1)
        self.writers = itertools.count(1)
        self.now = 0.0

    def call(self, op: str, pid: str, ends: dict, **begins) -> None:
        number, proc = next(self.calls), self.random.choice(["p", "q"])
        begins = {"within": 10, **begins}
        self.line(phase="invoke", call=number, proc=proc, op=op, pid=pid, **begins)
        self.line(call=number, proc=proc, op=op, pid=pid, **{"phase": "ok", **ends})

    def line(self, **fields) -> None:
        self.now += self.random.random()
        self.lines.append({"t": self.now, **fields})

    # --- operations ----------------------------------------------------------------------------------------------

    def claim(self, pid: str) -> None:
        log = self.logs[pid]
        for batch in log.open:  # what landed before the claim counts, the rest never will
            if batch[0][0] == log.highest + 1 and self.random.random() < 0.5:
                self.store(log, batch)
        log.open.clear()
        log.former, log.writer = log.writer, f"w{next(self.writers)}"
        self.call("claim", pid, {"highest": log.highest}, writer=log.writer)

    def store(self, log: Log, batch: list[tuple[int, str]]) -> None:
        log.events.extend(batch)
        log.highest = batch[-1][0]

    def write(self, pid: str) -> None:
        log = self.logs[pid]
        if not log.writer or log.open:
            self.claim(pid)
        batch = self.batch(log.highest + 1)
        self.store(log, batch)
        self.submit(pid, log.writer, batch, "ok")

    def batch(self, first: int) -> list[tuple[int, str]]:
        return [(first + place, f"m{next(self.marks)}") for place in range(self.random.randint(1, 4))]

    def submit(self, pid: str, writer: str, batch: list[tuple[int, str]], phase: str) -> None:
        self.call("write", pid, {"phase": phase}, writer=writer, first=batch[0][0], marks=[mark for _, mark in batch])

    def reject(self, pid: str) -> None:
        log = self.logs[pid]
        if not log.writer or log.open:
            self.claim(pid)
        batch = self.batch(log.highest + 1)
        log.highest_used = batch[-1][0]
        self.submit(pid, log.writer, batch, "rejected")
        more = self.batch(batch[-1][0] + 1)
        self.store(log, more)
        self.submit(pid, log.writer, more, "ok")

    def zombie(self, pid: str) -> None:
        log = self.logs[pid]
        if log.former:
            self.submit(pid, log.former, self.batch(log.highest + 1), "fenced")

    def unknown(self, pid: str) -> None:
        log = self.logs[pid]
        if not log.writer or log.open:
            self.claim(pid)
        batch = self.batch(log.highest + 1)
        self.submit(pid, log.writer, batch, "unknown")
        if self.random.random() < 0.5:
            self.store(log, batch)
            log.writer = ""
        else:
            log.open.append(batch)

    def replay(self, pid: str) -> None:
        log, low = self.logs[pid], self.random.choice([1, 1, self.random.randint(1, 9)])
        events = [[number, mark] for number, mark in log.events if number >= low and number > log.floor]
        self.call("replay", pid, {"events": events}, low=low)

    def highest(self, pid: str) -> None:
        self.call("highest", pid, {"highest": self.logs[pid].highest})

    def delete(self, pid: str) -> None:
        log = self.logs[pid]
        to = self.random.randint(0, log.highest)
        log.floor = max(log.floor, to)
        self.call("delete", pid, {}, to=to)

    def snapshot(self, pid: str) -> None:
        log = self.logs[pid]
        self.call("snapshot", pid, {"number": log.highest or None}, bound=1 << 40)


OPERATIONS = (
    "write",
    "write",
    "write",
    "write",
    "claim",
    "reject",
    "zombie",
    "unknown",
    "replay",
    "highest",
    "snapshot",
    "delete",
)


def history(seed: int) -> list[dict]:
    """A history with everything in it."""
    author = Author(seed)
    for _ in range(author.random.randint(20, 50)):
        getattr(author, author.random.choice(OPERATIONS))(author.random.choice(PIDS))
    for pid in PIDS:
        author.write(pid)
        author.reject(pid)
        author.claim(pid)
        author.zombie(pid)
        author.unknown(pid)
        author.unknown(pid)
        author.replay(pid)
        author.claim(pid)
        author.highest(pid)
        author.snapshot(pid)
        low = author.logs[pid].floor + 1
        events = [[number, mark] for number, mark in author.logs[pid].events if number >= low]
        author.call("replay", pid, {"events": events}, low=1)
    return author.lines
