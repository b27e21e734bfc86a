"""How each fault is made and healed. All of it blocks; the workers go on meanwhile."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import attrs

from kafka_persist_testkit.errors import TestServerError
from kafka_persist_testkit.nodes import Broker
from kafka_persist_testkit.server import TestServer

from .crew import Crew
from .network import Network
from .plan import DELIVERY_TIMEOUT, PROJECTOR, SERVICES, WRITERS
from .victims import Victims, row_of

FILLER: Final = "filler"
KEPT_FREE: Final = 4096


class NotPossible(Exception):  # noqa: N818 - a result: this machine does not allow it
    """This fault cannot be made here; the row counts as not run."""


@attrs.define
class Faults:
    """Makes one fault per call, from the row's name.

    Attributes:
        server: the brokers.
        crew: the processes.
        disk: a small file system with the broker's data; None if there is none.
        seed: where chances come from.
    """

    server: TestServer
    crew: Crew
    disk: Path | None
    seed: int
    _random: random.Random = attrs.field(init=False)
    _victims: dict[str, Callable[[], str]] = attrs.field(init=False)
    _network: Network = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - chances, not secrets
        self._network = Network(self.server, self._random)
        self._victims = row_of(Victims(self.server, self.seed, self.crew.layout))

    def make(self, row: str) -> str:
        """Make and heal one fault; what was done.

        Raises:
            NotPossible: not on this machine.
            Missed: damage was not reported.
        """
        if row in self._victims:
            return f"reported as {self._victims[row]()}"
        return {
            "1": self._kill,
            "2": self._roll,
            "3": self._kill,
            "4": self._freeze,
            "5": self._majority,
            "6": self._outage,
            "7": self._network.slow_down,
            "20": self._network.cut_off_clients,
            "23": self._network.cut_off_brokers,
            "25": self._network.swizzle,
            "27": self._fill_disk,
            "30": self._kill_process,
            "30 at": self._crash_writer,
            "31": self._zombie,
            "32": self._rivals,
            "43": self._zookeeper,
        }[row]()

    def _between(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def _any_writer(self) -> str:
        return self._random.choice(WRITERS)

    # --- brokers -------------------------------------------------------------------------------------------------

    def _any_broker(self) -> Broker:
        return self._random.choice(self.server.brokers)

    def _roll(self) -> str:
        for broker in self.server.brokers:
            broker.restart()
            time.sleep(self._between(0, 3))
        return "restarted"

    def _kill(self) -> str:
        broker = self._any_broker()
        broker.kill()
        seconds = self._between(0, 8)
        time.sleep(seconds)
        broker.start()
        return f"{broker.name} down for {seconds:.1f} s"

    def _freeze(self) -> str:
        broker = self._any_broker()
        broker.pause()
        seconds = self._between(1, 12)
        time.sleep(seconds)
        broker.resume()
        return f"{broker.name} stopped for {seconds:.1f} s"

    def _majority(self) -> str:
        chosen = self._random.sample(list(self.server.brokers), 2)
        how = self._random.choice(["killed", "stopped"])
        for broker in chosen:
            broker.kill() if how == "killed" else broker.pause()
        seconds = self._between(2, 10)
        time.sleep(seconds)
        _start_together(chosen)
        return f"{chosen[0].name} and {chosen[1].name} {how} for {seconds:.1f} s"

    def _outage(self) -> str:
        for broker in self.server.brokers:
            broker.kill()
        seconds = DELIVERY_TIMEOUT + self._between(2, 10)
        time.sleep(seconds)
        _start_together(self.server.brokers)
        return f"down for {seconds:.1f} s"

    def _fill_disk(self) -> str:
        if self.disk is None:
            raise NotPossible("no small file system could be mounted")
        filler = self.disk / FILLER
        subprocess.run(  # noqa: S603 - a fixed command
            ["/bin/dd", "if=/dev/zero", f"of={filler}", "bs=1M", "status=none"], check=False, capture_output=True
        )
        ended = self.server.broker.wait_exit(self._between(5, 15))
        filler.unlink()
        self.server.broker.restart()
        return "full until the broker ended" if ended else "full"

    def _zookeeper(self) -> str:
        if self._random.random() < 0.5:
            self.server.zookeeper.pause()
            seconds = self._between(1, 4)
            time.sleep(seconds)
            self.server.zookeeper.resume()
            return f"stopped for {seconds:.1f} s"
        self.server.zookeeper.kill()
        seconds = self._between(0, 4)
        time.sleep(seconds)
        self.server.zookeeper.start()
        return f"killed, down for {seconds:.1f} s"

    # --- clients ---------------------------------------------------------------------------------------------------

    def _kill_process(self) -> str:
        place = self._random.choice([*WRITERS, *SERVICES, PROJECTOR])
        self.crew.members[place].kill()
        self.crew.start_member(place)
        return f"{place} killed"

    def _crash_writer(self) -> str:
        place = self._any_writer()
        self.crew.members[place].kill()
        member = self.crew.start_member(place, crash=True)
        try:
            member.process.wait(30)
        except subprocess.TimeoutExpired:
            member.kill()
        self.crew.start_member(place)
        assert member.orders.crash is not None
        point, number = member.orders.crash
        return f"{place} died {point} {number} ({member.process.returncode})"

    def _zombie(self) -> str:
        place, seconds = self._any_writer(), self._between(2, 10)
        self.crew.members[place].signal(signal.SIGSTOP)
        rival = self.crew.start_rival(place, 16)
        time.sleep(seconds)
        self.crew.members[place].signal(signal.SIGCONT)
        time.sleep(self._between(1, 4))
        rival.kill()
        return f"{place} stopped for {seconds:.1f} s, 16 ids taken over"

    def _rivals(self) -> str:
        place, seconds = self._any_writer(), self._between(3, 8)
        rival = self.crew.start_rival(place, 16)
        time.sleep(seconds)
        rival.kill()
        return f"16 ids of {place} with two writers for {seconds:.1f} s"

    # --- at the end ------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Bring back whatever is down."""
        if self.disk is not None:
            (self.disk / FILLER).unlink(missing_ok=True)
        if len(self.server.brokers) > 1:
            self._network.heal()
        zookeeper = [self.server.zookeeper] if self.server.zookeeper_connect else []
        for node in (*zookeeper, *self.server.brokers):
            try:
                node.start()
            except TestServerError:
                node.restart()


def _start_together(brokers: Sequence[Broker]) -> None:
    """Start or resume brokers that may need each other to become ready."""
    with ThreadPoolExecutor(len(brokers)) as threads:
        for done in [threads.submit(broker.start) for broker in brokers]:
            done.result()
