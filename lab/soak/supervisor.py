"""A soak from its start to its verdict."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import attrs

from kafka_persist.config import Layout
from kafka_persist_testkit.modes import Mode
from kafka_persist_testkit.server import TestServer
from kafka_persist_testkit.settings import TestServerSettings

from ..checker import Verdict, check
from ..history import read_histories
from .crew import Crew
from .faults import Faults, NotPossible
from .plan import INSIDE, PROJECTOR, ROWS, SERVICES, WRITERS, Row
from .report import report
from .victims import Missed

PROPERTIES: Final = {
    "log.segment.bytes": str(1 << 20),
    "log.segment.delete.delay.ms": "1000",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "auto.create.topics.enable": "false",
}
SEVERAL: Final = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "replica.lag.time.max.ms": "2000",
}
DISK_BYTES: Final = 3 << 30
SETTLE: Final = (4.0, 9.0)
QUIET: Final = 20.0
LAST: Final = 900.0


@attrs.define
class Soak:
    """One soak.

    Attributes:
        minutes: how long faults are made.
        brokers: how many there are: one or three.
        mode: `zookeeper` or `kraft`.
        seed: where all chances come from.
        layout: of the journals and snapshot stores.
        directory: histories, logs, `faults.jsonl`, `verdict.json`.
        fired: how often each row was made.
        impossible: rows that cannot be made here, and why.
        missed: damage that was not reported.
    """

    minutes: float
    brokers: int
    mode: Mode
    seed: int
    layout: Layout
    directory: Path
    fired: Counter[str] = attrs.field(factory=Counter)
    impossible: dict[str, str] = attrs.field(factory=dict)
    missed: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)

    def run(self) -> dict[str, Any]:
        """Run it; the verdict."""
        started = time.monotonic()
        with small_disk() as disk, self._server(disk) as server:
            crew = Crew(server, self.directory, self.seed, self.layout)
            faults = Faults(server, crew, disk, self.seed)
            try:
                self._work(crew, faults)
            finally:
                for member in (*crew.members.values(), *crew.others):
                    member.kill()
        return self._judge(time.monotonic() - started)

    def _server(self, disk: Path | None) -> TestServer:
        """One broker on a small disk, which can be filled, or several."""
        if self.brokers > 1:
            return TestServer(
                self.mode,
                brokers=self.brokers,
                proxies=True,
                properties=PROPERTIES | SEVERAL,
                java_options=["-Xmx512m"],
            )
        settings = TestServerSettings(log_dirs=disk) if disk is not None else TestServerSettings()
        return TestServer(self.mode, settings=settings, properties=PROPERTIES, java_options=["-Xmx512m"])

    def _fits(self, row: Row) -> bool:
        return row.fits(self.brokers, zookeeper=self.mode is Mode.ZOOKEEPER)

    def _work(self, crew: Crew, faults: Faults) -> None:
        for place in (*WRITERS, *SERVICES, PROJECTOR):
            crew.start_member(place)
        crew.others.append(crew.start("reader", crew.ids, module="watcher", pause=0.05))
        time.sleep(10)
        self._make_faults(crew, faults)
        faults.heal()
        time.sleep(QUIET)
        for name in crew.stop():
            self.errors.append(f"{name} did not end by itself")
        for name, ids, module in (("last", crew.ids, "watcher"), ("last-look", [], "projector")):
            last = crew.start(name, ids, "last", module=module)
            crew.others.append(last)
            if last.process.wait(LAST) != 0:
                self.errors.append(f"{name} failed: see its log")

    def _make_faults(self, crew: Crew, faults: Faults) -> None:
        chances = random.Random(self.seed)  # noqa: S311 - chances, not secrets
        drawn = [row for row in ROWS if row.drawn and self._fits(row)]
        end = time.monotonic() + self.minutes * 60
        with (self.directory / "faults.jsonl").open("w", encoding="utf-8") as log:
            while time.monotonic() < end:
                unmade = [row for row in drawn if not self.fired[row.name] and row.name not in self.impossible]
                late = time.monotonic() > end - 15 * len(unmade)
                row = (
                    chances.choice(unmade)
                    if unmade and late
                    else chances.choices(drawn, [row.weight for row in drawn])[0]
                )
                began = time.monotonic()
                note(log, t=began, begins=True, row=row.name)
                what = self._make(faults, row.name)
                note(log, t=time.monotonic(), begins=False, row=row.name, what=what)
                self._revive(crew)
                time.sleep(chances.uniform(*SETTLE))

    def _make(self, faults: Faults, row: str) -> str:
        try:
            what = faults.make(row)
        except NotPossible as reason:
            self.impossible[row] = str(reason)
            return f"not possible: {reason}"
        except Missed as missed:
            self.missed.append(f"row {row}: {missed}")
            what = f"NOT REPORTED: {missed}"
        except Exception as error:  # noqa: BLE001 - whatever happened, the soak goes on and the verdict tells
            self.errors.append(f"row {row}: {error!r}")
            faults.heal()
            return f"failed: {error!r}"
        self.fired[row] += 1
        return what

    def _revive(self, crew: Crew) -> None:
        """A worker that ended by itself is an error; it is replaced all the same."""
        for place, member in list(crew.members.items()):
            if member.process.poll() is not None:
                self.errors.append(f"{member.orders.process} ended by itself with {member.process.returncode}")
                crew.start_member(place)

    # --- the verdict -----------------------------------------------------------------------------------------------

    def _judge(self, seconds: float) -> dict[str, Any]:
        verdict = check(self._noting_fired(read_histories(sorted(self.directory.glob("*.jsonl")))))
        result = self._result(verdict, seconds)
        (self.directory / "verdict.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
        return result

    def _noting_fired(self, lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        inside: dict[str, dict[str, int]] = {}
        for line in lines:
            if line.get("op") == "fired":
                inside[line["proc"]] = line["counts"]
            elif line.get("op") == "delete" and line["phase"] == "ok":
                self.fired["53"] += 1
            yield line
        for counts in inside.values():
            for site, count in counts.items():
                if site in INSIDE:
                    self.fired[INSIDE[site]] += count

    def _result(self, verdict: Verdict, seconds: float) -> dict[str, Any]:
        rows = {
            row.name: {
                "what": row.what,
                "made": self.fired[row.name] or f"not run: {self.impossible.get(row.name, 'never drawn')}",
            }
            for row in ROWS
            if self._fits(row)
        }
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "brokers": self.brokers,
            "mode": str(self.mode),
            "layout": self.layout,
            "seconds": round(seconds),
            "clean": verdict.clean and not self.missed and not self.errors and not verdict.damaged,
            "events stored": verdict.totals["events stored"],
            "events read": verdict.totals["events read"],
            "faults": sum(self.fired[row.name] for row in ROWS if row.drawn),
            "faults inside": sum(self.fired[row.name] for row in ROWS if not row.drawn),
            "broken": dict(verdict.counts),
            "first broken": [attrs.asdict(broken) for broken in verdict.broken[:20]],
            "damage reported": sorted(verdict.damaged),
            "damage not reported": self.missed,
            "errors": self.errors,
            "rows": rows,
            "calls": dict(sorted(verdict.totals.items())),
        }


@contextlib.contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system that can be filled; None where none can be mounted."""
    directory = Path(tempfile.mkdtemp(prefix="kafka-persist-disk-"))
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0  # noqa: S603 - a fixed command
    try:
        yield directory if mounted else None
    finally:
        if mounted:
            subprocess.run(["/bin/umount", "-l", str(directory)], check=False)  # noqa: S603 - a fixed command
        directory.rmdir()


def note(log: TextIO, **fields: Any) -> None:
    """A line about a fault, which the checker reads as well: what fails then may fail."""
    log.write(json.dumps({"proc": "soak", "op": "fault", **fields}) + "\n")
    log.flush()


def main(minutes: float, brokers: int, mode: Mode, seed: int | None, layout: Layout, directory: Path | None) -> int:
    """Run a soak and print its verdict; the exit code."""
    seed = random.SystemRandom().randrange(1 << 30) if seed is None else seed
    directory = directory or Path(tempfile.mkdtemp(prefix="kafka-persist-soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"seed {seed}, histories in {directory}\n")
    sys.stdout.flush()
    result = Soak(minutes, brokers, mode, seed, layout, directory).run()
    sys.stdout.write(report(result))
    return 0 if result["clean"] else 1
