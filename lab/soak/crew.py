"""The worker processes of a soak: started, killed, stopped, replaced."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from kafka_persist.config import Layout
from kafka_persist_testkit.server import TestServer

from .crash import POINTS
from .orders import Orders
from .plan import IDS, LOGS_OF, PROJECTOR, SERVICES, WRITERS, in_logs

GRACE: Final = 60.0


@attrs.define
class Member:
    """One process.

    Attributes:
        orders: what it was told.
        process: itself.
    """

    orders: Orders
    process: subprocess.Popen[bytes]

    def signal(self, number: int) -> None:
        """Send a signal, if it lives."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.process.wait()


class Crew:
    """Starts processes; each gets a history file and a name of its own.

    Args:
        server: The brokers.
        directory: Where the histories go.
        seed: Where chances come from.
        layout: Of the journals.
    """

    def __init__(self, server: TestServer, directory: Path, seed: int, layout: Layout) -> None:
        self._server = server
        self.layout: Layout = layout
        self.directory = directory
        self._random = random.Random(seed)  # noqa: S311 - chances, not secrets
        self._count = 0
        self.members: dict[str, Member] = {}
        self.others: list[Member] = []

    @property
    def ids(self) -> list[str]:
        """All persistence ids of the writers."""
        return [pid for place in WRITERS for pid in self._ids_of(place)]

    def _ids_of(self, place: str) -> list[str]:
        return [in_logs(f"soak-{place}-{number}", LOGS_OF[place]) for number in range(IDS)]

    def start_member(self, place: str, *, crash: bool = False) -> Member:
        """Start the process of one of `WRITERS`, `SERVICES` or the `PROJECTOR`, or its replacement."""
        if place in SERVICES:
            member = self.start(place, [], module="service", by_zookeeper=place == SERVICES[0])
        elif place == PROJECTOR:
            member = self.start(place, [], module="projector")
        else:
            point = (self._random.choice(POINTS), self._random.randrange(20, 400)) if crash else None
            member = self.start(place, self._ids_of(place), crash=point, faulty=place == WRITERS[-1])
        self.members[place] = member
        return member

    def start_rival(self, place: str, count: int) -> Member:
        """Start one more process for some of a writer's ids."""
        ids = self._random.sample(self._ids_of(place), count)
        member = self.start(f"{place}-rival", ids)
        self.others.append(member)
        return member

    def start(
        self,
        name: str,
        ids: Sequence[str],
        *words: str,
        module: str = "worker",
        crash: tuple[str, int] | None = None,
        faulty: bool = False,
        by_zookeeper: bool = False,
        pause: float = 0.35,
    ) -> Member:
        """Start a process of the soak."""
        self._count += 1
        process = f"{name}.{self._count}"
        orders = Orders(
            servers=self._server.bootstrap_servers,
            zookeeper=(self._server.zookeeper_connect or "") if by_zookeeper else "",
            replication=min(3, len(self._server.brokers)),
            history=str(self.directory / f"{process}.jsonl"),
            process=process,
            ids=list(ids),
            seed=self._random.randrange(1 << 30),
            faulty=faulty,
            crash=crash,
            pause=pause,
            layout=self.layout,
            index=str(self.directory / f"index-{name}") if name in LOGS_OF else "",
        )
        Path(orders.history).touch()
        argv = [sys.executable, "-m", f"lab.soak.{module}", orders.to_argument(), *words]
        with (self.directory / f"{process}.log").open("wb") as log:
            return Member(orders, subprocess.Popen(argv, stdout=log, stderr=log, env=_environment()))  # noqa: S603

    def stop(self) -> list[str]:
        """Ask all to end; the names of those that had to be killed."""
        members = [*self.members.values(), *self.others]
        for member in members:
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)
        killed = []
        for member in members:
            try:
                member.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                killed.append(member.orders.process)
                _ask_for_stacks(member)
                member.kill()
        return killed


def _ask_for_stacks(member: Member) -> None:
    """Let a process write to its log where it is."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        member.signal(number)
        time.sleep(1)


def _environment() -> dict[str, str]:
    here = str(Path(__file__).parents[2])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": here if not path else f"{here}{os.pathsep}{path}"}
