"""``kafka-persist verify``: walks the logs from their start, and reports what counts, what does not and why, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import click
import trio

from .._journal.verifying import IdReport, LogReport, Problem
from ..config import Config
from ..errors import StoredDataError
from ..serialization import RawSerializer, Serializer
from ..snapshots import KafkaSnapshotStore
from .frame import DONE, FOUND, Command, Source, serializer_of, with_json, with_serializer, with_source
from .output import Listing, note
from .progress import Progress
from .stores import for_reading, open_snapshots_for_reading
from .verifiers import verifier_of

COLUMNS: Final = ("verdict", "persistence id", "log", "offset", "what")


@click.command("verify", cls=Command, short_help="Look for damage in logs and snapshots.")
@with_source
@click.argument("persistence_id", metavar="[ID]", required=False)
@click.option("--all", "every", is_flag=True, help="All logs of the journal.")
@click.option("--no-snapshots", is_flag=True, help="Leave the snapshots out.")
@with_serializer("The program's Serializer: whether each event can be read as its type is looked at, too.")
@with_json("one object for each log and each id")
def command(
    source: Source,
    *,
    persistence_id: str | None,
    every: bool,
    no_snapshots: bool,
    serializer_name: str | None,
    as_json: bool,
) -> int:
    """Walk the log of a persistence id (or all logs) from its start, and report what counts and what is wrong.

    Reported are records that do not count and why (a writer that was fenced, say: that is no fault), numbers that no event
    has (a rejected write leaves them: no fault either), damage, missing events, payloads that cannot be read, and the
    newest snapshot if it is damaged or newer than the last event. Exit code 1: something is wrong, or the id was never
    written.
    """
    if (persistence_id is None) is not every:
        raise click.UsageError("Give a persistence id, or --all.")
    serializer = serializer_of(serializer_name)
    with Listing(COLUMNS, as_json=as_json) as listing, Progress("verifying") as progress:
        report = Reporting(listing, serializer, quiet=every, progress=progress)
        trio.run(verify, source.config(), persistence_id, report, not no_snapshots)
    if not report.logs:
        note(
            "there is no log" if persistence_id is None else f"{persistence_id!r} has no log: it has never been opened"
        )
        return DONE if every else FOUND
    note(f"{report.logs} logs, {report.ids} ids, {report.events} events: {report.wrong or 'nothing'} wrong")
    return FOUND if report.wrong else DONE


async def verify(config: Config, persistence_id: str | None, report: Reporting, with_snapshots: bool) -> None:
    """Walk and report.

    Raises:
        BrokerError: there was no answer; what was printed is right, but not all.
    """
    from .._kafka.driver import open_driver

    journal = for_reading(config.journal)
    async with (
        open_driver(journal) as driver,
        open_snapshots_for_reading(config, report.serializer) as store,
    ):
        report.store = store if with_snapshots else None
        verifier = verifier_of(driver, journal, report.serializer)
        if persistence_id is None:
            await verifier.verify_all(report.found)
        else:
            await verifier.verify(persistence_id, report.found)


@attrs.define(eq=False)
class Reporting:
    """Prints what a verifier finds, and counts.

    Attributes:
        listing: where it is printed.
        serializer: what payloads are decoded with.
        quiet: skipped records and holes are counted, not listed.
        store: looks at snapshots; None leaves them out.
    """

    listing: Listing
    serializer: Serializer = attrs.field(factory=RawSerializer)
    quiet: bool = attrs.field(default=False, kw_only=True)
    store: KafkaSnapshotStore | None = None
    progress: Progress | None = attrs.field(default=None, kw_only=True)
    logs: int = 0
    ids: int = 0
    events: int = 0
    wrong: int = 0

    async def found(self, log: LogReport, ids: Sequence[IdReport]) -> None:
        """Print a log and its ids."""
        self.logs += 1
        self._print_log(log)
        for each in ids:
            self.ids += 1
            self.events += each.events
            if self.progress is not None:
                self.progress.add(each.events)
                self.progress.add_id()
            await self._look_at_snapshot(each, is_whole=log.head is not None)
            self._print_id(log, each)

    async def _look_at_snapshot(self, report: IdReport, *, is_whole: bool) -> None:
        if self.store is None:
            return
        try:
            newest = await self.store.load(report.persistence_id)
        except StoredDataError as error:
            report.problems.append(Problem.of(error))
            return
        if is_whole and newest is not None and newest.metadata.sequence_nr > report.highest:
            what = f"the newest snapshot is at {newest.metadata.sequence_nr}, but the events end at {report.highest}"
            report.problems.append(Problem("orphan", f"{what}: the journal lost its end"))

    def _print_log(self, log: LogReport) -> None:
        where = str(log.log)
        fields: dict[str, Any] = {
            "log": where,
            "owner": log.owner,
            "records": log.records,
            "counted": log.counted,
            "claims": log.claims,
            "epoch": None if log.head is None else log.head.epoch,
            "skipped": [attrs.asdict(each) for each in log.skipped],
            "problems": [attrs.asdict(each) for each in log.problems],
        }
        what = f"{log.records} records: {log.counted} count ({log.claims} claims), {log.records - log.counted} do not"
        self._add(fields, ("sound" if not log.problems else "WRONG", log.owner, where, "", what))
        for each in () if self.quiet else log.skipped:
            self._more(("skipped", log.owner, where, str(each.offset), each.why))
        self._print_problems(log.owner, where, log.problems)

    def _print_id(self, log: LogReport, report: IdReport) -> None:
        where, holes = str(log.log), report.holes
        fields: dict[str, Any] = {
            "persistence_id": report.persistence_id,
            "log": where,
            "events": report.events,
            "highest_sequence_nr": report.highest,
            "deleted_to": report.floor,
            "holes": [list(each) for each in holes],
            "problems": [attrs.asdict(each) for each in report.problems],
        }
        what = f"{report.events} events, numbers up to {report.highest}, deleted up to {report.floor}"
        if log.head is None:
            what += "; read up to the damage only"
        self._add(fields, ("sound" if not report.problems else "WRONG", report.persistence_id, where, "", what))
        for first, last in () if self.quiet else holes:
            self._more(("hole", report.persistence_id, where, "", f"no event has the numbers {first} to {last}"))
        self._print_problems(report.persistence_id, where, report.problems)

    def _print_problems(self, name: str, where: str, problems: Sequence[Problem]) -> None:
        for each in problems:
            self.wrong += 1
            offset = "" if each.offset is None else str(each.offset)
            self._more(("WRONG", name, where, offset, f"{each.error}: {each.message}"))

    def _add(self, fields: Any, cells: Sequence[str]) -> None:
        self.listing.add(fields, cells)

    def _more(self, cells: Sequence[str]) -> None:
        """A row for people of what JSON has inside another object."""
        if not self.listing.as_json:
            self.listing.add(None, cells)
