"""The main job, in front of your eyes: an account survives the death of the program that was working on it.

    python examples/demo.py [--layout shared]

Starts a real Kafka of its own, so nothing has to be installed or running before. The exit code is 0 if every event that
was ever acknowledged is still there, unchanged, and 1 if not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import get_args

import story
import trio
from bank_account import Account, AccountEvent, bank_serializer, euros, evolve
from plain_consumer import describe, read_topic
from tellers import Report, bank_config, reports, start_teller

from kafka_persist import open_journal
from kafka_persist.config import Layout
from kafka_persist_testkit import TestServer

ACCOUNT = "account-ada"
TOPICS: Mapping[Layout, str] = {"topic-per-id": ACCOUNT, "shared": "journal"}
ENOUGH = 60
"""Acknowledged events after which the first teller is killed. Nobody tells it, so it is at work when that happens."""

Events = dict[int, AccountEvent]
"""By sequence number."""


def main() -> int:
    parser = argparse.ArgumentParser(description="A bank account that survives the death of its program.")
    parser.add_argument(
        "--layout",
        choices=get_args(Layout),
        default="topic-per-id",
        help="where events are: in a topic for each account (default), or of all accounts in one log",
    )
    layout: Layout = parser.parse_args().layout
    started = time.monotonic()
    story.title("A bank account that survives the death of its program")
    story.step("Kafka and ZooKeeper start: real ones, on free ports of this machine, gone when the demo ends")
    with TestServer() as server:
        story.line(f"Kafka {server.kafka_version} answers at {server.bootstrap_servers}")
        story.line(f"after {time.monotonic() - started:.1f} seconds.")
        acknowledged = first_teller(server.bootstrap_servers, layout)
        recovered, later = second_teller(server.bootstrap_servers, layout, acknowledged)
        stored = trio.run(read_back, server.bootstrap_servers, layout)
        show_topic(server.bootstrap_servers, TOPICS[layout])
    problems = compare(acknowledged | later, stored) + check_balance(recovered, stored)
    return conclude(len(acknowledged | later), problems, time.monotonic() - started)


def first_teller(bootstrap_servers: str, layout: Layout) -> Events:
    """Let a teller work, kill it in the middle, and return what it had acknowledged."""
    acknowledged: Events = {}
    with start_teller(bootstrap_servers, layout, ACCOUNT) as process:
        story.step(f"A teller (process {process.pid}) works on the account: commands in, events out")
        for report in reports(process):
            if len(acknowledged) < 12:
                story.report(report)
            acknowledged |= report.acknowledged
            if len(acknowledged) >= ENOUGH:
                break
        process.kill()
        story.line("… and so on, with a snapshot every 20 events, until")
        for report in reports(process):  # said before it died, and not read yet
            acknowledged |= report.acknowledged
    story.step(f"kill -9 {process.pid}, in the middle of its work")
    story.line(f"{len(acknowledged)} events were acknowledged, the last of them is #{max(acknowledged)}.")
    return acknowledged


def second_teller(bootstrap_servers: str, layout: Layout, before: Events) -> tuple[Report, Events]:
    """Let another teller recover the account and go on; return what it found and what it acknowledged."""
    with start_teller(bootstrap_servers, layout, ACCOUNT, commands=4) as process:
        story.step(f"Another teller (process {process.pid}) opens the account")
        recovered, *others = reports(process)
        story.recovery(recovered, max(before))
        later: Events = {}
        for report in others:
            story.report(report)
            later |= report.acknowledged
    if process.returncode != 0:
        raise SystemExit("the second teller failed; its error is above")
    return recovered, later


async def read_back(bootstrap_servers: str, layout: Layout) -> Events:
    """Replay the events of the account with the library, in this process, which has seen none of them."""
    config = bank_config(bootstrap_servers, layout).journal
    async with open_journal(config, serializer=bank_serializer()) as journal, journal.replay(ACCOUNT) as events:
        return {event.sequence_nr: event.payload async for event in events}


def show_topic(bootstrap_servers: str, topic: str) -> None:
    story.step(f"The same events as any Kafka consumer sees them: topic {topic}, partition 0")
    lines = [describe(offset, value) for offset, value in read_topic(bootstrap_servers, topic)]
    story.abridged(lines, first=7, last=7)


def compare(acknowledged: Events, stored: Events) -> list[str]:
    """What was promised and is not there."""
    return [
        f"event #{number} was acknowledged as {event}, but {stored.get(number, 'nothing')} is stored"
        for number, event in sorted(acknowledged.items())
        if stored.get(number) != event
    ]


def check_balance(recovered: Report, stored: Mapping[int, AccountEvent]) -> list[str]:
    """Add everything up from the beginning: the state that came from snapshot and events has to be the same."""
    events = [event for number, event in sorted(stored.items()) if number <= recovered.sequence_nr]
    expected = reduce(evolve, events, Account()).cents
    if recovered.cents == expected:
        return []
    return [f"the second teller found {euros(recovered.cents)}, the events make {euros(expected)}"]


def conclude(promised: int, problems: Sequence[str], seconds: float) -> int:
    if problems:
        story.step("LOST: this must never happen")
        story.abridged(problems, first=10, last=0)
        return 1
    story.step(f"All {promised} acknowledged events are there, unchanged. The demo took {seconds:.1f} seconds.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
