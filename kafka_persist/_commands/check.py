"""``kafka-persist check``: are the cluster's settings right for journal and snapshot store?"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click
import trio

from ..config import Config
from ..errors import PersistenceError
from .frame import DONE, FAILED, FOUND, Command, Source, with_source
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

MARKS = {Verdict.OK: "ok", Verdict.ADVICE: "advice", Verdict.DANGER: "DANGER"}


@click.command(
    "check",
    cls=Command,
    short_help="Compare the cluster's settings with what the stores need.",
    epilog="Exit code: 0 nothing dangerous, 1 something dangerous, 2 no answer.",
)
@with_source
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(source: Source, *, as_json: bool) -> int:
    """Compare the cluster's settings with what the stores need.

    Connect, read the settings of the brokers and of the topics of journal and snapshot store, and say which ones lose
    data or fail writes, why, and what to set. Nothing is changed.
    """
    try:
        findings = trio.run(collect, source.config())
    except PersistenceError as error:
        click.echo(f"check: {error}")
        return FAILED
    click.echo(findings_as_json(findings) if as_json else findings_as_table(findings))
    return FOUND if any(finding.verdict is Verdict.DANGER for finding in findings) else DONE


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


def findings_as_json(findings: Sequence[Finding]) -> str:
    """The findings for programs."""
    keys = ("where", "setting", "value", "why", "fix")
    rows = [{key: getattr(each, key) for key in keys} | {"verdict": each.verdict.value} for each in findings]
    return json.dumps(rows, indent=2)


def findings_as_table(findings: Sequence[Finding]) -> str:
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
