"""What stands in the records of a log that several ids share: items, each of one id.

An item is an array; its length says what it is:

* a *run*, ``[id, writer, first, last, entries]``: the events of one atomic write. ``entries`` is a byte string: the
  encoded array that a record of an id's own log would hold (`kafka_persist._core.entries`), so neither the index nor a
  copy to the other layout looks into it. A sixth element, 1, says that the run was *carried*: it is a copy of one that stands
  further ahead in the log, appended again before that part is cut off;
* a *state*, ``[id, highest, floor]``: the id's events up to ``floor`` are deleted;
* a *marker*, ``[ids, runs, numbers, floors]``: how many ids the log has at this place, how many runs with events that
  exist, and the sums of all highest numbers and of all floors (modulo 2^63). Whoever began to read where the log was cut
  knows by it whether everything was carried over the cut: of what it has not, it has too little, never too much.

The header's numbers count the items of records of events: ``last - first + 1`` of them stand in one. A delete record, which
anybody may write, holds states, which are not counted.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from ..limits import MAX_RECORD_BYTES
from ..model import MAX_PERSISTENCE_ID_LENGTH, MAX_SEQUENCE_NR
from .cbor import Limits, decode_behind, encode
from .header import refuse

_LIMITS: Final = Limits(max_bytes=MAX_RECORD_BYTES, max_depth=3, tags=frozenset())

RUN_OVERHEAD: Final = 64
"""Bytes of a run beside its id and its entries, at most: the writer, two numbers, and the heads of all of them."""


CARRIED_EXTRA_BYTES: Final = 1
"""What a carried run is longer by: whatever is stored must fit into a record once more."""


class Run(NamedTuple):
    """The events of one atomic write.

    Attributes:
        persistence_id: whose.
        writer: 16 bytes.
        first: sequence number of the first event.
        last: of the last one.
        entries: the events, encoded.
        carried: it is a copy of a run that was stored before.
    """

    persistence_id: str
    writer: bytes
    first: int
    last: int
    entries: bytes
    carried: bool = False


class State(NamedTuple):
    """What is left of an id when its events are deleted.

    Attributes:
        persistence_id: whose.
        highest: its highest sequence number.
        floor: its events up to this number are deleted.
    """

    persistence_id: str
    highest: int
    floor: int


class Marker(NamedTuple):
    """A count of what exists.

    Attributes:
        ids: that were ever written.
        runs: with events that are not deleted.
        numbers: the highest sequence numbers of all ids, added up.
        floors: what they are deleted up to, added up.
    """

    ids: int = 0
    runs: int = 0
    numbers: int = 0
    floors: int = 0


Item: TypeAlias = Run | State | Marker


def encode_item(item: Item) -> bytes:
    """Encode one item."""
    if isinstance(item, Run):
        return encode([*item[:5], 1] if item.carried else list(item[:5]))
    return encode(list(item))


def decode_items(record: bytes, start: int, count: int, where: str) -> list[Item]:
    """Decode the items of a record, which begin at `start`.

    Raises:
        CorruptRecord: they are malformed, or not `count` of them.
    """
    found = decode_behind(record, start, _LIMITS)
    if type(found) is not list or len(found) != count:
        refuse(where, f"the record does not hold the {count} items that its header counts")
    return [_item(each, where) for each in found]


def decode_states(record: bytes, start: int, where: str) -> list[State]:
    """Decode the states in a delete record, which begin at `start`.

    Raises:
        CorruptRecord: they are malformed, or something else stands there.
    """
    found = decode_behind(record, start, _LIMITS)
    items = [_item(each, where) for each in found] if type(found) is list else []
    states = [item for item in items if isinstance(item, State)]
    if not states or len(states) < len(items):
        refuse(where, "a delete record holds something else than states of ids")
    return states


def _item(fields: Any, where: str) -> Item:
    size = len(fields) if type(fields) is list else 0
    if size == 5 and _is_run(*fields):
        return Run(*fields)
    if size == 6 and _is_run(*fields[:5]) and type(fields[5]) is int and fields[5] == 1:
        return Run(*fields[:5])._replace(carried=True)
    if size == 3 and _is_state(*fields):
        return State(*fields)
    if size != 4 or not (_are_numbers(0, *fields[:2]) and _are_numbers(0, *fields[2:])):
        refuse(where, "an item is malformed, or a field of it is out of its range")
    return Marker(*fields)


def _is_run(persistence_id: Any, writer: Any, first: Any, last: Any, entries: Any) -> bool:
    return (
        type(writer) is bytes
        and len(writer) == 16
        and _are_numbers(1, first, last)
        and first <= last
        and type(entries) is bytes
        and b"\x80" < entries[:1] < b"\xa0"
        and _is_id(persistence_id)
    )


def _is_state(persistence_id: Any, highest: Any, floor: Any) -> bool:
    return _are_numbers(0, highest, floor) and floor <= highest > 0 and _is_id(persistence_id)


def _is_id(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= MAX_PERSISTENCE_ID_LENGTH


def _are_numbers(least: int, one: Any, other: Any) -> bool:
    return type(one) is type(other) is int and least <= one <= MAX_SEQUENCE_NR and least <= other <= MAX_SEQUENCE_NR
