"""``kafka-persist export``: events and newest snapshots as lines of JSON, each id with a digest."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import attrs
import click
import trio

from ..config import Config
from ..errors import printable
from ..journal import KafkaJournal
from ..serialization import RawSerializer
from ..snapshots import KafkaSnapshotStore
from .frame import DONE, FOUND, Command, Source, with_source
from .output import note
from .portable import HEADER, OVER, Digest, event_line, line_of, snapshot_line
from .progress import Progress
from .stores import open_journal_for_reading, open_snapshots_for_reading


@click.command("export", cls=Command, short_help="Write ids to a file, as lines of JSON.")
@with_source
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All ids of the journal.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file; by default standard output."
)
def command(source: Source, *, ids: tuple[str, ...], every: bool, output: Path | None) -> int:
    """Write events, as they are stored, and the newest snapshot of each id as lines of JSON.

    None of the program's types are needed. Each id ends with the number of its events and a digest of its lines, by
    which `import` finds damage, and the file ends with a line that says that it is whole. What programs write meanwhile may
    or may not be in it. Exit code 1: an id was never written, or is damaged.
    """
    if bool(ids) is every:
        raise click.UsageError("Give persistence ids, or --all.")
    with _opened(output) as file, Progress("exporting") as progress:
        export = Export(file, progress)
        trio.run(export.run, source.config(), ids)
    note(f"{export.events} events of {export.ids} ids exported")
    return FOUND if export.missing else DONE


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        file = output.open("x", encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output {output}: {error.strerror}.") from None
    with file:
        yield file


@attrs.define(eq=False)
class Export:
    """Writes an export, and counts."""

    file: TextIO
    progress: Progress
    ids: int = 0
    events: int = 0
    missing: int = 0

    async def run(self, config: Config, ids: tuple[str, ...]) -> None:
        """Export some ids, or all.

        Raises:
            StoredDataError: an id is damaged; the file has no last line and is refused by `import`.
            BrokerError: there was no answer; likewise.
        """
        serializer = RawSerializer()
        async with (
            open_journal_for_reading(config, serializer) as journal,
            open_snapshots_for_reading(config, serializer) as store,
        ):
            self.file.write(line_of(HEADER))
            if ids:
                for persistence_id in ids:
                    await self._one(journal, store, persistence_id)
            else:
                async with journal.persistence_ids() as found:
                    async for persistence_id in found:
                        await self._one(journal, store, persistence_id)
            self.file.write(line_of({OVER: {"ids": self.ids, "events": self.events}}))

    async def _one(self, journal: KafkaJournal, store: KafkaSnapshotStore, persistence_id: str) -> None:
        highest = await journal.highest_sequence_nr(persistence_id)
        if not highest:
            note(f"{printable(persistence_id)} has never been written")
            self.missing += 1
            return
        deleted_to = journal.deleted_to(persistence_id) or 0
        digest = Digest()
        async with journal.replay(persistence_id, to_sequence_nr=highest) as events:
            async for event in events:
                digest.add(line := event_line(event))
                self.file.write(line)
                self.progress.add()
        snapshot = await store.load(persistence_id)
        if snapshot is not None and snapshot.metadata.sequence_nr <= highest:
            digest.add(line := snapshot_line(snapshot))
            self.file.write(line)
        self.file.write(line_of(digest.end(persistence_id, highest, deleted_to)))
        self.ids += 1
        self.events += digest.events
        self.progress.add_id()
