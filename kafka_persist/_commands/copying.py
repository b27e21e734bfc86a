"""``kafka-persist copy``: ids from one journal to another, whatever their layouts and clusters."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from ..config import Config, load_config
from ..errors import PersistenceError, UsageError, printable
from ..journal import KafkaJournal, open_journal
from ..model import PersistentRepr, SelectedSnapshot, SelectionCriteria, SnapshotMetadata
from ..publishing import EmptyEventTopicMapper
from ..serialization import RawSerializer
from ..snapshots import KafkaSnapshotStore, open_snapshot_store
from .frame import DONE, FOUND, Command, Source, agreed, with_json, with_source, with_yes
from .output import Listing, note
from .portable import Digest, event_line, snapshot_line
from .portable_io import digest_of, write_events
from .progress import Progress
from .stores import for_writing, open_journal_for_reading, open_snapshots_for_reading, snapshots_apart

AT_ONCE: Final = 200
"""Events that are handed to the journal together."""

IDS_AT_ONCE: Final = 8


@click.command("copy", cls=Command, short_help="Copy ids to another cluster, prefix or layout.")
@with_source
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All ids of the journal.")
@click.option(
    "--to",
    "target_file",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="The configuration file of the journal and snapshot store to copy to.",
)
@with_yes
@with_json("one object for each id")
def command(source: Source, *, ids: tuple[str, ...], every: bool, target_file: Path, yes: bool, as_json: bool) -> int:
    """Copy events and newest snapshots to another journal: another cluster, another prefix, or the other layout.

    Each id is read back and compared. If it is broken off, run it again: what is there already is compared, and the rest is
    copied. Nothing is overwritten, and nothing is published: the events count as published. Let no program write to the
    ids meanwhile. Exit code 1: an id was never written, or cannot be copied.
    """
    if bool(ids) is every:
        raise click.UsageError("Give persistence ids, or --all.")
    config, target = source.config(), load_config(target_file)
    if place_of(config) == place_of(target):
        raise UsageError("--to names the journal that is copied from. Nothing was copied")
    which = "all ids" if every else ", ".join(map(printable, ids))
    journal = target.journal
    agreed(f"copy {which} to {journal.bootstrap_servers}, prefix {journal.prefix!r}, layout {journal.layout}", yes=yes)
    with (
        Listing(("persistence id", "events", "what"), as_json=as_json, live=True) as listing,
        Progress("copying") as progress,
    ):
        copy = Copy(listing, progress)
        trio.run(copy.run, config, target, ids)
    note(f"{copy.copied} events copied, {copy.there} were there already; {copy.ids} ids compared, {copy.left} left out")
    return FOUND if copy.left else DONE


def place_of(config: Config) -> tuple[str, str, str, str]:
    """What makes two configurations mean the same journal."""
    journal = config.journal
    topic = journal.shared_topic if journal.layout == "shared" else ""
    return journal.bootstrap_servers, journal.prefix, journal.layout, topic


@attrs.frozen
class Side:
    """A journal and its snapshot store."""

    journal: KafkaJournal
    store: KafkaSnapshotStore

    async def digest_of(self, persistence_id: str, floor: int, last: int, snapshot: int | None) -> Digest:
        """The digest of an id's events above `floor` up to `last`, and of one of its snapshots."""
        return await digest_of(self.journal, self.store, persistence_id, snapshot, above=floor, up_to=last)


@attrs.define(eq=False)
class Copy:
    """Copies, and counts."""

    listing: Listing
    progress: Progress
    ids: int = 0
    copied: int = 0
    there: int = 0
    left: int = 0

    async def run(self, config: Config, target: Config, ids: tuple[str, ...]) -> None:
        """Copy some ids, or all, a few at a time.

        Raises:
            UsageError: an id has other events where it would be copied to.
            StoredDataError: an id is damaged.
            BrokerError: there was no answer. In each case: running it again goes on.
        """
        async with AsyncExitStack() as stack:
            before = Side(
                await stack.enter_async_context(open_journal_for_reading(config, RawSerializer())),
                await stack.enter_async_context(open_snapshots_for_reading(config, RawSerializer())),
            )
            after = await stack.enter_async_context(_open_target(target))
            if ids:
                for persistence_id in ids:
                    await self._one(before, after, persistence_id)
            else:
                async with before.journal.persistence_ids() as channel:
                    await self._all(before, after, channel)

    async def _all(self, before: Side, after: Side, ids: trio.abc.ReceiveChannel[str]) -> None:
        failures: list[PersistenceError] = []

        async def work() -> None:
            try:
                async for persistence_id in ids:
                    await self._one(before, after, persistence_id)
            except PersistenceError as error:
                failures.append(error)
                nursery.cancel_scope.cancel(reason="there is no going on")

        async with trio.open_nursery() as nursery:
            for _ in range(IDS_AT_ONCE):
                nursery.start_soon(work)
        if failures:
            raise failures[0]

    async def _one(self, before: Side, after: Side, persistence_id: str) -> None:
        name = printable(persistence_id)
        highest = await before.journal.highest_sequence_nr(persistence_id)
        floor = before.journal.deleted_to(persistence_id) or 0
        there = await after.journal.highest_sequence_nr(persistence_id)
        if floor == highest > there:
            note(f"{name} has no events left, only its highest number {highest}, which cannot be kept: left out")
        elif not highest:
            note(f"{name} has never been written")
        if floor == highest:
            self.left += 1
            return
        if there > highest or (after.journal.deleted_to(persistence_id) or 0) > floor:
            raise UsageError(
                f"{name} has more events, or more deleted ones, where it would be copied to: nothing of it was copied"
            )
        digest = await self._compared(before, after, persistence_id, there)
        if there < highest:
            await self._write(before.journal, after.journal, persistence_id, (there, highest), digest)
        snapshot = await before.store.load(persistence_id, SelectionCriteria(max_sequence_nr=highest))
        if snapshot is not None:
            digest.add(snapshot_line(snapshot))
            await _save(after.store, snapshot)
        await after.journal.delete_to(persistence_id, floor)
        number = None if snapshot is None else snapshot.metadata.sequence_nr
        if (await after.digest_of(persistence_id, floor, highest, number)).value != digest.value:
            raise UsageError(f"{name}: what was read back is not what was copied")
        self.ids += 1
        self.progress.add_id()
        what = "copied" if not there else "was there already" if there == highest else f"copied from {there + 1} on"
        fields = {
            "persistence_id": persistence_id,
            "events": digest.events,
            "copied_from": there + 1 if there < highest else None,
        }
        self.listing.add(fields, (persistence_id, str(digest.events), what))

    async def _compared(self, before: Side, after: Side, persistence_id: str, there: int) -> Digest:
        """The digest of the events that were copied before; both sides must have the same.

        Raises:
            UsageError: they have not.
        """
        floor = max(before.journal.deleted_to(persistence_id) or 0, after.journal.deleted_to(persistence_id) or 0)
        digest = await before.digest_of(persistence_id, floor, there, None)
        if there and (await after.digest_of(persistence_id, floor, there, None)).value != digest.value:
            raise UsageError(
                f"{printable(persistence_id)} has other events where it would be copied to: nothing is overwritten"
            )
        self.there += digest.events
        return digest

    async def _write(
        self, before: KafkaJournal, after: KafkaJournal, persistence_id: str, window: tuple[int, int], digest: Digest
    ) -> None:
        there, highest = window
        writer = uuid.uuid4()
        if await after.claim(persistence_id, writer) != there:
            raise UsageError(f"{printable(persistence_id)} is written by somebody else where it is copied to")
        waiting: list[PersistentRepr] = []

        async def write() -> None:
            await write_events(after, [attrs.evolve(event, writer=writer) for event in waiting])
            self.copied += len(waiting)
            self.progress.add(len(waiting))
            waiting.clear()

        async with before.replay(persistence_id, from_sequence_nr=there + 1, to_sequence_nr=highest) as events:
            async for event in events:
                digest.add(event_line(event))
                waiting.append(event)
                if len(waiting) >= AT_ONCE:
                    await write()
        if waiting:
            await write()


async def _save(store: KafkaSnapshotStore, found: SelectedSnapshot) -> None:
    """Save a snapshot, unless the same one is there."""
    metadata = found.metadata
    exactly = SelectionCriteria(min_sequence_nr=metadata.sequence_nr, max_sequence_nr=metadata.sequence_nr)
    there = await store.load(metadata.persistence_id, exactly)
    if there is not None and snapshot_line(there) == snapshot_line(found):
        return
    copied = SnapshotMetadata(
        persistence_id=metadata.persistence_id, sequence_nr=metadata.sequence_nr, metadata=metadata.metadata
    )
    await store.save(copied, found.snapshot)


@asynccontextmanager
async def _open_target(config: Config) -> AsyncIterator[Side]:
    serializer = RawSerializer()
    async with (
        open_journal(
            for_writing(config.journal), serializer=serializer, event_topic_mapper=EmptyEventTopicMapper()
        ) as journal,
        open_snapshot_store(snapshots_apart(config.snapshot_store), serializer=serializer) as store,
    ):
        yield Side(journal, store)
