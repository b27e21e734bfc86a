"""The tellers as the demo sees them: processes that report, line by line, what the bank may rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
from bank_account import AccountEvent, bank_serializer

from kafka_persist import Config, JournalConfig, SnapshotStoreConfig
from kafka_persist.config import Layout, SharedConfig

TELLER = Path(__file__).with_name("teller.py")

_serializer = bank_serializer()


def bank_config(bootstrap_servers: str, layout: Layout) -> Config:
    """Where the bank's accounts are kept: each in topics of its own, or all in one log."""
    if layout == "topic-per-id":
        return Config(journal=JournalConfig(bootstrap_servers=bootstrap_servers))
    return Config(
        journal=JournalConfig(
            bootstrap_servers=bootstrap_servers,
            layout=layout,
            shared=SharedConfig(partitions=1),  # so that one partition shows everything; a service takes 16
        ),
        snapshot_store=SnapshotStoreConfig(bootstrap_servers=bootstrap_servers, layout=layout),
    )


@attrs.frozen(kw_only=True)
class Report:
    """One line of a teller's.

    Attributes:
        sequence_nr: the account's last event.
        cents: the balance behind it.
        snapshot_nr: the snapshot that the account was recovered from; only in the first report.
        command: what was asked for; None in the first report.
        acknowledged: the events that it made: durable when this was said.
        refused: why there are none.
    """

    sequence_nr: int
    cents: int
    snapshot_nr: int | None = None
    command: str | None = None
    acknowledged: Mapping[int, AccountEvent] = attrs.field(factory=dict)
    refused: str = ""

    def say(self) -> None:
        """Print it as one line of JSON, at once."""
        told = attrs.asdict(self, recurse=False)
        told["acknowledged"] = {number: _to_plain(event) for number, event in self.acknowledged.items()}
        print(json.dumps(told), flush=True)

    @classmethod
    def heard(cls, text: str) -> Report:
        told = json.loads(text)
        events = {int(number): _from_plain(plain) for number, plain in told.pop("acknowledged").items()}
        return cls(**told, acknowledged=events)


def _to_plain(event: AccountEvent) -> tuple[str, int, object]:
    encoded = _serializer.dump(event)
    return encoded.name, encoded.version, encoded.data


def _from_plain(plain: tuple[str, int, object]) -> AccountEvent:
    event: AccountEvent = _serializer.load(*plain)
    return event


@contextmanager
def start_teller(
    bootstrap_servers: str, layout: Layout, account_id: str, *, commands: int | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a process that runs so many commands (None: until it is killed)."""
    limit = [] if commands is None else [str(commands)]
    command = [sys.executable, str(TELLER), bootstrap_servers, layout, account_id, *limit]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None and commands is None:
                process.kill()


def reports(process: subprocess.Popen[str]) -> Iterator[Report]:
    """What the process says, until it ends. Half a line is no promise."""
    assert process.stdout is not None
    for text in process.stdout:
        if text.endswith("\n"):
            yield Report.heard(text)
