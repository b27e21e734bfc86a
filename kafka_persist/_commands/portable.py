"""The lines of an export: events, a snapshot, the end of an id with its digest, the end of the export (pure).

A line is a JSON object. The first is `HEADER`. For each id come its events, ascending, then its newest snapshot, if it
has one, then ``{"end": ...}``; the last line of all is ``{"end-of-export": ...}``. The digest is that of the id's lines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

import attrs

from ..errors import CorruptRecord, PersistenceError
from ..model import PersistentRepr, SelectedSnapshot
from ..serialization import Encoded, RawSerializer
from .output import as_json
from .plain_json import event_to_json, from_json, to_json

HEADER: Final = {"kafka-persist-export": 1}
END: Final = "end"
OVER: Final = "end-of-export"
SNAPSHOT: Final = "snapshot"

_RAW: Final = RawSerializer()


def line_of(fields: Any) -> str:
    """One line."""
    return f"{as_json(fields)}\n"


def event_line(event: PersistentRepr) -> str:
    """An event that was read with a `RawSerializer`; without its writer, since an import is another one."""
    fields = event_to_json(event, _RAW)
    del fields["writer"]
    return line_of(fields)


def snapshot_line(selected: SelectedSnapshot) -> str:
    """A snapshot that was read with a `RawSerializer`; without what the store sets when it saves."""
    metadata, encoded = selected.metadata, _RAW.dump(selected.snapshot)
    fields = {
        "persistence_id": metadata.persistence_id,
        "sequence_nr": metadata.sequence_nr,
        "metadata": to_json(metadata.metadata),
        "name": encoded.name,
        "version": encoded.version,
        "data": to_json(encoded.data),
    }
    return line_of({SNAPSHOT: fields})


class Digest:
    """Of the lines of one id."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.events = 0

    def add(self, line: str) -> None:
        """Take a line into account."""
        self._hash.update(line.encode())
        self.events += not line.startswith(f'{{"{SNAPSHOT}":')

    @property
    def value(self) -> str:
        """As it stands in the id's last line."""
        return f"sha256:{self._hash.hexdigest()}"

    def end(self, persistence_id: str, highest: int, deleted_to: int) -> dict[str, Any]:
        """The id's last line."""
        fields = {
            "persistence_id": persistence_id,
            "events": self.events,
            "highest_sequence_nr": highest,
            "deleted_to": deleted_to,
            "digest": self.value,
        }
        return {END: fields}


@attrs.frozen
class IdEnd:
    """What the last line of an id says."""

    persistence_id: str
    events: int
    highest_sequence_nr: int
    deleted_to: int
    digest: str


@attrs.frozen
class Snapshot:
    """A snapshot out of an export."""

    persistence_id: str
    sequence_nr: int
    metadata: Any
    payload: Any


def read(lines: Iterable[str], where: str, writer: UUID) -> Iterator[PersistentRepr | Snapshot | IdEnd]:
    """Give what is in an export, line by line; everything is checked, the digest of an id when its end comes.

    Args:
        lines: of the export.
        where: names it in messages.
        writer: of the events.

    Raises:
        CorruptRecord: it is no export, a damaged one, or one that is not whole.
    """
    numbered = iter(enumerate(lines, start=1))
    _, first = next(numbered, (0, ""))
    if _parsed(first, f"{where}, line 1") != HEADER:
        raise CorruptRecord(f"{where}: not an export of kafka-persist, or one of a later format")
    digest, ids, events, owner = Digest(), 0, 0, ""
    for number, line in numbered:
        place = f"{where}, line {number}"
        fields = _parsed(line, place)
        if OVER in fields:
            if fields[OVER] != {"ids": ids, "events": events} or owner:
                raise CorruptRecord(f"{place}: it has {ids} ids and {events} events, but should have {fields[OVER]}")
            return
        found = _made(fields, place, writer)
        if owner not in {"", found.persistence_id}:
            raise CorruptRecord(f"{place}: another id, but there was no end of {owner!r}")
        if isinstance(found, IdEnd):
            if (found.digest, found.events) != (digest.value, digest.events):
                raise CorruptRecord(f"{place}: the lines of {found.persistence_id!r} are not those that were exported")
            digest, ids, events, owner = Digest(), ids + 1, events + digest.events, ""
        else:
            digest.add(line)
            owner = found.persistence_id
        yield found
    raise CorruptRecord(f"{where}: its last line is missing: the export did not come to its end, or was cut off")


def _parsed(line: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if type(found) is not dict:
        raise CorruptRecord(f"{place}: not a JSON object")
    return found


def _made(fields: dict[str, Any], place: str, writer: UUID) -> PersistentRepr | Snapshot | IdEnd:
    try:
        if END in fields:
            return IdEnd(**fields[END])
        if SNAPSHOT in fields:
            inner = fields[SNAPSHOT]
            metadata = from_json(inner["metadata"])
            return Snapshot(inner["persistence_id"], inner["sequence_nr"], metadata, _payload(inner))
        return PersistentRepr(
            persistence_id=fields["persistence_id"],
            sequence_nr=fields["sequence_nr"],
            timestamp=fields["timestamp"],
            manifest=fields["manifest"],
            tags=fields["tags"],
            metadata=from_json(fields["metadata"]),
            payload=_payload(fields),
            writer=writer,
        )
    except (PersistenceError, LookupError, TypeError, ValueError) as error:
        raise CorruptRecord(f"{place}: {type(error).__name__}: {error}") from error


def _payload(fields: dict[str, Any]) -> Any:
    name, version, data = fields["name"], fields["version"], from_json(fields["data"])
    return Encoded(name, version, data) if name or version else data
