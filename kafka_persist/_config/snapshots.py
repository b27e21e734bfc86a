"""The configuration of the snapshot store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from ..limits import MAX_RECORD_BYTES, MAX_SIZE_SETTING, MIB
from ..naming import DEFAULT_SNAPSHOT_PREFIX, snapshot_topic_name
from .clients import acks_name, acks_problem, producer_section, properties_of
from .fields import comma_separated, flag, one_of, servers, topic_prefix, whole, wrong
from .parts import LAYOUTS, Layout, SharedSnapshotsConfig
from .secrets import Properties
from .stores import StoreConfig


@attrs.frozen(kw_only=True)
class SnapshotStoreConfig(StoreConfig):
    """The snapshot store.

    Attributes:
        bootstrap_servers: "" takes the journal's, and its `client` properties with them.
        layout: "topic-per-id" (an id has a snapshot topic of its own) or "shared" (one topic holds the snapshots of all ids).
        shared: the shared layout's topic.
        prefix: put before the name of every snapshot topic; not empty.
        keep: how many of the newest snapshots of an id are kept; the latest is never deleted.
        chunk_bytes: larger snapshots are stored in pieces of this size.
        max_snapshot_bytes: size of the largest snapshot, encoded. One that is larger is refused, also on reading.
        on_unreadable: what `load` does if the newest snapshot cannot be read: "fail", or try the "older" ones.
        ignore_orphan: whether a snapshot that is newer than the journal's last event is skipped (Kafka may lose the
            end of a log in an unclean election; the state must not be ahead of the events).
    """

    cleanup_policy = "compact"

    bootstrap_servers: str = attrs.field(default="", converter=comma_separated, validator=servers)
    layout: Layout = attrs.field(default="topic-per-id", validator=one_of(LAYOUTS))
    shared: SharedSnapshotsConfig = attrs.field(
        factory=SharedSnapshotsConfig, validator=attrs.validators.instance_of(SharedSnapshotsConfig)
    )
    prefix: str = attrs.field(default=DEFAULT_SNAPSHOT_PREFIX, validator=topic_prefix)
    keep: int = attrs.field(default=3, validator=whole(1, 1000))
    chunk_bytes: int = attrs.field(
        default=attrs.Factory(lambda self: min(900_000, self.max_record_bytes * 9 // 10), takes_self=True),
        validator=whole(512, MAX_RECORD_BYTES),
    )
    max_snapshot_bytes: int = attrs.field(default=64 * MIB, validator=whole(1, MAX_SIZE_SETTING))
    on_unreadable: Literal["fail", "older"] = attrs.field(default="fail", validator=one_of(("fail", "older")))
    ignore_orphan: bool = attrs.field(default=True, validator=flag)
    producer: Mapping[str, Any] = attrs.field(
        factory=Properties, converter=producer_section, validator=properties_of("snapshot producer")
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.chunk_bytes > self.max_record_bytes:
            raise wrong(
                self,
                "chunk_bytes",
                f"must be at most max-record-bytes ({self.max_record_bytes}), not {self.chunk_bytes}",
            )
        if not self.prefix:
            raise wrong(self, "prefix", "must not be empty: snapshots would lie in the topics of the events")

    def producer_properties(self) -> dict[str, Any]:
        """Return the whole configuration of a writing client, secrets in clear; librdkafka's names.

        An idempotent producer: a copy of a record that landed late, after the record's deletion, would bring the
        snapshot back. (With other ``acks`` than all, which need ``allow-unsafe``, librdkafka has none.)
        """
        name = acks_name(self.producer)
        safe = name is None or not acks_problem(self.producer[name])
        return self._properties(self.producer, self._writing(idempotent=safe))

    @property
    def shared_topic(self) -> str:
        """The topic of the shared layout."""
        return f"{self.prefix}{self.shared.topic}"

    def topic_name(self, persistence_id: str) -> str:
        """Return the snapshot topic of `persistence_id` or of a view's id."""
        return snapshot_topic_name(persistence_id, prefix=self.prefix, naming=self.naming)
