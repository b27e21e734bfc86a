"""The correct third-party stores pass every case that needs no faults adapter; that is what their report says."""

import pytest

from compat_suite import Elsewhere, JournalSpec, SnapshotStoreSpec

from .base import CAPABILITIES
from .subjects import STORES, Damage, open_store

pytestmark = pytest.mark.defects


class _Store:
    uses_threads = True
    many_ids = 200
    scale = 3.0
    name = ""
    kind = ""

    @pytest.fixture
    def path(self, tmp_path):
        return str(tmp_path)

    @pytest.fixture
    def backdoor(self, path):
        return Damage(STORES[self.name], path, self.kind)

    @pytest.fixture
    def elsewhere(self, path):
        return Elsewhere("tests.compat_suite_defects.subjects:open_store", (self.name, path, self.kind))


class _Journal(_Store, JournalSpec):
    kind = "journal"
    capabilities = CAPABILITIES["journal"]

    @pytest.fixture
    def open_journal(self, path):
        return lambda: open_store(self.name, path, self.kind)


class _Snapshots(_Store, SnapshotStoreSpec):
    kind = "snapshots"
    capabilities = CAPABILITIES["snapshots"]

    @pytest.fixture
    def open_snapshot_store(self, path):
        return lambda: open_store(self.name, path, self.kind)


class TestPoolJournal(_Journal):
    name = "pool"


class TestPoolSnapshots(_Snapshots):
    name = "pool"


class TestFileJournal(_Journal):
    name = "file"


class TestFileSnapshots(_Snapshots):
    name = "file"


class TestKeyValueJournal(_Journal):
    name = "key-value"


class TestKeyValueSnapshots(_Snapshots):
    name = "key-value"
