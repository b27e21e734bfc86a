"""``kafka-persist ids``: which persistence ids there are."""

from __future__ import annotations

import click
import trio

from ..config import Config
from ..serialization import RawSerializer
from .frame import DONE, Command, Source, with_json, with_source
from .output import Listing
from .stores import open_journal_for_reading


@click.command("ids", cls=Command, short_help="List the persistence ids.")
@with_source
@click.option("--prefix", default="", metavar="TEXT", help="Only ids that begin with this.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="At most so many.")
@click.option(
    "--long", "is_long", is_flag=True, help="With the highest sequence number, and up to where events are deleted."
)
@with_json("one object for each id")
def command(source: Source, *, prefix: str, limit: int | None, is_long: bool, as_json: bool) -> int:
    """List the persistence ids that have been written, in no particular order.

    With a topic for each id, every topic is looked into; with shared logs, every log is read to its end.
    """
    columns = ("persistence id", "highest", "deleted to") if is_long else ("persistence id",)
    with Listing(columns, as_json=as_json) as listing:
        trio.run(list_ids, source.config(), prefix, limit, is_long, listing)
    return DONE


async def list_ids(config: Config, prefix: str, limit: int | None, is_long: bool, listing: Listing) -> None:
    """Print the ids.

    Raises:
        StoredDataError, BrokerError: of some topics it is not known whether they have one; all others were printed.
    """
    async with open_journal_for_reading(config, RawSerializer()) as journal, journal.persistence_ids() as ids:
        if limit == 0:
            return
        async for persistence_id in ids:
            if not persistence_id.startswith(prefix):
                continue
            if is_long:
                highest = await journal.highest_sequence_nr(persistence_id)
                deleted = journal.deleted_to(persistence_id) or 0
                fields = {"persistence_id": persistence_id, "highest_sequence_nr": highest, "deleted_to": deleted}
                listing.add(fields, (persistence_id, str(highest), str(deleted)))
            else:
                listing.add({"persistence_id": persistence_id}, (persistence_id,))
            if listing.count == limit:
                return
