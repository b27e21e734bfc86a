"""``kafka-persist snapshots``: which snapshots an id has, and what is in them."""

from __future__ import annotations

from typing import Any

import click
import trio

from ..config import Config
from ..model import SelectionCriteria
from ..serialization import RawSerializer
from .frame import DONE, FOUND, Command, Source, with_json, with_source
from .output import Listing, as_json, moment, note
from .plain_json import to_json
from .stores import open_snapshots_for_reading


@click.command("snapshots", cls=Command, short_help="List the snapshots of an id.")
@with_source
@click.argument("persistence_id", metavar="ID")
@click.option("--data", "with_data", is_flag=True, help="Read each one, and print its state and metadata.")
@with_json("one object for each snapshot")
def command(source: Source, *, persistence_id: str, with_data: bool, as_json: bool) -> int:
    """List the snapshots of a persistence id (or of a view's id), the newest first.

    None of the program's types are needed. Exit code 1: there are none, or one that is damaged.
    """
    columns = ("number", "time", "bytes", "damage", *(("name", "metadata", "data") if with_data else ()))
    with Listing(columns, as_json=as_json) as listing:
        return trio.run(list_snapshots, source.config(), persistence_id, with_data, listing)


async def list_snapshots(config: Config, persistence_id: str, with_data: bool, listing: Listing) -> int:
    """Print the snapshots; the exit code.

    Raises:
        SnapshotUnreadable: it is not certain which there are, or one that was to be read cannot be.
        BrokerError: there was no answer.
    """
    damaged = False
    async with open_snapshots_for_reading(config, RawSerializer()) as store:
        for stored in await store.stored(persistence_id):
            nr, at = stored.metadata.sequence_nr, stored.metadata.timestamp
            fields: dict[str, Any] = {
                "persistence_id": persistence_id,
                "sequence_nr": nr,
                "timestamp": at,
                "bytes": stored.size,
                "damage": stored.damage,
            }
            cells = [str(nr), moment(at), str(stored.size), stored.damage]
            damaged = damaged or bool(stored.damage)
            if with_data and not stored.damage:
                found = await store.load(persistence_id, SelectionCriteria(min_sequence_nr=nr, max_sequence_nr=nr))
                if found is None:
                    continue  # deleted meanwhile
                encoded = RawSerializer().dump(found.snapshot)
                fields |= {
                    "name": encoded.name,
                    "version": encoded.version,
                    "metadata": to_json(found.metadata.metadata),
                    "data": to_json(encoded.data),
                }
                metadata = "" if found.metadata.metadata is None else as_json(fields["metadata"])
                cells += [encoded.name, metadata, as_json(fields["data"])]
            listing.add(fields, cells)
    if not listing.count:
        note(f"{persistence_id!r} has no snapshots")
    return FOUND if damaged or not listing.count else DONE
