"""The whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .clients import merge
from .fields import wrong
from .journal import JournalConfig
from .rules import CLIENT_DEFAULTS
from .snapshots import SnapshotStoreConfig
from .testserver import test_server_settings


@attrs.frozen(kw_only=True)
class Config:
    """Journal, snapshot store and test server.

    What one needs from the other is filled in: a snapshot store without bootstrap servers of its own uses the
    journal's, with the journal's `client` properties (unless it gives its own), its index is in the journal's directory
    unless it has one of its own, and the journal learns the prefix of snapshot topics. ``attrs.evolve`` fills in anew.

    Attributes:
        journal: the journal.
        snapshot_store: the snapshot store.
        test_server: settings of `kafka_persist_testkit.TestServer`, dotted names.
    """

    _given_journal: JournalConfig = attrs.field(factory=JournalConfig, alias="journal", repr=False, eq=False)
    _given_snapshot_store: SnapshotStoreConfig = attrs.field(
        factory=SnapshotStoreConfig, alias="snapshot_store", repr=False, eq=False
    )
    journal: JournalConfig = attrs.field(init=False)
    snapshot_store: SnapshotStoreConfig = attrs.field(init=False)
    test_server: Mapping[str, Any] = attrs.field(factory=dict, converter=test_server_settings)

    def __attrs_post_init__(self) -> None:
        for field, kind in (("journal", JournalConfig), ("snapshot_store", SnapshotStoreConfig)):
            if not isinstance(getattr(self, f"_given_{field}"), kind):
                raise wrong(self, field, f"must be a {kind.__name__}")
        store = self._given_snapshot_store
        object.__setattr__(
            self, "journal", attrs.evolve(self._given_journal, snapshot_prefix=store.prefix)
        )  # as attrs itself sets fields of a frozen class
        if not store.shared.directory:
            shared = attrs.evolve(store.shared, directory=self.journal.shared.directory)
            store = attrs.evolve(store, shared=shared)
        object.__setattr__(self, "snapshot_store", store if store.bootstrap_servers else self._beside_journal(store))

    def _beside_journal(self, store: SnapshotStoreConfig) -> SnapshotStoreConfig:
        own = {name: value for name, value in store.client.items() if value != CLIENT_DEFAULTS.get(name)}
        return attrs.evolve(
            store, bootstrap_servers=self.journal.bootstrap_servers, client=merge(self.journal.client, own)
        )
