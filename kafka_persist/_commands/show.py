"""``kafka-persist show``: the events of an id, decoded without the program's types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
import trio

from ..config import Config
from ..model import MAX_SEQUENCE_NR
from ..serialization import Serializer
from .frame import DONE, FOUND, Command, Source, serializer_of, with_json, with_serializer, with_source
from .output import Listing, as_json, moment, note
from .plain_json import event_to_json
from .stores import open_journal_for_reading

COLUMNS: Final = ("number", "time", "name", "version", "tags", "metadata", "data")

WITH_TYPES: Final = (
    "The program's Serializer, or a function that makes it: old events are shown as the newest version of their type."
)


@click.command("show", cls=Command, short_help="Print the events of an id.")
@with_source
@click.argument("persistence_id", metavar="ID")
@click.option("--from", "first", type=click.IntRange(1), default=1, metavar="N", help="The first sequence number.")
@click.option(
    "--to",
    "last",
    type=click.IntRange(1),
    default=MAX_SEQUENCE_NR,
    show_default=False,
    metavar="N",
    help="The last one.",
)
@click.option("--limit", type=click.IntRange(0), metavar="N", help="At most so many events.")
@with_serializer(WITH_TYPES)
@with_json("one object for each event")
def command(
    source: Source,
    *,
    persistence_id: str,
    first: int,
    last: int,
    limit: int | None,
    serializer_name: str | None,
    as_json: bool,
) -> int:
    """Print the events of a persistence id, as they are stored.

    None of the program's types are needed: what is shown is the name and version of each event's type, and its plain
    data. Exit code 1: the id was never written, or what is stored is damaged.
    """
    serializer = serializer_of(serializer_name)
    with Listing(COLUMNS, as_json=as_json) as listing:
        return trio.run(show, source.config(), serializer, persistence_id, (first, last, limit), listing)


async def show(
    config: Config, serializer: Serializer, persistence_id: str, window: tuple[int, int, int | None], listing: Listing
) -> int:
    """Print the events; the exit code.

    Raises:
        StoredDataError: what is stored is damaged; everything before it was printed.
        BrokerError: there was no answer.
    """
    first, last, limit = window
    async with open_journal_for_reading(config, serializer) as journal:
        async with journal.replay(
            persistence_id, from_sequence_nr=first, to_sequence_nr=last, max_events=limit
        ) as events:
            async for event in events:
                fields = event_to_json(event, serializer)
                listing.add(fields, event_cells(fields))
        if listing.count:
            return DONE
        highest = await journal.highest_sequence_nr(persistence_id)
        deleted = journal.deleted_to(persistence_id) or 0
    if not highest:
        note(f"{persistence_id!r} has never been written")
        return FOUND
    note(f"no events here: {persistence_id!r} has numbers up to {highest}, and is deleted up to {deleted}")
    return DONE


def event_cells(fields: dict[str, Any]) -> Sequence[str]:
    """An event for people, one text for each of `COLUMNS`."""
    metadata = fields["metadata"]
    return (
        str(fields["sequence_nr"]),
        moment(fields["timestamp"]),
        fields["name"],
        str(fields["version"] or ""),
        " ".join(fields["tags"]),
        "" if metadata is None else as_json(metadata),
        as_json(fields["data"]),
    )
