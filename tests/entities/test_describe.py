"""`Persistence.describe`: what is in effect, and no secret."""

from __future__ import annotations

from kafka_persist import Config, JournalConfig, Persistence, open_memory_persistence
from kafka_persist._entities.services import open_services


async def test_a_persistence_in_memory_names_its_stores():
    """And how many may recover at once."""
    async with open_memory_persistence() as persistence:
        assert persistence.describe() == {
            "journal": "MemoryJournal",
            "snapshot_store": "MemorySnapshotStore",
            "max_concurrent_recoveries": "50",
        }


async def test_all_settings_are_named_and_no_secret_is_shown():
    """Defaults included: what is in effect, not what was written down."""
    options = {"sasl.username": "anna", "sasl.password": "very secret", "client.id": "shop"}
    config = Config(journal=JournalConfig(bootstrap_servers="kafka:9092", client=options))
    async with open_services(None, None, None, ignore_orphan=True) as services:
        found = Persistence(services, 7, config).describe()
    assert found["journal.bootstrap_servers"] == "'kafka:9092'"
    assert found["journal.max_concurrent_recoveries"] == "50"
    assert "shop" in found["journal.client"]
    assert found["max_concurrent_recoveries"] == "7"
    assert found["snapshot_store.bootstrap_servers"] == "'kafka:9092'"
    assert "very secret" not in str(found)
