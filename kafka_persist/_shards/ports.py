"""What shards need of Kafka: a member of a group that reads commands, a reader of replies, and a way to send both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ..driver import Ack, Log


class RawRecord(Protocol):
    """A record as it is read."""

    @property
    def log(self) -> Log:
        """Its partition."""
        ...

    @property
    def offset(self) -> int:
        """Its place there."""
        ...

    @property
    def value(self) -> bytes | None:
        """What it says."""
        ...


class CommandReader(Protocol):
    """A member of the group: told what belongs here, and reading that from where `place`'s function says.

    `kafka_persist._kafka.group.EventReader` is one.
    """

    @property
    def assigned(self) -> Mapping[Log, int]:
        """What belongs here now, with the number of its assignment: the same number, the same assignment."""
        ...

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group; `place` must run, and `read` be called all the time."""
        ...

    async def place(self, find: Callable[[Sequence[Log]], Awaitable[Mapping[Log, int]]]) -> None:
        """Ask `find` where new partitions begin, and read them from there on; a task. What is left out is asked for again."""
        ...

    async def read(self, *, wanted: bool) -> Sequence[Any]:
        """Take what has come; shortly wait for the first record. Without `wanted` only the group is served."""
        ...

    def owns(self, record: Any) -> bool:
        """Whether its partition has stayed here since it was read."""
        ...

    def finish(self, record: Any) -> None:
        """The group may know that this record and those before it are done."""
        ...

    def read_again(self, logs: Sequence[Log]) -> None:
        """Begin these anew, by a new assignment, where `place`'s function says."""
        ...


class Connections(Protocol):
    """Makes them; each is closed at the end of its block."""

    def open_commands(self, group: str) -> AbstractAsyncContextManager[CommandReader]:
        """Open a reader that joins `group`; the topics exist then, with the right number of partitions.

        Raises:
            TopicSettingsRefused: one has another number of partitions.
            BrokerError: the broker did not answer, or refused.
        """
        ...

    def open_replies(self, place: int) -> AbstractAsyncContextManager[CommandReader]:
        """Open a reader of one partition of the reply topic, from its end as of now on."""
        ...

    def submit(self, log: Log, key: bytes, value: bytes, on_ack: Callable[[Ack], None]) -> None:
        """Send a record once: it never lands twice. `on_ack` is called exactly once, later, and must not raise."""
        ...
