"""``kafka-persist delete``: deletes the oldest events of an id, or all that there is of it, after it has said what."""

from __future__ import annotations

import attrs
import click
import trio

from ..config import Config, JournalConfig, SnapshotStoreConfig
from ..errors import PersistenceError, printable
from ..journal import open_journal
from ..publishing import EventTopicMapper
from ..removal import remove_entity
from ..serialization import RawSerializer, Serializer
from ..snapshots import open_snapshot_store
from .frame import DONE, FAILED, FOUND, Command, Source, agreed, with_json, with_serializer, with_source, with_yes
from .named import see_current_directory
from .output import as_json as json_text
from .output import note
from .publish_pending import advice_on, given, publishing_config, with_mapper
from .stores import for_writing, open_journal_for_reading, open_snapshots_for_reading, snapshots_apart


@click.command("delete", cls=Command, short_help="Delete old events, or all of an id.")
@with_source
@click.argument("persistence_id", metavar="ID")
@click.option("--to", "last", type=click.IntRange(1), metavar="N", help="The last sequence number to delete.")
@click.option("--everything", is_flag=True, help="Delete all events and all snapshots of the id.")
@with_serializer("The program's Serializer, or a function that makes it, if unpublished events have types.")
@with_mapper
@with_yes
@with_json("what is deleted now")
def command(
    source: Source,
    *,
    persistence_id: str,
    last: int | None,
    everything: bool,
    serializer_name: str | None,
    mapper: str | None,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete the events of a persistence id up to a sequence number, or all of it with its snapshots, forever.

    As when the program deletes: what is not published yet is published first, to the topics that the configured mapper
    names, and sequence numbers are not used again. Exit code 1: the id was never written.
    """
    if (last is None) is not everything:
        raise click.UsageError("Give the last number with --to, or --everything.")
    see_current_directory()
    serializer: Serializer | None = given("--serializer", serializer_name, Serializer)
    found: EventTopicMapper | None = given("--mapper", mapper, EventTopicMapper)
    config = publishing_config(source, mapper, "Nothing was deleted")
    plan = trio.run(look, source.config(), persistence_id)
    name = printable(persistence_id)
    if not plan.highest and not (everything and plan.snapshot):
        note(f"{name} has never been written")
        return FOUND
    last = plan.highest if last is None else min(last, plan.highest)
    if everything:
        agreed(plan.told_all(name, config.layout), yes=yes)
    elif last <= plan.deleted_to:
        note(f"nothing to do: the events of {name} are deleted up to {plan.deleted_to}")
        return DONE
    else:
        agreed(plan.told(name, last), yes=yes)
    try:
        store = source.config().snapshot_store if everything else None
        trio.run(delete, config, store, serializer, found, persistence_id, last)
    except PersistenceError as error:
        note(f"kafka-persist delete: {error}{advice_on(error, serializer_name)}")
        return FAILED
    note(f"the events of {name} are deleted up to {last}{', and its snapshots' if everything else ''}")
    if as_json:
        click.echo(json_text({"persistence_id": persistence_id, "deleted_to": last}))
    return DONE


@attrs.frozen
class Plan:
    """What there is before a deletion.

    Attributes:
        highest: the id's highest sequence number.
        deleted_to: events up to it are deleted already.
        snapshot: the number of the newest snapshot; 0 for none.
    """

    highest: int
    deleted_to: int
    snapshot: int

    def told(self, name: str, last: int) -> str:
        """What a deletion up to `last` does, in words."""
        covered = (
            f"the snapshot at {self.snapshot} has their state"
            if self.snapshot >= last
            else f"NO SNAPSHOT covers them (the newest is {f'at {self.snapshot}' if self.snapshot else 'none'}), so an entity that "
            "needs them can no longer be opened"
        )
        return f"delete events {self.deleted_to + 1} to {last} of {name} forever (its last one is {self.highest}); {covered}"

    def told_all(self, name: str, layout: str) -> str:
        """What a deletion of everything does, in words."""
        shared = (
            "; it takes over the log, so a program that owns it opens its entities again" if layout == "shared" else ""
        )
        return (
            f"delete all events of {name} (up to {self.highest}) and all its snapshots, forever; whoever has it open is fenced, and it "
            f"cannot be opened again{shared}"
        )


async def look(config: Config, persistence_id: str) -> Plan:
    """Find out what there is.

    Raises:
        StoredDataError: what is stored is damaged.
        BrokerError: there was no answer.
    """
    serializer = RawSerializer()
    async with (
        open_journal_for_reading(config, serializer) as journal,
        open_snapshots_for_reading(config, serializer) as store,
    ):
        highest = await journal.highest_sequence_nr(persistence_id)
        newest = next(iter(await store.stored(persistence_id)), None)
        number = 0 if newest is None or newest.damage else newest.metadata.sequence_nr
        return Plan(highest, journal.deleted_to(persistence_id) or 0, number)


async def delete(
    config: JournalConfig,
    snapshots: SnapshotStoreConfig | None,
    serializer: Serializer | None,
    mapper: EventTopicMapper | None,
    persistence_id: str,
    last: int,
) -> None:
    """Delete.

    Raises:
        PublicationPending: some of the events cannot be published; nothing was deleted.
        WriteOutcomeUnknown: the deletion may or may not have happened; calling again is safe.
        StoredDataError, BrokerError: nothing was deleted.
    """
    async with open_journal(for_writing(config), serializer=serializer, event_topic_mapper=mapper) as journal:
        if snapshots is None:
            await journal.delete_to(persistence_id, last)
            return
        async with open_snapshot_store(snapshots_apart(snapshots)) as store:
            await remove_entity(journal, store, persistence_id)
