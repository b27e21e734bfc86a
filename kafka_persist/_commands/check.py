"""``python -m kafka_persist check``: are the cluster's settings right for journal and snapshot store?"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import trio

from ..config import Config, load_config
from ..errors import PersistenceError
from .hints import (
    BROKER_HINTS,
    JOURNAL_HINTS,
    REPLICATION,
    SNAPSHOT_HINTS,
    TOPIC_HINTS,
    TRANSACTION_HINTS,
    Finding,
    Hint,
    Verdict,
    judge,
)

CLEAN, IN_DANGER, FAILED = 0, 1, 2
"""Exit codes: nothing dangerous, something dangerous, not answered."""

MARKS = {Verdict.OK: "ok", Verdict.ADVICE: "advice", Verdict.DANGER: "DANGER"}


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to a parser's subcommands."""
    command = commands.add_parser(
        "check",
        help="compare the cluster's settings with what the stores need",
        description="Connect, read the settings of the brokers and of the topics of journal and snapshot store, and say "
        "which ones lose data or fail writes, why, and what to set. Nothing is changed.",
        epilog="Exit code: 0 nothing dangerous, 1 something dangerous, 2 no answer.",
    )
    command.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file; by default the reference configuration"
    )
    command.add_argument(
        "--bootstrap-servers", metavar="HOST:PORT", help="these brokers instead of the configured ones"
    )
    command.add_argument("--json", action="store_true", help="print the findings as JSON")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    try:
        config = _config(options)
        findings = trio.run(collect, config)
    except PersistenceError as error:
        print(f"check: {error}")  # noqa: T201 - a command's output
        return FAILED
    print(as_json(findings) if options.json else as_table(findings))  # noqa: T201 - a command's output
    return IN_DANGER if any(finding.verdict is Verdict.DANGER for finding in findings) else CLEAN


def _config(options: argparse.Namespace) -> Config:
    environ = None
    if options.bootstrap_servers:
        import os

        environ = {**os.environ, "KAFKA_PERSIST__KAFKA_JOURNAL__BOOTSTRAP_SERVERS": options.bootstrap_servers}
    return load_config(options.config, environ=environ)


async def collect(config: Config) -> list[Finding]:
    """Ask the cluster; the findings in the order in which they are shown.

    Raises:
        ConnectError, AuthenticationError, AuthorizationError: the cluster did not answer.
    """
    from .._kafka.driver import open_driver

    async with open_driver(config.journal) as driver:
        brokers = await driver.broker_settings()
        names = await driver.topic_names()
        own = [name for name in names if _role(name, config)]
        topics = await driver.topic_settings(own)
        for name, copies in (await driver.topic_replication(own)).items():
            topics.setdefault(name, {})[REPLICATION] = str(copies)
    return list(_findings(config, brokers, topics))


def _findings(config: Config, brokers: dict[str, Any], topics: dict[str, Any]) -> Iterator[Finding]:
    count = len(brokers)
    for name, settings in brokers.items():
        version = settings.get("inter.broker.protocol.version", "")
        yield Finding(f"broker {name}", "version", version, Verdict.OK, "Kafka 2.1 and later are supported")
        yield from judge(BROKER_HINTS, f"broker {name}", settings, config, count)
        if config.journal.event_producer.mode == "exactly-once":
            yield from judge(TRANSACTION_HINTS, f"broker {name}", settings, config, count)
    for name, settings in topics.items():
        hints: tuple[Hint, ...] = TOPIC_HINTS
        hints += SNAPSHOT_HINTS if _role(name, config) == "snapshot" else JOURNAL_HINTS
        found = judge(hints, f"topic {name}", settings, config, count)
        yield from (finding for finding in found if finding.verdict is not Verdict.OK)


def _role(name: str, config: Config) -> str:
    """What a topic is for, by its name ("" for topics that are not ours)."""
    if name.startswith(config.snapshot_store.prefix):
        return "snapshot"
    is_ours = name.startswith(config.journal.prefix) and not name.startswith("__") and name != "events"
    return "journal" if config.journal.prefix and is_ours else ""


def as_json(findings: Sequence[Finding]) -> str:
    """The findings for programs."""
    keys = ("where", "setting", "value", "why", "fix")
    rows = [{key: getattr(each, key) for key in keys} | {"verdict": each.verdict.value} for each in findings]
    return json.dumps(rows, indent=2)


def as_table(findings: Sequence[Finding]) -> str:
    """The findings for people: a row each, and below those that want something, why and what to set."""
    lines = [f"{'':<7} {'where':<24} {'setting':<32} value"]
    for each in findings:
        lines.append(f"{MARKS[each.verdict]:<7} {each.where:<24} {each.setting:<32} {each.value or '(not told)'}")
        if each.fix:
            lines += textwrap.wrap(f"{each.why}.", 100, initial_indent=" " * 8, subsequent_indent=" " * 8)
            lines += textwrap.wrap(f"set {each.fix}", 100, initial_indent=" " * 8, subsequent_indent=" " * 10)
    dangers = sum(each.verdict is Verdict.DANGER for each in findings)
    advice = sum(each.verdict is Verdict.ADVICE for each in findings)
    lines.append(f"{len(findings)} settings looked at: {dangers} dangerous, {advice} with advice")
    return "\n".join(lines)
