"""A cluster whose defaults would lose data: found out before the first write, not after it."""

from __future__ import annotations

import pytest

from kafka_persist import Config, JournalConfig, TopicSettingsRefused, open_persistence

pytestmark = pytest.mark.broker


async def test_a_new_topic_with_the_clusters_unsafe_defaults_is_refused_before_the_first_write(kafka_server_factory):
    """Once events are in it, a refusal would lock the entity out of them."""
    server = kafka_server_factory(properties={"unclean.leader.election.enable": "true"})
    config = Config(journal=JournalConfig(bootstrap_servers=server.bootstrap_servers))
    for _ in range(2):
        async with open_persistence(config) as persistence:
            with pytest.raises(TopicSettingsRefused, match=r"unclean\.leader\.election"):
                async with persistence.entity("id", initial=0, evolve=lambda state, event: state + event):
                    pass
