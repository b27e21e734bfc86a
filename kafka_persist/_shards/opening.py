"""What shards are opened with, and what they tell of themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypedDict

import attrs

from .._live.registry import AnyEntity, AnyType
from .._live.tally import Tally
from .._shared.store import SharedJournal
from ..abc import Journal
from ..config import JournalConfig
from ..entity_type import EntityType
from ..errors import UsageError
from ..limits import MAX_ADDRESS_LENGTH
from ..serialization import Serializer


@attrs.frozen(kw_only=True)
class ShardStatistics:
    """What the shards of a process do, and have done since they were opened.

    Attributes:
        partitions: how many shards there are.
        here: how many take commands in this process.
        moving: how many are coming or leaving.
        waiting: commands that were read and not executed yet.
        asking: questions of this process that are on their way.
        executed: commands from the topic that took effect here, or were refused.
        batches: how many writes that took.
        claims: times that a shard came here, or was claimed again.
        failures: batches that were given up, and executed by the next claim's owner.
        called: questions that were calls, as their shard was here.
        sent: questions that went to another process, or waited for a shard.
    """

    partitions: int
    here: int
    moving: int
    waiting: int
    asking: int
    executed: int
    batches: int
    claims: int
    failures: int
    called: int
    sent: int


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class ShardOptions(TypedDict, total=False):
    """What `KafkaPersistence.shards` takes by name.

    Attributes:
        address: where this process takes requests, in words of its own, at most 200 characters: its claims tell it, for `Shards.owner`.
        idle_after: seconds after which an entity that nobody uses is closed; None never closes one for its age. By default 60.
        limit: entities that may be open at once, 10,000 by default.
        patience: seconds that a question may take, 30 by default. Then its outcome is unknown, and it is not begun any more.
    """

    address: str
    idle_after: float | None
    limit: int
    patience: float


@attrs.frozen
class Opening:
    """What shards need of a persistence.

    Attributes:
        config: the journal's.
        journal: where the events are.
        serializer: the journal's.
        recover: opens an entity on the given journal.
        release: gives its name back.
    """

    config: JournalConfig
    journal: Journal
    serializer: Serializer | None
    recover: Callable[[AnyType, str, Tally, Journal], Awaitable[AnyEntity]]
    release: Callable[[str], None]


def check_opening(
    journal: Journal, group: str, known: Mapping[str, AnyType], address: str, limit: int, patience: float
) -> SharedJournal:
    """Return the journal if all of it fits.

    Raises:
        UsageError: something does not; the message names it.
    """
    if not isinstance(journal, SharedJournal):
        raise UsageError('shards need the shared layout: set kafka-journal.layout = "shared"')
    if not group or not known:
        raise UsageError("shards need the name of a consumer group and at least one EntityType")
    if len(address) > MAX_ADDRESS_LENGTH:
        raise UsageError(f"an address has at most {MAX_ADDRESS_LENGTH} characters, not {len(address)}")
    if type(limit) is not int or limit < 1:
        raise UsageError(f"limit must be a whole number from 1 on, not {limit!r}")
    if not 0 < patience < math.inf:
        raise UsageError(f"patience must be a positive number of seconds, not {patience!r}")
    return journal


def types_by_name(types: Iterable[AnyType], serializer: Serializer) -> Mapping[str, AnyType]:
    """The types, checked.

    Raises:
        UsageError: one is no `EntityType`, or its types are not registered.
    """
    return {type_.name: _checked(type_, serializer) for type_ in types}


def _checked(type_: AnyType, serializer: Serializer) -> AnyType:
    if not isinstance(type_, EntityType):
        raise UsageError(f"shards take EntityTypes, not {type(type_).__name__}")
    type_.check_types(serializer)
    return type_
