"""Starts the fleet, disturbs it by a seed, and counts what is stored."""

from __future__ import annotations

import json
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter

import trio

from kafka_persist import open_persistence
from kafka_persist_testkit import TestServer

from .service import config_of

PAUSE = 10.0
"""Seconds for which a process is stopped: longer than its session."""


def say_line(text: str) -> None:
    """Print a line now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Process:
    """One process of the fleet, and what it has said."""

    def __init__(self, words: list[str], name: str) -> None:
        self.name = name
        self.lines: list[dict[str, object]] = []
        self.finished = self.ready = False
        self._child = subprocess.Popen(  # noqa: S603 - this program
            [sys.executable, "-m", "lab.fleet.service", *words], stdout=subprocess.PIPE, text=True
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if not line.endswith("\n"):
                break  # killed in the middle of it
            said = json.loads(line)
            self.ready = self.ready or "ready" in said
            self.finished = self.finished or "finished" in said
            self.lines.append(said)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.alive:
            self._child.send_signal(number)

    def end(self, number: signal.Signals, seconds: float = 60.0) -> None:
        """Send it a signal and wait until it has ended."""
        self.send(number)
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reading.join()


class Fleet:
    """The processes, present and past."""

    def __init__(self, bootstrap: str, prefix: str, seed: int, commands: int, ids: int) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self.chance = random.Random(seed)  # noqa: S311 - chances, not secrets
        self._seed, self._commands, self._ids = seed, commands, ids
        self.all: list[Process] = []
        self.faults: Counter[str] = Counter()

    @property
    def living(self) -> list[Process]:
        """Those that run."""
        return [process for process in self.all if process.alive]

    def start(self, *, commands: int | None = None) -> Process:
        """Start one more, and wait until it is ready."""
        name = f"p{len(self.all)}"
        count = self._commands if commands is None else commands
        words = [self.bootstrap, self.prefix, name, str(self._seed + len(self.all)), str(count), str(self._ids)]
        process = Process(words, name)
        self.all.append(process)
        _wait(lambda: process.ready or not process.alive, 60)
        return process

    def disturb(self) -> None:
        """Do one thing to the fleet; what is killed or rolled is replaced by a process that asks its commands, too."""
        victim = self.chance.choice(self.living)
        match self.chance.choice(["kill", "pause", "roll"]):
            case "kill":
                self.faults["killed"] += 1
                victim.end(signal.SIGKILL)
                self.start()
            case "pause":
                self.faults["paused"] += 1
                victim.send(signal.SIGSTOP)
                time.sleep(PAUSE)  # a process that stands still tells nothing
                victim.send(signal.SIGCONT)
            case "roll":
                self.faults["rolled"] += 1
                victim.end(signal.SIGTERM)
                self.start()

    def end(self) -> None:
        """End all, in order."""
        for process in self.living:
            process.end(signal.SIGTERM)


def _wait(condition: object, seconds: float) -> bool:
    """Wait until a condition holds."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)  # the lines of other processes come without an event
    return True


async def _stored(fleet: Fleet) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    async with open_persistence(config_of(fleet.bootstrap, fleet.prefix)) as persistence:
        async with persistence.journal.persistence_ids() as names:
            listed = [name async for name in names]
        for name in listed:
            async with persistence.journal.replay(name) as events:
                found[name] = [str(event.payload) async for event in events]
    return found


def judge(fleet: Fleet, stored: dict[str, list[str]]) -> list[str]:
    """The promises that were broken."""
    said = [line for process in fleet.all for line in process.lines]
    asked = {str(line["asked"]): str(line["id"]) for line in said if "asked" in line}
    told = {str(line["told"]): str(line["outcome"]) for line in said if "told" in line}
    found = Counter(command for commands in stored.values() for command in commands)
    broken = [f"{command} took effect {count} times" for command, count in found.items() if count > 1]
    broken += [
        f"{command} was confirmed, and is not stored"
        for command, told_ in told.items()
        if told_ == "done" and not found[command]
    ]
    broken += [
        f"{command} was refused, and is stored" for command, told_ in told.items() if told_ == "not" and found[command]
    ]
    broken += [f"{command} is stored, and nobody asked for it" for command in found if command not in asked]
    for name, commands in stored.items():
        last: dict[str, int] = {}
        for command in commands:
            asker, _, number = command.rpartition("/")
            if int(number) < last.get(asker, -1):
                broken.append(f"{name}: {command} after number {last[asker]} of the same asker")
            last[asker] = int(number)
    return broken


def main(*, processes: int, commands: int, ids: int, faults: int, seed: int) -> int:
    """Run a fleet; 0 if every promise was kept."""
    say_line(f"seed {seed}: {processes} processes, {commands} commands each over {ids} ids, {faults} faults")
    with TestServer(mode="kraft") as server:
        fleet = Fleet(server.bootstrap_servers, f"fleet{seed}-", seed, commands, ids)
        begun = time.monotonic()
        try:
            for _ in range(processes):
                fleet.start()
            for _ in range(faults):
                time.sleep(fleet.chance.uniform(0.5, 3.0))  # when a fault comes is for the seed to say
                fleet.disturb()
            complete = _wait(lambda: all(process.finished for process in fleet.living), 300)
            seconds = time.monotonic() - begun
        finally:
            fleet.end()
        broken = judge(fleet, trio.run(_stored, fleet)) + ([] if complete else ["not all processes came to their end"])
    _report(fleet, broken, seconds)
    return 1 if broken else 0


def _report(fleet: Fleet, broken: list[str], seconds: float) -> None:
    outcomes: Counter[str] = Counter()
    times: list[float] = []
    for process in fleet.all:
        for line in process.lines:
            if "told" in line:
                outcomes[str(line["outcome"])] += 1
                times.append(float(str(line["seconds"])))
            elif "finished" in line:
                say_line(f"  {process.name}: {line['statistics']}")
    say_line(f"faults {dict(fleet.faults)}, outcomes {dict(outcomes)}, {seconds:.0f} s")
    if times:
        slow = statistics.quantiles(times, n=1000)
        say_line(
            f"a command took {statistics.median(times) * 1000:.1f} ms (median), {slow[-10]:.2f} s (p99), {max(times):.2f} s (worst)"
        )
    for promise in broken[:20]:
        say_line(f"BROKEN: {promise}")
    say_line("every command took effect once, or not at all" if not broken else f"{len(broken)} promises broken")
