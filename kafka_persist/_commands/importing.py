"""``kafka-persist import``: stores what `export` wrote, under ids that have never been written."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from ..config import Config
from ..errors import UsageError, printable
from ..journal import KafkaJournal, open_journal
from ..model import PersistentRepr, SnapshotMetadata
from ..publishing import EmptyEventTopicMapper
from ..serialization import RawSerializer
from ..snapshots import KafkaSnapshotStore, open_snapshot_store
from .frame import DONE, Command, Source, agreed, with_json, with_source, with_yes
from .output import as_json as json_text
from .output import note
from .portable import IdEnd, Snapshot, read
from .portable_io import digest_of, write_events
from .progress import Progress
from .stores import for_writing, open_snapshots_for_reading, snapshots_apart

AT_ONCE: Final = 200
"""Events that are handed to the journal together."""

SHOWN: Final = 5


@click.command("import", cls=Command, short_help="Store what export wrote.")
@with_source
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@with_yes
@with_json("the figures")
def command(source: Source, *, file: Path, yes: bool, as_json: bool) -> int:
    """Store the events and snapshots of an export.

    First the whole file is checked, and that none of its ids has ever been written here; otherwise nothing is stored. Then
    each id is written, read back and compared with the file. Nothing is published: the events count as published. In the
    shared layout a running program loses the logs that are written to, and opens its entities again.
    """
    config = source.config()
    with Progress("checking") as progress:
        contents = trio.run(check, config, file, progress)
    journal = config.journal
    agreed(
        f"store {contents.events} events and {contents.snapshots} snapshots under {len(contents.ids)} new ids "
        f"({', '.join(map(printable, contents.ids[:SHOWN]))}{', ...' if len(contents.ids) > SHOWN else ''}) at "
        f"{journal.bootstrap_servers}, layout {journal.layout}",
        yes=yes,
    )
    with Progress("importing", contents.events) as progress:
        events = trio.run(store_all, config, file, progress)
    note(f"{events} events of {len(contents.ids)} ids imported, read back and compared")
    if as_json:
        click.echo(json_text({"ids": len(contents.ids), "events": events, "snapshots": contents.snapshots}))
    return DONE


@attrs.define
class Contents:
    """What is in an export."""

    ids: list[str] = attrs.field(factory=list)
    events: int = 0
    snapshots: int = 0


def lines_of(file: Path, writer: uuid.UUID) -> Iterator[PersistentRepr | Snapshot | IdEnd]:
    """What is in a file.

    Raises:
        UsageError: it cannot be read.
        CorruptRecord: it is no whole export.
    """
    try:
        with file.open(encoding="utf-8", newline="\n") as lines:
            yield from read(lines, str(file), writer)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8") from error


async def check(config: Config, file: Path, progress: Progress) -> Contents:
    """Read the whole file, and see that its ids are free.

    Raises:
        CorruptRecord: the file is no whole export.
        UsageError: an id is in use, or cannot be imported.
        BrokerError: there was no answer.
    """
    found = Contents()
    async with (
        open_journal(for_writing(config.journal, create=False), event_topic_mapper=EmptyEventTopicMapper()) as journal,
        open_snapshots_for_reading(config, RawSerializer()) as snapshots,
    ):
        for each in lines_of(file, uuid.uuid4()):
            if isinstance(each, PersistentRepr):
                found.events += 1
                progress.add()
            elif isinstance(each, Snapshot):
                found.snapshots += 1
            else:
                found.ids.append(each.persistence_id)
                await _check_free(journal, snapshots, each)
    if len(set(found.ids)) < len(found.ids):
        raise UsageError(f"{file}: an id is in it twice. Nothing was stored")
    return found


async def _check_free(journal: KafkaJournal, snapshots: KafkaSnapshotStore, end: IdEnd) -> None:
    name = printable(end.persistence_id)
    highest = await journal.highest_sequence_nr(end.persistence_id)
    if highest:
        raise UsageError(
            f"{name} has events up to number {highest} here already: an import overwrites nothing. Nothing was stored"
        )
    if await snapshots.stored(end.persistence_id):
        raise UsageError(f"{name} has snapshots here already: an import overwrites nothing. Nothing was stored")
    if not end.events:
        raise UsageError(
            f"{name} has no events left, only its highest number {end.highest_sequence_nr}, which an import cannot keep: "
            "export the other ids by name. Nothing was stored"
        )


async def store_all(config: Config, file: Path, progress: Progress) -> int:
    """Store everything; how many events.

    Raises:
        PersistenceError: one id could not be stored, and is named; those before it are.
    """
    serializer, writer = RawSerializer(), uuid.uuid4()
    total = 0
    async with (
        open_journal(
            for_writing(config.journal), serializer=serializer, event_topic_mapper=EmptyEventTopicMapper()
        ) as journal,
        open_snapshot_store(snapshots_apart(config.snapshot_store), serializer=serializer) as snapshots,
    ):
        target = Target(journal, snapshots, writer)
        for each in lines_of(file, writer):
            if isinstance(each, PersistentRepr):
                await target.add(each)
                total += 1
                progress.add()
            elif isinstance(each, Snapshot):
                target.snapshot = each
            else:
                await target.finish(each)
                progress.add_id()
    return total


@attrs.define(eq=False)
class Target:
    """Where one id after another is stored."""

    journal: KafkaJournal
    store: KafkaSnapshotStore
    writer: uuid.UUID
    snapshot: Snapshot | None = None
    _claimed: str = ""
    _waiting: list[PersistentRepr] = attrs.field(factory=list)

    async def add(self, event: PersistentRepr) -> None:
        """Store an event, at the latest with the id's end."""
        if self._claimed != event.persistence_id:
            highest = await self.journal.claim(event.persistence_id, self.writer)
            if highest:
                raise UsageError(
                    f"{printable(event.persistence_id)} was written meanwhile by somebody else: not imported"
                )
            self._claimed = event.persistence_id
        self._waiting.append(event)
        if len(self._waiting) >= AT_ONCE:
            await self._write()

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        await write_events(self.journal, waiting)

    async def finish(self, end: IdEnd) -> None:
        """Store the rest of an id, and compare it with the file.

        Raises:
            UsageError: what was read back is not what is in the file.
        """
        if self._waiting:
            await self._write()
        name, snapshot, self.snapshot = end.persistence_id, self.snapshot, None
        if snapshot is not None:
            metadata = SnapshotMetadata(
                persistence_id=name, sequence_nr=snapshot.sequence_nr, metadata=snapshot.metadata
            )
            await self.store.save(metadata, snapshot.payload)
        if end.deleted_to:  # else an entity would not notice that events are missing which it needs
            await self.journal.delete_to(name, end.deleted_to)
        digest = await digest_of(self.journal, self.store, name, None if snapshot is None else snapshot.sequence_nr)
        if digest.value != end.digest:
            raise UsageError(
                f"{printable(name)}: what was read back is not what was exported ({digest.value}, not {end.digest})"
            )
