"""``kafka-persist state``: what the program makes of an id's events, now or as of an earlier event."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import attrs
import click
import trio

from ..config import Config
from ..entity_type import EntityType
from ..errors import SerializationError, printable
from ..model import MAX_SEQUENCE_NR, SelectedSnapshot, SelectionCriteria
from ..serialization import Serializer, default_serializer
from .frame import DONE, FOUND, Command, Source, with_json, with_serializer, with_source
from .named import load_named, see_current_directory
from .output import as_json as json_text
from .output import as_table, clean, note
from .plain_json import to_json
from .stores import open_journal_for_reading, open_snapshots_for_reading


@click.command("state", cls=Command, short_help="Print an entity's state, now or as of an event.")
@with_source
@click.argument("persistence_id", metavar="ID")
@click.option(
    "--entity",
    "entity_name",
    required=True,
    metavar="PACKAGE.MODULE:NAME",
    help="The program's EntityType, or a function that makes it.",
)
@click.option(
    "--at", type=click.IntRange(0), default=MAX_SEQUENCE_NR, show_default=False, metavar="N", help="As of this event."
)
@click.option("--no-snapshot", is_flag=True, help="Fold all events, whatever snapshots say.")
@with_serializer("The program's Serializer; by default the one that the EntityType has.")
@with_json("one object")
def command(
    source: Source,
    *,
    persistence_id: str,
    entity_name: str,
    at: int,
    no_snapshot: bool,
    serializer_name: str | None,
    as_json: bool,
) -> int:
    """Print the state of an entity: now, or as of an earlier event.

    The program's own function makes it of the newest snapshot that fits and of the events after it, as when the entity
    is opened; but nothing is claimed, so a program that has the entity open is not disturbed. The persistence id is
    the whole one, as `ids` lists it. Exit code 1: it was never written, or what is stored is damaged.
    """
    see_current_directory()
    entity: EntityType[Any, Any] = load_named("--entity", entity_name, EntityType)
    serializer: Serializer = entity.serializer or default_serializer()
    if serializer_name is not None:
        serializer = load_named("--serializer", serializer_name, Serializer)
    found = trio.run(fold, source.config(), serializer, entity, persistence_id, (at, not no_snapshot))
    if found is None:
        note(f"{persistence_id!r} has never been written")
        return FOUND
    number, state = found
    fields = {"persistence_id": persistence_id, "sequence_nr": number, **state_to_json(state, serializer)}
    rows = [[key, value if isinstance(value, str) else json_text(value)] for key, value in fields.items()]
    if as_json:
        click.echo(json_text(fields))
    elif not as_table(("key", "value"), rows):
        for key, value in rows:
            click.echo(f"{key}\t{clean(value)}")
    return DONE


async def fold(
    config: Config, serializer: Serializer, entity: EntityType[Any, Any], persistence_id: str, how: tuple[int, bool]
) -> tuple[int, Any] | None:
    """Fold an entity's events.

    Args:
        config: the program's.
        serializer: of its events and states.
        entity: of which type the entity is.
        persistence_id: its id.
        how: the last number, and whether snapshots are used.

    Returns:
        The number and the state; None if the id was never written.

    Raises:
        EvolveFailed: the program's function refuses an event.
        EventsDeleted: events are gone, and no snapshot covers them.
        StoredDataError: what is stored is damaged.
        BrokerError: there was no answer.
    """
    at, with_snapshots = how
    async with (
        open_journal_for_reading(config, serializer) as journal,
        open_snapshots_for_reading(config, serializer) as store,
    ):
        highest = await journal.highest_sequence_nr(persistence_id)
        if not highest:
            return None
        last = min(at, highest)

        async def newest_snapshot() -> SelectedSnapshot | None:
            # none above `last`: what is newer than the journal's last event is an orphan
            if not with_snapshots:
                return None
            return await store.load(persistence_id, SelectionCriteria(max_sequence_nr=last))

        folded = entity.fold(persistence_id)
        snapshot = await newest_snapshot()
        if snapshot is not None:
            folded.load(snapshot)
        await folded.read(journal, last, newest_snapshot)
        return folded.sequence_nr, folded.state


def state_to_json(state: Any, serializer: Serializer) -> dict[str, Any]:
    """A state as it would be stored in a snapshot.

    The type of a state that is never saved need not be registered: then its fields are shown, if it has any, and otherwise what
    Python shows.
    """
    try:
        encoded = serializer.dump(state)
    except SerializationError:
        return {"name": type(state).__qualname__, "version": 0, "state": _unregistered(state, serializer)}
    return {"name": encoded.name, "version": encoded.version, "state": to_json(encoded.data)}


def _unregistered(state: Any, serializer: Serializer) -> Any:
    if attrs.has(type(state)) or dataclasses.is_dataclass(state):
        with contextlib.suppress(Exception):  # a converter may raise anything for what it does not know
            return to_json(serializer.converter.unstructure(state))
    return printable(repr(state), 100_000)[1:-1]
