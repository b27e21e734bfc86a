"""Which topics exist, and creating the missing ones: many in one request, and never by guessing.

A broker's metadata is no proof that a topic is missing: one that has just started answers "unknown topic" until it has
learnt its topics, and an id without a topic is an id without events. So the controller is asked whether the topic could be
created (`Admin.missing`). Metadata is a proof that it exists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import trio

from .._lifecycle import Background
from ..driver import Log, TopicSpec
from ..errors import PersistenceError
from .admin import Admin
from .blocking import Blocking
from .together import Together

BATCH: Final = 500
"""Topics in one request: with ZooKeeper a broker needs 5 to 24 ms to create one, and the request has a deadline."""

MAX_KNOWN: Final = 200_000
"""Names that are remembered; beyond it all are forgotten and asked for again."""


class Topics:
    """The topics that a store uses."""

    def __init__(self, admin: Admin, blocking: Blocking, tasks: Background) -> None:
        self._admin = admin
        self._blocking = blocking
        self.ensured: set[str] = set()
        """Topics with sound settings; they exist."""
        self._partitions: dict[str, int] = {}
        self._look: Together[str, int] = Together(self._look_now, tasks, BATCH)
        self._ensure: Together[TopicSpec, int] = Together(self._ensure_now, tasks, BATCH)

    def use(self, admin: Admin) -> None:
        """Ask another client from here on."""
        self._admin = admin

    def is_known(self, log: Log) -> bool:
        """Whether the log existed when it was last asked for."""
        if log.partition == 0 and log.topic in self.ensured:
            return True
        return log.partition < self._partitions.get(log.topic, 0)

    async def exists(self, log: Log) -> bool:
        """Ask whether a topic exists, and has the partition.

        Raises:
            BrokerError: nobody could tell.
        """
        found = await self._look(log.topic)
        if not found:
            self.forget([log.topic])
        self._note(log.topic, found)
        return log.partition < found

    def _note(self, topic: str, partitions: int) -> None:
        if len(self._partitions) >= MAX_KNOWN:
            self._partitions.clear()
        if partitions:
            self._partitions[topic] = partitions

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic had when it was last asked for; 0 if there was none."""
        return self._partitions.get(topic, 0)

    async def ensure(self, specs: Iterable[TopicSpec]) -> None:
        """Create missing topics, check the settings; those that were ensured before are not asked for again.

        Raises:
            TopicSettingsRefused, TopicMissing, BrokerError.
        """
        missing = [spec for spec in specs if spec.name not in self.ensured]
        if not missing:
            await trio.lowlevel.checkpoint()
            return
        if len(missing) == 1:
            counts = [await self._ensure(missing[0])]
        else:
            counts = await self._ensure.all(missing)
        for spec, count in zip(missing, counts, strict=True):
            self._note(spec.name, count)
        if len(self.ensured) >= MAX_KNOWN:
            self.ensured.clear()
        self.ensured.update(spec.name for spec in missing)

    def forget(self, names: Iterable[str]) -> None:
        """Ask again for these."""
        for name in names:
            self.ensured.discard(name)
            self._partitions.pop(name, None)

    async def _look_now(self, names: Sequence[str]) -> Mapping[str, int | PersistenceError]:
        admin = self._admin
        return await self._blocking.run(partial(admin.using, partial(admin.look, names)))

    async def _ensure_now(self, specs: Sequence[TopicSpec]) -> Mapping[TopicSpec, int | PersistenceError]:
        admin = self._admin
        return await self._blocking.run(partial(admin.using, partial(admin.ensure, specs)))
